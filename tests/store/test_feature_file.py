"""The feature store: equal content gives equal bytes; a file other than the one asked for is refused and named."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from avadclip import store
from avadclip.errors import FeatureError
from avadclip.store import FeatureFolder, Features, Source

RECIPE = {"modality": "visual", "stride": 16, "encoder": "tiny"}


def features(video_id: str = "v=a__#1_label_A", *, n: int = 5, views: int = 1, **changes: Any) -> Features:
    rng = np.random.default_rng(n)
    return Features(
        **{
            "source": Source(video_id, content_hash="ab" * 32, n_frames=n * 16 - 3, frame_rate=24.0),
            "recipe": RECIPE,
            "values": rng.normal(size=(views, n, 512)).astype(np.float16),
            "valid": np.ones(n, bool),
            "boundary_seconds": np.arange(n + 1) * 2 / 3,
            "decoder": "pyav 1",
            **changes,
        }
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = features(views=10)
    store.write(tmp_path / "a.h5", written)
    found = store.read(tmp_path / "a.h5", RECIPE)
    np.testing.assert_array_equal(found.values, written.values)
    np.testing.assert_array_equal(found.valid, written.valid)
    np.testing.assert_array_equal(found.boundary_seconds, written.boundary_seconds)
    assert (found.source, found.recipe, found.decoder) == (written.source, written.recipe, written.decoder)
    assert (found.n_snippets, found.fingerprint) == (5, written.fingerprint)


def test_bytes_in_memory_are_read_like_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    store.write(path, features(views=10))
    whole = path.read_bytes()
    path.write_bytes(b"is not opened")
    found = store.read(path, RECIPE, content=whole)
    np.testing.assert_array_equal(found.values, features(views=10).values)
    assert (found.source, found.checksum) == (features().source, features(views=10).checksum)
    for damaged in (b"", b"text", whole[:100], whole[: len(whole) // 2]):
        with pytest.raises(FeatureError, match=r"a\.h5"):
            store.read(path, content=damaged)


def test_same_features_same_bytes_and_no_other_file(tmp_path: Path) -> None:
    for name, recipe in (("a.h5", RECIPE), ("b.h5", dict(reversed(RECIPE.items())))):
        store.write(tmp_path / name, features(recipe=recipe))
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.h5", "b.h5"]


@pytest.mark.parametrize("views", [1, 10])
def test_what_another_machine_sends_is_the_same_file(tmp_path: Path, views: int) -> None:
    store.write(tmp_path / "written.h5", features(n=700, views=views))
    sent = features(n=700, views=views)
    packed = store.pack(sent)
    assert (packed.id, packed.fingerprint, packed.checksum) == (sent.id, sent.fingerprint, sent.checksum)
    assert packed.n_snippets == 700
    store.write_bytes(tmp_path / "received.h5", packed.content)
    assert (tmp_path / "received.h5").read_bytes() == (tmp_path / "written.h5").read_bytes()


def test_what_was_damaged_on_its_way_is_refused_and_not_kept(tmp_path: Path) -> None:
    content = store.pack(features(n=40)).content
    with pytest.raises(FeatureError):
        store.write_bytes(tmp_path / "a.h5", content[:-600])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": {**RECIPE, "stride": 4}},
        {"source": Source("other", "ab" * 32, 77, 24.0)},
        {"source": Source("v=a__#1_label_A", "cd" * 32, 77, 24.0)},
    ],
)
def test_fingerprint_depends_on_recipe_id_and_content(change: dict[str, Any]) -> None:
    assert features(**change).fingerprint != features().fingerprint


def test_fingerprint_does_not_depend_on_the_order_of_keys() -> None:
    assert features(recipe=dict(reversed(RECIPE.items()))).fingerprint == features().fingerprint


def test_fingerprint_stays_what_it_was() -> None:
    """The work caches and feature files that exist are found by it."""
    text = '["avadclip-features/1",{"encoder":"tiny","modality":"visual","stride":16},"a","cd"]'
    assert store.fingerprint(RECIPE, "a", "cd") == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("name", ["values", "valid", "boundary_seconds"])
def test_every_flipped_bit_of_the_arrays_is_found(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.h5"
    written = features(n=40, valid=np.random.default_rng(0).random(40) < 0.5)
    array = getattr(written, name)
    store.write(path, written)
    whole = path.read_bytes()
    start = whole.index(array.tobytes())
    for offset in np.random.default_rng(0).integers(start, start + array.nbytes, 20):
        damaged = bytearray(whole)
        damaged[offset] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(FeatureError, match=r"a\.h5: damaged: checksum"):
            store.read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "not a readable feature file"), (b"text", "not a readable feature file"), (None, "no such feature file")],
)
def test_files_that_are_no_features_are_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "a.h5"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FeatureError, match=rf"a\.h5: {message}"):
        store.read(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.h5"
    store.write(path, features())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(FeatureError, match=r"a\.h5"):
        store.read(path)


def _replace(file: h5py.File, name: str, value: Any) -> None:
    del file[name]
    if value is not None:
        file[name] = value


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.attrs.__delitem__("id"),
        lambda file: file.attrs.__setitem__("n_frames", [1, 2]),
        lambda file: file.attrs.__setitem__("n_frames", "many"),
        lambda file: file.attrs.__setitem__("recipe", h5py.Empty("f")),
        lambda file: file.attrs.__setitem__("recipe", "{"),
        lambda file: file.attrs.__setitem__("decoder", b"\xff\xfe"),
        lambda file: _replace(file, "valid", None),
        lambda file: _replace(file, "valid", 1.0),
        lambda file: _replace(file, "values", h5py.Empty("f")),
        lambda file: (_replace(file, "values", None), file.create_group("values")),
        lambda file: _replace(file, "values", ["text", "more"]),
    ],
)
def test_hdf5_of_another_kind_is_refused(tmp_path: Path, change: Callable[[h5py.File], object]) -> None:
    path = tmp_path / "a.h5"
    store.write(path, features())
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(FeatureError, match=r"/a\.h5: .*(not a readable feature file|damaged|expected)"):
        store.read(path)


def test_a_recipe_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    store.write(path, features())
    with h5py.File(path, "r+") as file:
        file.attrs["recipe"] = "[1]"
    with pytest.raises(FeatureError, match=r"a\.h5: not a readable .*\(recipe: expected an object, found list\)"):
        store.read(path)


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (0, "expected format .*, found avadclip-features/0; extract it again"),
        (99, "newer than .*: update avadclip"),
        (None, "expected format .*, found None; extract it again"),
    ],
)
def test_another_format_version_is_refused(tmp_path: Path, version: int | None, message: str) -> None:
    path = tmp_path / "a.h5"
    store.write(path, features())
    with h5py.File(path, "r+") as file:
        if version is None:
            del file.attrs["format"]
        else:
            file.attrs["format"] = f"avadclip-features/{version}"
    with pytest.raises(FeatureError, match=rf"a\.h5: .*{message}"):
        store.read(path)


def test_another_recipe_is_refused_and_the_differing_keys_are_named(tmp_path: Path) -> None:
    store.write(tmp_path / "a.h5", features())
    with pytest.raises(FeatureError, match=r"a\.h5: made .* stride is 16, expected 4; views is None, expected 'ce"):
        store.read(tmp_path / "a.h5", {**RECIPE, "stride": 4, "views": "center"})


def test_a_file_that_lies_about_its_source_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    store.write(path, features())
    with h5py.File(path, "r+") as file:
        file.attrs["content_hash"] = "cd" * 32
    with pytest.raises(FeatureError, match="fingerprint"):
        store.read(path)


@pytest.mark.parametrize(
    "change",
    [
        {"valid": np.ones(4, bool)},
        {"boundary_seconds": np.arange(5.0)},
        {"values": np.zeros((1, 4, 8), np.float16)},
        {"values": np.zeros((1, 5, 8), np.float32)},
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(FeatureError, match="do not belong together"):
        features(**change)


def test_folder_lists_and_reads_odd_ids(tmp_path: Path) -> None:
    ids = ["v=S-7rRLrxnVQ__#1_label_B4-0-0", "A.Film.2001__#00-25-20_label_A", "naïve 'quoted' №1"]
    for video_id in ids:
        store.write(tmp_path / f"{video_id}.h5", features(video_id, n=len(video_id)))
    folder = FeatureFolder(tmp_path)
    assert folder.ids == tuple(sorted(ids))
    assert folder.recipe == RECIPE
    for video_id in ids:
        assert folder.read(video_id).id == video_id
        assert folder.n_snippets(video_id) == len(video_id)


def test_folder_refuses_a_renamed_file_a_mixed_recipe_and_no_folder(tmp_path: Path) -> None:
    store.write(tmp_path / "a.h5", features("b"))
    store.write(tmp_path / "c.h5", features("c", recipe={**RECIPE, "stride": 4}))
    folder = FeatureFolder(tmp_path)
    with pytest.raises(FeatureError, match=r"a\.h5: has the features of 'b'"):
        folder.read("a")
    with pytest.raises(FeatureError, match="stride is 4, expected 16"):
        folder.read("c")
    with pytest.raises(FeatureError, match=r"c\.h5: .*stride is 4, expected 8"):
        FeatureFolder(tmp_path, {**RECIPE, "stride": 8}).read("c")
    with pytest.raises(FeatureError, match="dvc pull"):
        FeatureFolder(tmp_path / "nowhere")


def test_folder_sorts_what_the_disk_lists_in_any_order(tmp_path: Path) -> None:
    ids = [f"video-{number}" for number in np.random.default_rng(0).permutation(100)]
    for video_id in ids:
        (tmp_path / f"{video_id}.h5").touch()
    (tmp_path / "notes.txt").touch()
    assert FeatureFolder(tmp_path).ids == tuple(sorted(ids))


def test_folder_without_features_has_no_recipe_unless_it_is_given(tmp_path: Path) -> None:
    assert FeatureFolder(tmp_path, RECIPE).recipe == RECIPE
    with pytest.raises(FeatureError, match="there are no features; run `dvc repro`"):
        _ = FeatureFolder(tmp_path).recipe


def test_folder_names_a_file_whose_snippets_cannot_be_counted(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"text")
    with pytest.raises(FeatureError, match=r"a\.h5: not a readable feature file"):
        FeatureFolder(tmp_path).n_snippets("a")
