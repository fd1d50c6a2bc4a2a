"""Importing features of any extractor from files into the store: exact, resumable and strict."""

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from ruamel.yaml import YAML

from avadclip import config, paths, store
from avadclip.config import Params
from avadclip.config.features import Extraction, ImportedVisual
from avadclip.datasets import arrays
from avadclip.datasets.array_files import Arrays, load_views
from avadclip.datasets.features import prepare_features
from avadclip.datasets.manifest import write_manifest
from avadclip.datasets.model import Segment
from avadclip.errors import ConfigError, DatasetError, ExtractionError
from avadclip.extraction.modalities import modality as modality_of
from avadclip.extraction.protocol import Pending
from avadclip.extraction.run import extract
from avadclip.store import FeatureFolder, Features, Source, audit
from tests.support.arrays_factory import SEGMENTS, TEST, TRAIN, VIDEOS, write_array, write_dataset

NAME = "own"
EXTRACTION = Extraction(workers=1)
CLASSES = ["normal", "fighting", "riot"]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def make_params(visual: dict | None = None, audio: dict | None = None, **keys: object) -> Params:
    """Parameters of one data set whose files lie in ``in``."""
    section = {
        "kind": "features",
        "videos": "in",
        "annotations": "in",
        "classes": CLASSES,
        "visual": {"extractor": "C3D", "stride": 16, "frame_rate": 24.0} | (visual or {}),
        "audio": {"extractor": None} | (audio or {}),
    }
    return config.validate({"datasets": {NAME: section | keys}, "extraction": {"workers": 1}}, "params.yaml")


def run(params: Params) -> None:
    """Run the stages ``prepare``, ``extract_visual`` and ``extract_audio``."""
    write_manifest(paths.manifest(NAME), prepare_features(NAME, params.dataset(NAME), EXTRACTION).videos)
    for modality in ("visual", "audio"):
        extract(NAME, modality, params)


def read(params: Params, modality: str) -> dict[str, Features]:
    """Return the features that an extraction worker makes of each video."""
    job = modality_of(modality, params.dataset(NAME))
    made = {}
    for v in prepare_features(NAME, params.dataset(NAME), EXTRACTION).videos:
        source = Source(v.id, v.content_hash, v.n_frames, v.frame_rate)
        (packed,) = job.task(Pending(Path(v.path), source), "array")()
        made[v.id] = store.read(Path("in memory"), content=packed.content)
        assert (packed.id, packed.n_snippets, packed.checksum) == (v.id, made[v.id].n_snippets, made[v.id].checksum)
    return made


@pytest.mark.slow
def test_what_was_imported_is_what_is_stored(project: Path) -> None:
    """This holds for every suffix; a second run gives the same bytes, and existing features are not made again."""
    written = write_dataset(project / "in", {"visual": 6, "audio": 3})
    for at, (id_, values) in enumerate(written["visual"].items()):  # each in another format
        (project / "in" / "visual" / f"{id_}.npy").unlink()
        suffix = (".npy", ".npz", ".h5", ".csv", ".safetensors", ".hdf5")[at]
        write_array(project / "in" / "visual" / "below" / f"{id_}{suffix}", values)
    params = make_params(audio={"extractor": "VGGish"})
    run(params)
    for modality, values in written.items():
        folder = FeatureFolder(paths.features(NAME, modality))
        assert set(folder.ids) == set(TRAIN | TEST)
        for id_, expected in values.items():
            found = folder.read(id_).values
            expected = expected.astype(np.float16)
            np.testing.assert_array_equal(found, expected[None] if modality == "visual" else expected)
            assert folder.read(id_).boundary_seconds[-1] == len(expected) * 16 / 24
        assert list(audit.problems(NAME, modality, folder.recipe)) == []
    before = {path: path.read_bytes() for path in Path("features").rglob("*.h5")}
    assert extract(NAME, "visual", params).n_encoded == 0
    for path in before:
        path.unlink()
    for path in Path(".cache/features").glob("??/*.h5"):
        path.unlink()
    run(params)
    assert {path: path.read_bytes() for path in Path("features").rglob("*.h5")} == before


