"""Import and export of released features: import(export(store)) is the store, and every fault is listed by id."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from avadclip import config, paths, recipes
from avadclip.config import Params
from avadclip.datasets.annotation_text import read_ids
from avadclip.datasets.ground_truth import read_ground_truth, write_ground_truth
from avadclip.datasets.label_codes import labels_of
from avadclip.datasets.manifest import read_manifest, write_manifest
from avadclip.datasets.model import Segment, Video
from avadclip.datasets.released_lists import read_lists
from avadclip.datasets.xd_violence import read_segments
from avadclip.datasets.xd_violence_released import prepare_release
from avadclip.errors import ConfigError, DatasetError, FeatureError
from avadclip.extraction.modalities import modality as modality_of
from avadclip.extraction.protocol import Pending
from avadclip.extraction.released import ToFloat16
from avadclip.extraction.run import extract
from avadclip.interop.export_features import export_features
from avadclip.interop.import_features import adopt_features
from avadclip.scoring.run import OWN_TO_A_DATASET
from avadclip.store import FeatureFolder, Features, Source, audit, write
from tests.support import released_factory as released
from tests.support.dvc_project import ROOT

NAME = "xd"
WIDTH = 6  # any will do; all files have the same
SALT = "Salt.2010__#00-29-53_00-30-37_label_B6-0-0"
SILENT = "train.fight__#1_label_B1-0-0"
OFFICIAL = ROOT.parent / "shared" / "data" / "xd_violence"
WALK = "train.walk__#2_label_A"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The shipped parameters, with released files in a folder beside the project."""
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copy(ROOT / "params.yaml", folder)
    released.write_release(tmp_path / "release", width=WIDTH)
    monkeypatch.chdir(folder)
    return folder


