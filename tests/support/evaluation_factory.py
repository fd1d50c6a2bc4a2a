"""Random test sets for the evaluation: videos, ground truth and scores that fit together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from avadclip.datasets.model import Segment, Video
from avadclip.evaluation.detectors import ScoredDetector
from avadclip.scoring.scores import Provenance, Scores, VideoScores, collect, rows
from avadclip.scoring.stand_in import Answers

CLASSES = ("normal", "fighting", "shooting", "riot")
FRAME_RATE = 24.0


@dataclass(frozen=True)
class Case:
    """The whole input of an evaluation."""

    videos: tuple[Video, ...]
    segments: tuple[Segment, ...]
    scores: Scores
    classes: tuple[str, ...]

    @property
    def stride(self) -> int:
        return self.scores.provenance.stride


def make_video(video_id: str, n_frames: int, labels: Sequence[str], has_audio: bool = True, **changes: object) -> Video:
    """Make a test video as a manifest lists it."""
    row = {
        "id": video_id,
        "path": f"{video_id}.mp4",
        "split": "test",
        "labels": tuple(labels),
        "n_frames": n_frames,
        "frame_rate": FRAME_RATE,
        "has_audio": has_audio,
        "content_hash": "0" * 64,
    }
    return Video(**(row | changes))


def make_scores(
    videos: Sequence[Video],
    classes: Sequence[str],
    stride: int,
    rng: np.random.Generator,
    levels: int | None = None,
    **provenance: object,
) -> Scores:
    """Make random scores; with `levels` (a power of two) they are multiples of 1 / levels: many ties and exact sums."""

    def draw(*shape: int) -> np.ndarray:
        values = rng.random(shape) if levels is None else rng.integers(0, levels + 1, shape) / levels
        return values.astype(np.float32)

    made_by = {
        "dataset": "demo",
        "variant": "audio_visual",
        "trained_on": "demo",
        "seed": 0,
        "modalities": ("visual", "audio"),
        "selection": "validation",
        "classes": tuple(classes),
        "stride": stride,
    }
    made = []
    for video in videos:
        n_snippets = -(-video.n_frames // stride)
        made.append(VideoScores(video.id, "audio_visual", draw(n_snippets), draw(n_snippets, len(classes))))
    return collect(Provenance(**(made_by | provenance)), made)


def detector_of(*scores: Scores) -> ScoredDetector:
    """Make one detector with these scores, one for each seed."""
    return ScoredDetector(scores[0].provenance.variant, tuple(Answers(found, frozenset()) for found in scores))


def rows_of(scores: Scores, new_ids: dict[str, str] | None = None) -> list[VideoScores]:
    """Return the scores of each video, under new ids if they are given."""
    return [replace(row, id=new_ids[row.id] if new_ids else row.id) for row in rows(scores)]


def make_case(rng: np.random.Generator, *, stride: int = 4, levels: int | None = None, n_videos: int = 6) -> Case:
    """Make a few short videos, the first anomalous, the second normal; segments of a video may overlap or coincide."""
    classes = CLASSES[: rng.integers(2, len(CLASSES) + 1)]
    videos, segments = [], []
    for index in range(n_videos):
        n_frames = int(rng.integers(1, 90))
        is_normal = index == 1 or (index > 1 and rng.random() < 0.4)
        labels = ["normal"] if is_normal else [str(rng.choice(classes[1:]))]
        videos.append(make_video(f"video-{index}", n_frames, labels))
        for _ in range(0 if is_normal else rng.integers(1, 5)):
            start, end = sorted(rng.choice(n_frames + 1, size=2, replace=False).tolist())
            segments.append(Segment(f"video-{index}", str(rng.choice(classes[1:])), start, end))
    return Case(tuple(videos), tuple(segments), make_scores(videos, classes, stride, rng, levels), classes)
