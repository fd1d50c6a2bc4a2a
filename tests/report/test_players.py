"""What the page takes from the video files: the copies to play, the times of the frames, and the sound."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avadclip import config, paths
from avadclip.config import Params
from avadclip.datasets.model import Segment
from avadclip.errors import DatasetError, ReportError
from avadclip.evaluation.testset import TestSet
from avadclip.report.footage import Footage, read_footage, write_footage
from avadclip.report.from_results import predict_test_set
from avadclip.report.payload import time_axis
from avadclip.report.players import make_players
from avadclip.report.sound_strip import draw_sound
from avadclip.scoring import scores
from avadclip.scoring.scores import VideoScores, collect
from tests.support.evaluation_factory import CLASSES, make_scores, make_video
from tests.support.media_factory import tone, write_video

# The first frame of `odd` comes late, and its frames are unevenly spaced.
ODD_SECONDS = [0.2, 0.25, 0.5, 0.6, 0.7, 1.0]
HIGHEST = {"calm": 0.2, "loud": 0.9, "mute": 0.95, "odd": 0.8, "gone": 0.99}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    write_video(folder / "calm.mp4", n_frames=24, frame_rate=24, audio=tone(1.0))
    write_video(folder / "loud.MKV", n_frames=24, frame_rate=24, audio=tone(1.0))
    write_video(folder / "mute.mp4", n_frames=12, frame_rate=24)
    write_video(folder / "odd.mp4", n_frames=6, frame_seconds=ODD_SECONDS, audio=tone(1.0))
    return folder


@pytest.fixture
def test_set(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TestSet:
    """Five videos with scores of two detectors, in an empty working directory; the file of one video is missing."""
    monkeypatch.chdir(tmp_path)
    videos = (
        make_video("calm", 24, ["normal"], path=str(files / "calm.mp4")),
        make_video("loud", 24, ["fighting"], path=str(files / "loud.MKV")),
        make_video("mute", 12, ["normal"], has_audio=False, path=str(files / "mute.mp4")),
        make_video("odd", 6, ["riot"], path=str(files / "odd.mp4"), frame_rate=7.0),
        make_video("gone", 48, ["normal"], path="gone.mp4"),
    )
    segments = (Segment("loud", "fighting", 6, 12), Segment("odd", "riot", 1, 5))
    found = TestSet("demo", "table", CLASSES, 4, videos, segments)
    for variant, modalities in (("audio_visual", ("visual", "audio")), ("visual_student", ("visual",))):
        write_scores(found, variant, modalities)
    return found


def write_scores(test_set: TestSet, variant: str, modalities: tuple[str, ...]) -> None:
    """Write scores that rise to `HIGHEST`; for the video without sound, only those of the student do."""
    made = make_scores(test_set.videos, CLASSES, 4, np.random.default_rng(0), variant=variant, modalities=modalities)
    rows = []
    for video in test_set.videos:
        n_snippets = -(-video.n_frames // 4)
        highest = 0.1 if (video.id, variant) == ("mute", "audio_visual") else HIGHEST[video.id]
        anomaly = np.linspace(0.05, highest, n_snippets, dtype=np.float32)
        probabilities = np.stack([1 - anomaly, anomaly, *[np.zeros_like(anomaly)] * 2], axis=1)
        used = "audio_visual" if video.has_audio and "audio" in modalities else "visual"
        rows.append(VideoScores(video.id, used, anomaly, probabilities))
    scores.write(paths.scores("demo", variant, 0), collect(made.provenance, rows))


def make_params(players: int = 60, **evaluate: object) -> Params:
    recipe = {"weights": {"sha256": "0" * 64}, "precision": "float32"}
    demo = {"kind": "table", "videos": "v", "annotations": "a", "classes": list(CLASSES)}
    return config.validate(
        {
            "datasets": {"demo": demo | {"visual": recipe | {"stride": 4}, "audio": recipe}},
            "extraction": {"workers": 1, "stall_seconds": 90},
            "train": {"audio_visual": {"kind": "audio_visual"}},
            "distill": {"visual_student": {"kind": "student"}},
            "score": {"variants": ["audio_visual", "visual_student"], "missing_audio": "stand_in"},
            "evaluate": evaluate,
            "report": {"players": players},
        },
        origin="params.yaml",
    )


@pytest.mark.slow
def test_the_most_alarming_videos_that_are_here_are_copied(test_set: TestSet, tmp_path: Path) -> None:
    (tmp_path / "players").mkdir()
    (tmp_path / "players/earlier.mp4").touch()
    found = make_players(tmp_path / "players", test_set, make_params(players=3))
    # For `mute` the student's score counts; `gone` would come first if its file were there.
    assert found.players == {"mute": "0001.mp4", "loud": "0002.mkv", "odd": "0003.mp4"}
    assert {path.name for path in (tmp_path / "players").iterdir()} == set(found.players.values())
    by_id = {video.id: video for video in test_set.videos}
    for video_id, name in found.players.items():
        assert (tmp_path / "players" / name).read_bytes() == Path(by_id[video_id].path).read_bytes()
    assert list(found.strips) == ["loud", "odd"]
    assert list(found.clocks) == ["calm", "loud", "mute", "odd"]


@pytest.mark.slow
def test_clocks_and_strips_are_those_of_the_page(test_set: TestSet, tmp_path: Path) -> None:
    footage = make_players(tmp_path / "players", test_set, make_params())
    predictions = {found.id: found for found in predict_test_set(test_set, make_params(), footage, {})}
    odd = predictions["odd"]
    start = ODD_SECONDS[0]  # times count from the first frame
    assert odd.clock_start_seconds == pytest.approx(start)
    assert footage.clocks["odd"][:-1] == pytest.approx(ODD_SECONDS)
    np.testing.assert_allclose(odd.boundary_seconds[:2], [0.0, ODD_SECONDS[4] - start], atol=1e-6)
    (event,) = odd.annotated
    assert (event.start_seconds, event.end_seconds) == pytest.approx((ODD_SECONDS[1] - start, ODD_SECONDS[5] - start))
    assert predictions["gone"].boundary_seconds.tolist() == [4 * n / 24 for n in range(13)]  # evenly, by its frame rate
    for video in test_set.videos:
        if video.id in footage.strips:
            prediction = predictions[video.id]
            axis = (seconds + prediction.clock_start_seconds for seconds in time_axis(prediction))
            assert footage.strips[video.id] == draw_sound(Path(video.path), *axis)
    in_order = sorted(predictions.values(), key=lambda found: (-found.alarm, found.id))
    assert [found.id for found in in_order if found.id in footage.players] == list(footage.players)
    assert [curve.detector for curve in predictions["mute"].curves] == ["visual_student"]
    assert [curve.detector for curve in predictions["loud"].curves] == ["audio_visual", "visual_student"]


@pytest.mark.slow
def test_a_threshold_changes_nothing_here(test_set: TestSet, tmp_path: Path) -> None:
    for name, threshold in (("low", 0.1), ("high", 0.99)):
        found = make_players(tmp_path / "players", test_set, make_params(players=1, alarm_threshold=threshold))
        write_footage(tmp_path / name, found)
    assert (tmp_path / "low").read_bytes() == (tmp_path / "high").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("video_id", "change", "message"),
    [
        ("loud", lambda video, bad: replace(video, n_frames=23), r"loud: .*loud\.MKV: 24 frames, .*manifest says 23"),
        ("calm", lambda video, bad: replace(video, path=str(bad)), r"calm: .*bad\.mp4: not a media file"),
    ],
)
def test_files_that_are_not_those_of_the_manifest_are_named(
    test_set: TestSet, tmp_path: Path, video_id: str, change: Callable, message: str
) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    videos = tuple(change(v, tmp_path / "bad.mp4") if v.id == video_id else v for v in test_set.videos)
    with pytest.raises(DatasetError, match=message):
        make_players(tmp_path / "players", replace(test_set, videos=videos), make_params())
    assert not (tmp_path / "players").exists()


def test_without_files_there_is_nothing_to_play(test_set: TestSet, tmp_path: Path) -> None:
    (tmp_path / "features.npy").touch()  # takes the place of a video when features were imported
    videos = tuple(replace(video, path="features.npy") for video in test_set.videos)
    found = make_players(tmp_path / "players", replace(test_set, videos=videos), make_params())
    assert (found.clocks, found.players, found.strips) == ({}, {}, {})
    assert list((tmp_path / "players").iterdir()) == []


@pytest.mark.parametrize("n_videos", [0, 3])
def test_footage_round_trip(tmp_path: Path, n_videos: int) -> None:
    rng = np.random.default_rng(n_videos)
    names = ["ünïcode __#1", "b", "a"][:n_videos]
    written = Footage(
        clocks={name: np.sort(rng.random(5 + len(name))) for name in names},
        players={name: f"{n}.mp4" for n, name in enumerate(names[:2])},
        strips={name: rng.bytes(n * 100) for n, name in enumerate(names[:2])},  # one is empty
    )
    for name in ("once.h5", "deep/twice.h5"):
        write_footage(tmp_path / name, written)
    assert (tmp_path / "once.h5").read_bytes() == (tmp_path / "deep/twice.h5").read_bytes()
    read = read_footage(tmp_path / "once.h5")
    assert (read.players, read.strips) == (written.players, written.strips)
    assert list(read.players) == list(written.players)
    assert read.clocks.keys() == written.clocks.keys()
    for name, clock in written.clocks.items():
        np.testing.assert_array_equal(read.clocks[name], clock)


def test_footage_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"footage\.h5: no such file; run `dvc repro players`"):
        read_footage(tmp_path / "footage.h5")
    write_footage(tmp_path / "footage.h5", Footage({"a": np.arange(5.0)}, {}, {}))
    with pytest.raises(ReportError, match="a: 4 frames on the page, but the manifest says 9"):
        read_footage(tmp_path / "footage.h5").clock(make_video("a", 9, ["normal"]))
    content = (tmp_path / "footage.h5").read_bytes()
    (tmp_path / "footage.h5").write_bytes(content.replace(b"avadclip-footage/1", b"avadclip-footage/2"))
    with pytest.raises(
        ReportError,
        match="footage/2 is newer than this version understands",
    ):
        read_footage(tmp_path / "footage.h5")
    (tmp_path / "footage.h5").write_bytes(content[:500])
    with pytest.raises(ReportError, match="not readable"):
        read_footage(tmp_path / "footage.h5")