def test_what_has_not_changed_is_not_read_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change may be in the files or in how they are read."""
    written = write_dataset(project / "in", {"visual": 6, "audio": 3})
    params = make_params(audio={"extractor": "VGGish"})
    first = prepare_features(NAME, params.dataset(NAME), EXTRACTION)
    opened: list[str] = []
    read_array = arrays.read_array
    monkeypatch.setattr(arrays, "read_array", lambda path, name: opened.append(path.stem) or read_array(path, name))
    assert prepare_features(NAME, params.dataset(NAME), EXTRACTION) == first
    assert opened == []
    write_array(project / "in/audio/walk2.npy", 2 * written["audio"]["walk2"])
    second = prepare_features(NAME, params.dataset(NAME), EXTRACTION)
    assert opened == ["walk2", "walk2"]  # vision and sound
    assert {new.id for new, old in zip(second.videos, first.videos, strict=True) if new != old} == {"walk2"}
    named = make_params({"array": "features"}, {"extractor": "VGGish"})
    prepare_features(NAME, named.dataset(NAME), EXTRACTION)
    assert len(opened) == 2 + 2 * len(TRAIN | TEST)


@pytest.mark.parametrize("axis", [0, 1])
def test_views_in_one_file_or_in_several(project: Path, axis: int) -> None:
    write_dataset(project / "in", {})
    rng = np.random.default_rng(0)
    expected = {id_: rng.normal(size=(3, n, 4)).astype(np.float32) for id_, n in (TRAIN | TEST).items()}
    for id_, views in expected.items():
        if id_ == "walk2":
            for number, view in zip((0, 2, 10), views, strict=True):  # in the order of numbers, not of letters
                write_array(project / f"in/visual/{id_}__{number}.npy", view)
        else:
            write_array(project / f"in/visual/{id_}.npy", np.moveaxis(views, 0, axis))
    found = read(make_params({"views_axis": axis}), "visual")
    for id_, views in expected.items():
        np.testing.assert_array_equal(found[id_].values, views.astype(np.float16))


@pytest.mark.parametrize(
    ("zeros", "length", "expected"),
    [
        ("no_sound", 6, [1, 0, 1, 1, 1, 1]),
        ("heard", 6, [1, 1, 1, 1, 1, 1]),
        ("no_sound", 5, [1, 0, 1, 1, 1, 0]),  # silent where it is too short
        ("heard", 5, [1, 1, 1, 1, 1, 0]),
        ("heard", 7, [1, 1, 1, 1, 1, 1]),  # cut where it is too long
    ],
)
def test_sound_is_brought_to_the_length_of_the_pictures(
    project: Path, zeros: str, length: int, expected: list[int]
) -> None:
    written = write_dataset(project / "in", {"visual": 4, "audio": 3})
    sound = np.resize(written["audio"]["fight3"], (length, 3)).astype(np.float32)
    sound[1] = 0
    write_array(project / "in/audio/fight3.npy", sound)
    found = read(make_params(audio={"extractor": "VGGish", "zeros": zeros}), "audio")["fight3"]
    assert found.valid.tolist() == [bool(flag) for flag in expected]
    np.testing.assert_array_equal(found.values[: min(length, 6)], sound[:6].astype(np.float16))
    assert not found.values[min(length, 6) :].any()


def test_sound_alone(project: Path) -> None:
    write_dataset(project / "in", {"audio": 3})
    params = make_params({"extractor": None}, {"extractor": "VGGish"})
    assert {id_: made.n_snippets for id_, made in read(params, "audio").items()} == TRAIN | TEST
    extract(NAME, "visual", params)
    assert list(paths.features(NAME, "visual").iterdir()) == []  # there are no pictures


@pytest.mark.parametrize(
    "segments",
    [
        SEGMENTS,
        "video,label,start_frame,end_frame\nfight3.mp4,fighting,16,48\n",
        f"video,label,start_seconds,end_seconds\nfight3,fighting,{16 / 24},{48 / 24}\n",
    ],
    ids=["snippets", "frames", "seconds"],
)
def test_times_in_every_unit(project: Path, segments: str) -> None:
    write_dataset(project / "in", {"visual": 4}, segments=segments)
    prepared = prepare_features(NAME, make_params().dataset(NAME), EXTRACTION)
    assert prepared.segments == (Segment("fight3", "fighting", 16, 48),)
    assert {video.id: video.n_frames for video in prepared.videos} == {i: 16 * n for i, n in (TRAIN | TEST).items()}
    assert {video.split for video in prepared.videos if video.id in TEST} == {"test"}


@pytest.mark.parametrize(
    "times", ["start_frame,end_frame\nfight3,fighting,100,447", "start_seconds,end_seconds\nfight3,fighting,4.17,18.6"]
)
def test_an_event_may_go_on_to_the_end_of_the_video(project: Path, times: str) -> None:
    """The video has up to 63 frames more than six snippets of 64."""
    write_dataset(project / "in", {"visual": 4}, segments=f"video,label,{times}\n")
    prepared = prepare_features(NAME, make_params({"stride": 64}).dataset(NAME), EXTRACTION)
    assert prepared.segments == (Segment("fight3", "fighting", 100, 384),)


def nan(n: int) -> np.ndarray:
    values = np.zeros((n, 4))
    values[0, 1] = np.nan
    return values


WRONG = {
    "another width": ("visual/walk2.npy", np.zeros((4, 5)), r"walk2: features of width \(5, 3\); most others have"),
    "not a number": ("visual/walk2.npy", nan(4), r"walk2: .*visual/walk2.npy: 1 values are not finite"),
    "too large for float16": ("visual/walk2.npy", np.full((4, 4), 1e6), "16 values are not finite, or beyond 65504"),
    "rounded to infinity": ("visual/walk2.npy", np.full((4, 4), -65520.0), "16 values are not finite, or beyond 65504"),
    "infinite in float16": ("audio/walk2.npy", np.full((4, 3), np.inf, np.float16), "12 values are not finite"),
    "another length": ("audio/walk2.npy", np.zeros((6, 3)), "6 audio and 4 visual snippets: .*_difference 1"),
    "views of sound": ("audio/walk2.npy", np.zeros((2, 4, 3)), "sound has no views"),
    "more views": ("visual/walk2.npy", np.zeros((2, 4, 4)), "walk2: views for training: 2; most others have 1"),
    "more views for testing": (
        "visual/walk3.npy",
        np.zeros((2, 8, 4)),
        "walk3: views for testing: 2; most others",
    ),
    "views second": ("visual/walk2.npy", np.zeros((4, 10, 4)), r"walk2.npy: 4 views of 10 .* 4 of sound.*_axis: 1`"),
    "whole numbers": ("visual/walk2.npy", np.zeros((4, 4), int), "found .4, 4. int64"),
    "with the suffix of a video": ("visual/walk2.mp4.npy", np.zeros((4, 4)), "are both features of 'walk2'; keep one"),
    "mixed views": ("visual/fight3__0.npy", np.zeros((6, 4)), "fight3.npy and .*__0.npy are both features of 'fight3'"),
    "the same view": ("visual/x/walk2.npz", np.zeros((4, 4)), "are both features of 'walk2'; keep one of them"),
}


@pytest.mark.parametrize(("file", "values", "message"), WRONG.values(), ids=WRONG)
def test_what_does_not_belong_together_is_refused(project: Path, file: str, values: np.ndarray, message: str) -> None:
    write_dataset(project / "in", {"visual": 4, "audio": 3})
    write_array(project / "in" / file, values)
    with pytest.raises(DatasetError, match=message):
        prepare_features(NAME, make_params(audio={"extractor": "VGGish"}).dataset(NAME), EXTRACTION)


def write_stacked(folder: Path, n_snippets: int | None, n_views: int) -> None:
    """Arrays [n, views, width] of random numbers; `n_snippets` None: as many as `write_dataset` has."""
    rng = np.random.default_rng(0)
    for id_, n in (TRAIN | TEST).items():
        write_array(folder / "visual" / f"{id_}.npy", rng.normal(size=(n_snippets or n, n_views, 4)))


def test_arrays_with_views_on_the_second_axis_are_recognised(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_dataset(project / "in", {})
    write_stacked(project / "in", None, 10)
    with pytest.raises(
        DatasetError, match=r"6 arrays of 'own' have 4 \(walk2\) to 9 \(fight#2\) views and all 10 "
    ) as caught:
        prepare_features(NAME, make_params().dataset(NAME), EXTRACTION)
    assert "and all 10 snippets: they look like [n, views, width]; write `visual.views_axis: 1`" in str(caught.value)
    with caplog.at_level("INFO"):
        prepared = prepare_features(NAME, make_params({"views_axis": 1}).dataset(NAME), EXTRACTION)
    assert [video.n_frames for video in prepared.videos if video.id == "walk2"] == [4 * 16]
    assert "own: 4 to 9 snippets in each video, 10 views for training, 10 views for testing" in caplog.messages


@pytest.mark.parametrize(
    ("n_snippets", "n_views", "axis", "warned"),
    [(32, 10, 0, True), (32, 5, 0, True), (32, 10, 1, False), (10, 32, 0, False), (5, 10, 0, False), (32, 7, 0, False)],
)
def test_arrays_that_may_have_views_on_either_axis_are_warned_of(
    project: Path, caplog: pytest.LogCaptureFixture, n_snippets: int, n_views: int, axis: int, warned: bool
) -> None:
    """Of one shape, so that nothing but the usual numbers of crops tells the axes apart."""
    write_dataset(project / "in", {})
    write_stacked(project / "in", n_snippets, n_views)
    prepare_features(NAME, make_params({"views_axis": axis}).dataset(NAME), EXTRACTION)
    found = [message for message in caplog.messages if "visual.views_axis: 1" in message]
    assert len(found) == warned
    assert all(f"own: 6 arrays are taken for 32 views of {n_views} snippets: fight#2, " in message for message in found)


def test_training_and_testing_may_have_other_numbers_of_views(project: Path) -> None:
    """Releases have ten views for training and the tested one, and all videos may be cut to one length."""
    write_dataset(project / "in", {})
    for id_ in TRAIN | TEST:
        write_array(project / f"in/visual/{id_}.npy", np.ones((3 if id_ in TRAIN else 2, 8, 4)))
    assert len(prepare_features(NAME, make_params().dataset(NAME), EXTRACTION).videos) == 6


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize(
    ("names", "rows"),
    [
        (["{}.npy"], "{}"),
        (["{}.mp4.npy"], "{}.mp4"),
        (["{}.MKV__0.npy", "{}.MKV__1.npy"], "{}"),
        (["{}.npy"], "x/{}.avi"),
    ],
)
def test_files_are_found_by_any_name_that_tables_may_have(
    project: Path, names: list[str], rows: str, form: Literal["NFC", "NFD"]
) -> None:
    """A Mac decomposes accents in names of files, and some extractors keep the suffix of the video."""
    videos = "video,labels,split\n" + "".join(f"{rows.format(id_)},riot,train\n" for id_ in ("café.1", "b"))
    write_dataset(project / "in", {}, videos=videos, segments="video,label,start_frame,end_frame\n")
    for id_ in ("café.1", "b"):
        for name in names:
            write_array(project / "in/visual" / unicodedata.normalize(form, name.format(id_)), np.ones((3, 4)))
    prepared = prepare_features(NAME, make_params().dataset(NAME), EXTRACTION)
    assert [video.id for video in prepared.videos] == ["b", "café.1"]
    made = read(make_params(), "visual")
    assert made["café.1"].values.shape == (len(names), 3, 4)


@pytest.mark.parametrize("kind", ["<f2", "<f4", "<f8"])
def test_what_float16_just_holds_is_taken(tmp_path: Path, kind: str) -> None:
    largest = np.nextafter(np.array(65520, kind), np.array(0, kind))
    write_array(tmp_path / "a.npy", np.full((2, 3), -largest))
    section = ImportedVisual(extractor="C3D", stride=1, frame_rate=1.0)
    values = load_views(Arrays((tmp_path / "a.npy",), ()), section)
    np.testing.assert_array_equal(values.astype(np.float16), np.full((1, 2, 3), -65504.0))


def test_views_of_other_shapes_in_several_files_are_refused(project: Path) -> None:
    write_dataset(project / "in", {"visual": 4})
    (project / "in/visual/walk2.npy").rename(project / "in/visual/walk2__0.npy")
    write_array(project / "in/visual/walk2__1.npy", np.zeros((3, 4)))
    with pytest.raises(DatasetError, match=r"walk2__0.npy \(1, 4, 4\), walk2__1.npy \(1, 3, 4\)"):
        prepare_features(NAME, make_params().dataset(NAME), EXTRACTION)


def test_all_unusable_videos_are_told_at_once_and_can_be_excluded(project: Path) -> None:
    write_dataset(project / "in", {"visual": 4})
    (project / "in/visual/walk2.npy").write_bytes(b"\x93NUMPY")
    write_array(project / "in/visual/walk3.npy", nan(8))
    with pytest.raises(DatasetError, match="2 of 6 videos of 'own' have no usable features") as caught:
        prepare_features(NAME, make_params().dataset(NAME), EXTRACTION)
    listed = YAML(typ="safe").load(str(caught.value).partition("exclude:")[2])
    prepared = prepare_features(NAME, make_params(exclude=listed).dataset(NAME), EXTRACTION)
    assert {video.id for video in prepared.videos if video.excluded} == {"walk2", "walk3"}


@pytest.mark.parametrize(
    ("videos", "segments", "message"),
    [
        (VIDEOS + "gone,normal,test\n", SEGMENTS, "line 8, column video: no features of 'gone' below in"),
        (
            VIDEOS + "Walk2,normal,test\n",
            SEGMENTS,
            "line 8, column video: the id 'Walk2' is already that of line 5",
        ),
        (VIDEOS, SEGMENTS + "fight3,fighting,9,12\n", "fight3: annotated fighting from frames 144 to 192"),
        (VIDEOS, SEGMENTS + "fight3,fighting,3,2\n", "line 3, column end_snippet: expected an end after the start 3"),
        (VIDEOS, SEGMENTS + "fight3.mp4,fighting,1,3\n", "line 3, column video: the same segment as in line 2; .* two"),
        (VIDEOS, SEGMENTS + "fight3,fighting,1.5,2\n", "column start_snippet: expected a whole number"),
    ],
)
def test_tables_are_read_strictly(project: Path, videos: str, segments: str, message: str) -> None:
    write_dataset(project / "in", {"visual": 4}, videos=videos, segments=segments)
    with pytest.raises(DatasetError, match=message):
        prepare_features(NAME, make_params().dataset(NAME), EXTRACTION)


def test_overlapping_segments_are_warned_of(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_dataset(project / "in", {"visual": 4}, segments=f"{SEGMENTS}fight3,fighting,2,4\nfight3,*,2,4\n")
    assert len(prepare_features(NAME, make_params().dataset(NAME), EXTRACTION).segments) == 3
    (warning,) = [message for message in caplog.messages if "overlap" in message]
    assert "segments.csv, lines 2 and 3: two segments of fighting overlap in fight3" in warning


def warnings_of(caplog: pytest.LogCaptureFixture, **keys: object) -> list[str]:
    """Prepare the data set, and return its warnings."""
    caplog.clear()
    with caplog.at_level("INFO"):
        prepare_features(NAME, make_params(**keys).dataset(NAME), EXTRACTION)
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def test_what_is_probably_a_mistake_is_warned_of(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    written = write_dataset(project / "in", {"visual": 4, "audio": 3})["visual"]
    assert warnings_of(caplog) == []

    (project / "in/segments.csv").unlink()
    (unsegmented,) = warnings_of(caplog)
    assert unsegmented.startswith("1 anomalous test videos have no segments, ")
    assert warnings_of(caplog, exclude={"fight3": "not annotated"}) == []

    (project / "in/segments.csv").write_text(SEGMENTS)
    (untaught,) = warnings_of(caplog, classes=[*CLASSES, "abuse"])
    assert untaught == "own: no training video is labelled abuse, so nothing can be trained"

    write_array(project / "in/visual/walk 1.npy", written["walk3"])
    write_array(project / "in/visual/walk2__3.npy", written["fight#2"])
    (project / "in/visual/walk2.npy").unlink()
    contrary, both = warnings_of(caplog)
    assert contrary == (
        "byte for byte the same features, but with contrary labels: fight#2 (train, fighting|riot), walk2 (train,"
        " normal); exclude the wrong one"
    )
    assert "features for training and for testing: walk 1 (train, normal), walk3 (test, normal); exclude one" in both
    with_sound = {"extractor": "VGGish", "max_length_difference": 9}
    assert warnings_of(caplog, audio=with_sound) == []  # no longer the same: each has another sound


def test_files_that_no_row_names_are_told(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_dataset(project / "in", {"visual": 4}, videos=VIDEOS.replace("walk2.mp4,normal,train\n", ""))
    assert warnings_of(caplog) == []
    assert "in: 1 videos with features are not in videos.csv: walk2" in caplog.messages


@pytest.mark.slow
def test_a_file_that_changed_after_prepare_is_not_imported(project: Path) -> None:
    write_dataset(project / "in", {"visual": 4})
    write_manifest(paths.manifest(NAME), prepare_features(NAME, make_params().dataset(NAME), EXTRACTION).videos)
    write_array(project / "in/visual/walk2.npy", np.ones((4, 4)))
    with pytest.raises(ExtractionError, match=r"walk2: .*changed since the manifest was written; run `dvc repro`"):
        extract(NAME, "visual", make_params())
    assert len(FeatureFolder(paths.features(NAME, "visual")).ids) == 5  # the others are done and kept


def test_a_new_frame_rate_makes_new_times(project: Path) -> None:
    write_dataset(project / "in", {"visual": 4})
    recipes = []
    for frame_rate in (24.0, 30.0):
        params = make_params({"frame_rate": frame_rate})
        assert read(params, "visual")["walk3"].boundary_seconds[-1] == 8 * 16 / frame_rate
        recipes.append(modality_of("visual", params.dataset(NAME)).recipe)
    assert recipes[0] != recipes[1]  # so that files of the other rate are not taken for these


def test_features_of_nothing_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"datasets.own: `visual.extractor` and `audio.extractor` are both null"):
        make_params({"extractor": None})