def adopt(source: Path, name: str = NAME, **options: bool) -> Params:
    adopt_features(
        name,
        source / "visual",
        source / "audio",
        source / "list",
        Path("params.yaml"),
        **{"alone": False} | options,
    )
    return config.load()


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has been through ``prepare`` and both extractions."""
    root = tmp_path_factory.mktemp("imported")
    released.write_release(root / "release", width=WIDTH)
    (root / "project").mkdir()
    shutil.copy(ROOT / "params.yaml", root / "project")
    with contextlib.chdir(root / "project"):
        import_all(adopt(root / "release"))
    return root / "project"


def prepare_here(params: Params, name: str = NAME) -> dict[str, Video]:
    """Run stage ``prepare`` and return the videos of the manifest by id."""
    prepared = prepare_release(name, params.dataset(name))
    write_manifest(paths.manifest(name), prepared.videos)
    return {video.id: video for video in read_manifest(paths.manifest(name))}


def read_sound(params: Params, video: Video) -> tuple[np.ndarray, np.ndarray]:
    """Features and validity that a worker of ``extract_audio`` sends for one video."""
    source = Source(video.id, video.content_hash, video.n_frames, video.frame_rate)
    task = modality_of("audio", params.dataset(NAME)).task(Pending(Path(video.path), source), "npy")
    chunk, timeline = task()
    assert len(timeline.boundary_seconds) == len(chunk.valid) + 1
    return chunk.inputs, chunk.valid


def import_all(params: Params, name: str = NAME) -> None:
    """Run stages ``prepare``, ``extract_visual`` and ``extract_audio``."""
    prepared = prepare_release(name, params.dataset(name))
    write_ground_truth(paths.ground_truth(name), prepared.segments)
    write_manifest(paths.manifest(name), prepared.videos)
    extract(name, "visual", params)
    extract(name, "audio", params)


def read(name: str, modality: str) -> dict[str, Features]:
    folder = FeatureFolder(paths.features(name, modality))
    return {id_: folder.read(id_) for id_ in folder.ids}


@pytest.mark.slow
def test_ten_views_train_and_the_listed_view_leads_in_testing(imported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(imported)
    source, params = imported.parent / "release", config.load()
    visual, audio = read(NAME, "visual"), read(NAME, "audio")
    assert set(visual) == set(audio) == {*released.TRAIN, *released.TEST}
    for id_, n in released.TRAIN.items():
        expected = [np.load(source / "visual" / "XDtrain" / f"{id_}__{view}.npy") for view in range(10)]
        assert visual[id_].values.shape == (10, n, WIDTH)
        np.testing.assert_array_equal(visual[id_].values, np.stack(expected))
        np.testing.assert_array_equal(audio[id_].values, np.load(source / f"audio/train/{id_}.npy").astype(np.float16))
    for id_ in released.TEST:
        # The published test list names view 5, the mirrored centre; scoring uses the first stored view.
        expected = np.load(source / "visual" / "XDtest" / f"{id_}__5.npy")
        np.testing.assert_array_equal(visual[id_].values[0], expected)
    assert all(features.valid.all() for features in (*visual.values(), *audio.values()))
    for modality in ("visual", "audio"):
        assert list(audit.problems(NAME, modality, modality_of(modality, params.dataset(NAME)).recipe)) == []


@pytest.mark.slow
def test_manifest_and_ground_truth(imported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(imported)
    videos = {video.id: video for video in read_manifest(paths.manifest(NAME))}
    assert {video.id for video in videos.values() if video.split == "test"} == set(released.TEST)
    assert {id_: video.n_frames for id_, video in videos.items()} == {
        id_: 16 * n for id_, n in {**released.TRAIN, **released.TEST}.items()
    }
    assert videos["train.abuse__#1_label_B5-B6-0"].labels == ("abuse", "car accident")
    # The second event ends in frames for which the release has no snippet.
    bad_boys = "Bad.Boys.1995__#01-11-55_01-12-40_label_G-B2-B6"
    found = [segment for segment in read_ground_truth(paths.ground_truth(NAME)) if segment.id == bad_boys]
    assert found == [Segment(bad_boys, "explosion", 100, 200), Segment(bad_boys, "shooting", 400, 67 * 16)]


def test_the_recipe_says_imported_and_what_is_unknown(imported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(imported)
    visual = FeatureFolder(paths.features(NAME, "visual")).recipe
    assert visual["source"].startswith("imported")
    assert (visual["encoder"], visual["stride"], visual["precision"]) == ("ViT-B-16-quickgelu", 16, "unknown")
    audio = FeatureFolder(paths.features(NAME, "audio")).recipe
    assert (audio["source"], audio["window_seconds"]) == (visual["source"], "unknown")
    of_others = {"window_seconds", "frame_rate", "array", "views_axis", "mean_of"}  # of sound, arrays and means
    assert set(OWN_TO_A_DATASET) - of_others <= visual.keys()


def test_without_the_training_list_there_are_test_videos_only(project: Path) -> None:
    source = project.parent / "release"
    (source / "list" / "xd_CLIP_rgb.csv").unlink()
    shutil.rmtree(source / "visual" / "XDtrain")
    assert set(prepare_here(adopt(source))) == set(released.TEST)


@pytest.mark.slow
def test_import_of_an_export_is_the_store(project: Path, tmp_path: Path) -> None:
    """Values and validity of every video, byte for byte; two have stretches without sound, and one has no sound."""
    rng, views = np.random.default_rng(1), 10
    for id_, n in (released.TRAIN | released.TEST).items():
        valid = np.ones(n, bool)
        if id_ in (SALT, WALK):
            valid[5:9] = False
        if id_ == SILENT:
            valid[:] = False
        sound = np.where(valid[:, None], rng.normal(size=(n, 3)), 0).astype(np.float16)
        _write("own", "visual", id_, rng.normal(size=(views, n, WIDTH)).astype(np.float16), np.ones(n, bool))
        _write("own", "audio", id_, sound, valid)
    write_manifest(paths.manifest("own"), [_video(id_) for id_ in [*released.TRAIN, *released.TEST]])
    segments = [
        Segment(id_, {"G": "explosion", "B2": "shooting", "B6": "car accident", "B4": "riot"}[code], start, end)
        for id_, events in released.ANNOTATIONS.items()
        for code, start, end in events
    ]
    write_ground_truth(paths.ground_truth("own"), segments)

    export_features("own", tmp_path / "exported")
    adopt(tmp_path / "exported")
    _set("datasets", NAME, "audio", "zeros", "no_sound")
    import_all(config.load())

    assert not next(video for video in read_manifest(paths.manifest(NAME)) if video.id == SILENT).has_audio
    for modality in ("visual", "audio"):
        own, imported = read("own", modality), read(NAME, modality)
        assert own.keys() == imported.keys()
        for id_, features in own.items():
            assert imported[id_].values.tobytes() == features.values.tobytes()
            assert imported[id_].values.shape == features.values.shape
            assert imported[id_].valid.tobytes() == features.valid.tobytes()
    by_id = {video.id: video for video in read_manifest(paths.manifest(NAME))}
    for video in read_manifest(paths.manifest("own")):
        assert (by_id[video.id].split, by_id[video.id].labels) == (video.split, video.labels)
    listed = {video.id: video.views for video in read_lists(tmp_path / "exported" / "list")}
    assert listed[SALT] == (0,)  # one line per test video, as the authors' code requires
    assert listed[WALK] == tuple(range(views))


@pytest.mark.slow
def test_everything_that_is_wrong_is_listed_at_once_and_can_be_excluded(project: Path) -> None:
    source = project.parent / "release"
    train, test = source / "visual" / "XDtrain", source / "visual" / "XDtest"
    (train / f"{WALK}__7.npy").unlink()
    (source / "audio" / "test" / f"{SALT}.npy").unlink()
    riot, abuse, fight = (f"train.{name}" for name in (
        "riot__#1_label_B4-0-0", "abuse__#1_label_B5-B6-0", "fight__#1_label_B1-0-0"))  # fmt: skip
    released.save(train / f"{riot}__3.npy", np.zeros((29, WIDTH)))
    np.save(train / f"{abuse}__0.npy", np.array([{"an": "object"}]), allow_pickle=True)
    released.save(source / "audio" / "train" / f"{fight}.npy", np.zeros((17, WIDTH + 1)))
    talk, real = "test.talk__#1_label_A", "v=S-7rRLrxnVQ__#1_label_B4-0-0"
    released.save(source / "audio" / "test" / f"{talk}.npy", np.zeros((100, WIDTH)))
    for view in range(10):
        released.save(test / f"{real}__{view}.npy", np.zeros((4, WIDTH)))
    released.save(source / "audio" / "test" / f"{real}.npy", np.zeros((4, WIDTH)))

    with pytest.raises(DatasetError) as error:
        adopt(source)
    reasons = dict(line.strip().split(": ", 1) for line in str(error.value).splitlines() if line.startswith("  "))
    message = {
        WALK: f"no file {WALK}__7.npy",
        SALT: f"no file {SALT}.npy",
        riot: f"its views differ in shape: .*{riot}__3.npy",
        abuse: f"{abuse}__0.npy: not readable as an array",
        fight: "features of width",
        talk: "100 audio and 256 visual snippets",
        real: "annotated riot from frame 0 to 150, but there are features of only 64 frames",
    }
    for id_, expected in message.items():
        assert any(name.strip('"') == id_ for name in reasons), id_
        assert expected.split(".*")[0] in str(error.value)
    assert str(error.value).startswith("7 of 10 videos of 'xd' have no usable features:")

    _, _, lines = str(error.value).partition(f"under datasets.{NAME}.exclude:\n")
    for id_, reason in YAML(typ="safe").load(lines).items():
        _set("datasets", NAME, "exclude", id_, reason)
    videos = prepare_here(adopt(source))  # again, now with the lines of the message
    assert videos.keys() == {*released.TRAIN, *released.TEST}
    assert {video.id for video in videos.values() if video.excluded} == message.keys()


def test_sound_of_another_length_is_cut_or_filled(project: Path) -> None:
    source = project.parent / "release"
    short, long = np.full((250, WIDTH), 2.0), np.full((310, WIDTH), 3.0)
    released.save(source / "audio" / "test" / "test.talk__#1_label_A.npy", short)
    released.save(source / "audio" / "test" / f"{SALT}.npy", long)
    params = adopt(source)
    videos = prepare_here(params)
    talk, valid = read_sound(params, videos["test.talk__#1_label_A"])
    assert (talk[:250] == 2).all()
    assert not talk[250:].any()
    assert valid.all()  # fused as silence, as the authors' code does
    salt, _ = read_sound(params, videos[SALT])
    assert salt.shape == (300, WIDTH)

    _set("datasets", NAME, "audio", "zeros", "no_sound")
    _, valid = read_sound(config.load(), videos["test.talk__#1_label_A"])
    assert valid.sum() == 250
    _set("datasets", NAME, "audio", "max_length_difference", 5)
    with pytest.raises(DatasetError, match=r"250 audio and 256 visual snippets: they differ by more than audio\.max"):
        read_sound(config.load(), videos["test.talk__#1_label_A"])


def test_features_too_large_for_the_store_are_refused() -> None:
    with pytest.raises(FeatureError, match="not finite, or too large for float16"):
        ToFloat16(WIDTH).encode(np.full((40, WIDTH), 1e6, np.float32))


def test_a_file_that_changed_or_went_after_prepare_is_refused(project: Path) -> None:
    source = project.parent / "release"
    params = adopt(source)
    walk = prepare_here(params)[WALK]
    read_sound(params, walk)
    released.save(source / "audio" / "train" / f"{WALK}.npy", np.ones((40, WIDTH)))
    with pytest.raises(DatasetError, match="changed since the manifest was written; run `dvc repro`"):
        read_sound(params, walk)
    (source / "audio" / "train" / f"{WALK}.npy").unlink()
    with pytest.raises(FileNotFoundError):  # extraction lists it with its id
        read_sound(params, walk)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("/x/a_label_A.npy,/x/a_label_A.npy,A", "column path: expected <id>__<view>.npy, found 'a_label_A.npy'"),
        ("/x/a__0.npy,/x/b.npy,A", "column audio_path: expected 'a.npy', which belongs to 'a__0.npy', found 'b.npy'"),
        ("/x/a__0.npy,/x/a.npy,B3", "column label: label codes 'B3' are not valid"),
        ("/x/.a__0.npy,/x/.a.npy,A", "column path: video id '.a' starts with a dot"),
        ("/x/a__0.npy,/x/a.npy,A\n/x/a__0.npy,/x/a.npy,A", "a__0.npy appears twice"),
    ],
)
def test_lists_that_make_no_sense(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "xd_CLIP_rgbtest.csv").write_text(f"path,audio_path,label\n{line}\n")
    with pytest.raises(DatasetError, match=message):
        read_lists(tmp_path)


def test_a_name_that_is_taken_and_files_that_are_no_release(project: Path) -> None:
    source = project.parent / "release"
    with pytest.raises(ConfigError, match="demo exists already, of kind table"):
        adopt(source, "demo")
    with pytest.raises(ConfigError, match=r"datasets: 'xd\.2' is not a name for DVC"):
        adopt(source, "xd.2")
    assert not Path("data").exists()
    with pytest.raises(DatasetError, match=r"xd_CLIP_rgbtest\.csv: no such file"):
        adopt_features(NAME, source / "visual", source / "audio", source, Path("params.yaml"), alone=False)
    with pytest.raises(DatasetError, match=r"nowhere: no such folder of \.npy files"):
        adopt_features(NAME, source / "nowhere", source / "audio", source / "list", Path("params.yaml"), alone=False)
    assert Path("params.yaml").read_text() == (ROOT / "params.yaml").read_text()


def test_the_published_test_ids_and_annotations_can_be_listed(tmp_path: Path) -> None:
    if not OFFICIAL.is_dir():
        pytest.skip(f"the official annotation files are not there: {OFFICIAL}")
    test_ids = read_ids(OFFICIAL / "test_ids.txt")
    released.write_lists(tmp_path, released.TRAIN, test_ids)
    listed = {video.id: video for video in read_lists(tmp_path)}
    assert len(listed) == 800 + len(released.TRAIN)
    assert all(listed[id_].labels == labels_of(id_) and listed[id_].views == (5,) for id_ in test_ids)
    assert len({s.id for s in read_segments(OFFICIAL, test_ids, {id_: listed[id_].labels for id_ in test_ids})}) == 500


@pytest.mark.parametrize("absolute", [False, True])
def test_files_that_lie_in_place_are_left_alone(project: Path, absolute: bool) -> None:
    """Somebody has put files and links there by hand."""
    source, place = project.parent / "release", Path("data") / NAME / "npy"
    place.mkdir(parents=True)
    shutil.copytree(source / "visual", place / "visual")
    (place / "audio").mkdir()
    for path in (source / "audio").rglob("*.npy"):
        (place / "audio" / path.name).symlink_to(path)
    before = sorted(place.rglob("*"))
    given = place.resolve() if absolute else place
    found = adopt_features(NAME, given / "visual", given / "audio", source / "list", Path("params.yaml"), alone=False)
    assert (found.n_train, found.n_test, found.n_files) == (6, 4, 110)
    assert sorted(place.rglob("*")) == before


def test_alone_keeps_what_was_written_for_it(project: Path) -> None:
    source = project.parent / "release"
    (source / "audio" / "train" / f"{WALK}.npy").unlink()
    _set("train", "imported", {"released": {"path": "it.pth", "sha256": None}})
    _set("score", "variants", ["imported"])
    with pytest.raises(DatasetError, match=f"1 of 10 .*\n  {WALK}: no file {WALK}.npy"):
        adopt(source, alone=True)
    _set("datasets", NAME, "exclude", WALK, "no sound")
    params = adopt(source, alone=True)
    assert (list(params.datasets), list(params.train)) == ([NAME], ["imported"])
    assert params.datasets[NAME].exclude == {WALK: "no sound"}
    assert (params.worlds, params.distill, params.score.variants) == ({}, {}, ("imported",))
    assert params.score.student == "imported"  # `visual_student` is gone


@pytest.mark.slow
@pytest.mark.parametrize("section", ["train", "distill", "score", "worlds"])
def test_alone_in_a_file_that_lacks_a_section(project: Path, section: str) -> None:
    content = YAML(typ="safe").load(Path("params.yaml"))
    del content[section]
    if section in ("train", "distill"):
        content["score"] |= {"variants": [], "across": {}}
    if section == "train":
        del content["distill"]
    YAML().dump(content, Path("params.yaml"))
    params = adopt(project.parent / "release", alone=True)
    assert (list(params.datasets), params.train, params.score.variants) == ([NAME], {}, ())


@pytest.mark.slow
def test_the_block_is_the_recipe_and_nothing_else_changes(project: Path) -> None:
    before = Path("params.yaml").read_text()
    adopt(project.parent / "release", "xd_violence_released")
    with_block = Path("params.yaml").read_text()
    adopt(project.parent / "release", "xd_violence_released")  # again
    assert Path("params.yaml").read_text() == with_block
    lines = with_block.splitlines()
    for line in before.splitlines():
        lines.remove(line)  # every old line is still there
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    recipes.add("xd_violence_released", Path("params.yaml"))
    assert config.load().datasets["xd_violence_released"] == config.validate(
        YAML(typ="safe").load(with_block), origin="with block"
    ).dataset("xd_violence_released")


def _write(name: str, modality: str, id_: str, values: np.ndarray, valid: np.ndarray) -> None:
    source = Source(id_, "0" * 64, 16 * len(valid), 24.0)
    recipe = {"modality": modality, "stride": 16}
    boundaries = np.arange(len(valid) + 1) * 16 / 24.0
    path = paths.features(name, modality) / f"{id_}.h5"
    write(path, Features(source, recipe, values, valid, boundaries, "pyav"))


def _video(id_: str) -> Video:
    split = "train" if id_ in released.TRAIN else "test"
    n = (released.TRAIN | released.TEST)[id_]
    return Video(id_, f"{id_}.mp4", split, labels_of(id_), 16 * n, 24.0, True, "0" * 64)


def _set(*keys_and_value: object) -> None:
    """Change one key of params.yaml."""
    *keys, last, value = keys_and_value
    yaml = YAML()
    content = yaml.load(Path("params.yaml"))
    section = content
    for key in keys:
        section = section[key]
    section[last] = value
    yaml.dump(content, Path("params.yaml"))
