"""The files of the test videos -> what the page needs from them; everything for the page is decoded here.

Nothing depends on these files: if they are not here, the page shows no player, and frames are evenly spaced.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avadclip.config import Params
from avadclip.config.evaluation import Branch
from avadclip.config.features import Extraction
from avadclip.datasets.ids import has_video_extension
from avadclip.datasets.model import Video
from avadclip.detectors.alarm_score import alarm_score
from avadclip.errors import DatasetError
from avadclip.evaluation.detectors import ScoredDetector, read_detectors
from avadclip.evaluation.joining import videos_under_test
from avadclip.evaluation.testset import TestSet
from avadclip.io import copy
from avadclip.media.probe import probe
from avadclip.progress import rate_progress
from avadclip.report.footage import Footage, safe_suffix
from avadclip.report.shown import shown_on_page
from avadclip.workers import Failed, Finished, GuardedPool, Item


@dataclass(frozen=True)
class _Film:
    """The task of a worker for one file."""

    path: str
    draws_sound: bool

    def __call__(self) -> Iterator[NDArray[np.float64] | bytes | None]:
        """Yield the clock and, if it is played, the strip; None is a sign of life."""
        info = probe(Path(self.path))
        clock = np.append(info.frame_seconds, info.end_seconds)
        yield clock
        if self.draws_sound:
            from avadclip.report.sound_strip import (
                draw_sound_in_steps,
            )  # importing takes seconds, and most videos are not played

            yield from draw_sound_in_steps(Path(self.path), float(clock[0]), float(clock[-1]))


def make_players(folder: Path, test_set: TestSet, params: Params) -> Footage:
    """Copy the videos that the page plays into `folder`, and read their clocks and sound.

    Parameters
    ----------
    params : `report.players` says how many videos are played: the most alarming ones, by the detector that decides.

    Raises
    ------
    EvaluationError : scores are missing or do not fit the manifest.
    DatasetError : files are not those that stage ``prepare`` read; all of them are named.
    """
    deciding = shown_on_page(read_detectors(test_set, params), params)[0]
    here = [video for video in videos_under_test(test_set.videos) if _is_video(video.path)]
    played = most_alarming(here, deciding, params.evaluate.alarm_branch)[: params.report.players]
    clocks, strips = _look_at(here, {video.id for video in played if video.has_audio}, params.extraction)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    players = {
        # Numbers, so that no name can do harm.
        video.id: f"{number:04d}{safe_suffix(Path(video.path))}"
        for number, video in enumerate(played, start=1)
    }
    for video in played:
        copy(Path(video.path), folder / players[video.id])
    return Footage(
        clocks={video.id: clocks[video.id] for video in here},
        players=players,
        strips={video.id: strips[video.id] for video in played if video.id in strips},
    )


def most_alarming(videos: Sequence[Video], deciding: ScoredDetector, branch: Branch) -> list[Video]:
    """Videos by their highest score, the most alarming first; equal ones by id."""
    scores = deciding.first.scores
    alarms = alarm_score(scores.anomaly_confidence, scores.class_probabilities, branch)
    highest = dict(zip(scores.ids, np.maximum.reduceat(alarms, scores.first_snippet[:-1]).tolist(), strict=True))
    return sorted(videos, key=lambda video: (-highest[video.id], video.id))


def _look_at(
    videos: Sequence[Video], with_sound: set[str], settings: Extraction
) -> tuple[Mapping[str, NDArray[np.float64]], Mapping[str, bytes]]:
    clocks: dict[str, NDArray[np.float64]] = {}
    strips: dict[str, bytes] = {}
    failures: dict[str, str] = {}
    with GuardedPool(settings.workers, settings.stall_seconds) as pool, rate_progress() as progress:
        for video in videos:
            pool.submit(video.id, _Film(video.path, video.id in with_sound))
        bar = progress.add_task("reading videos", total=len(videos), unit="videos", visible=bool(videos))
        for event in pool.events():
            match event:
                case Item(video_id, np.ndarray() as clock):
                    clocks[video_id] = clock
                case Item(video_id, bytes() as strip):
                    strips[video_id] = strip
                case Failed(video_id, reason):
                    failures[video_id] = reason
            progress.advance(bar, isinstance(event, Finished | Failed))
    for video in videos:
        if video.id in clocks and (found := len(clocks[video.id]) - 1) != video.n_frames:
            failures[video.id] = f"{video.path}: {found} frames, but the manifest says {video.n_frames}"
    if failures:
        listed = "".join(f"\n{video_id}: {failures[video_id]}" for video_id in sorted(failures))
        raise DatasetError(f"{len(failures)} videos are not as stage `prepare` read them; run `dvc repro`:{listed}")
    return clocks, strips


def _is_video(path: str) -> bool:
    """Whether the file is a video on this machine; it is not for imported features."""
    return has_video_extension(path) and Path(path).is_file()
