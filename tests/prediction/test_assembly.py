"""Evaluation and prediction find the same alarms, to the frame."""

import numpy as np
import pytest

from avadclip.config.evaluation import Alarms, Evaluate
from avadclip.evaluation import alarms, timeline
from avadclip.prediction.alarm import operating_point
from avadclip.prediction.assembly import AboutVideo, assemble
from avadclip.scoring import scores
from tests.support.evaluation_factory import make_case


@pytest.mark.parametrize("seed", range(20))
def test_the_same_alarms_to_the_frame(seed: int) -> None:
    random = np.random.default_rng(seed)
    case = make_case(random, n_videos=6)
    stride = case.scores.provenance.stride
    rule = Alarms(
        smooth_seconds=float(random.choice([0.0, 1.0, 3.0])),
        off=float(random.choice([1.0, 0.7])),
        bridge_seconds=float(random.choice([0.0, 1.5])),
        shortest_seconds=float(random.choice([0.0, 2.0])),
        pad_seconds=float(random.choice([0.0, 0.5])),
    )
    settings = Evaluate(alarm_threshold=0.6, alarm_branch="classification", alarms=rule)
    joined = timeline.strict(case.scores, case.videos, case.segments, case.classes)
    alarmed = alarms.alarmed_snippets(joined, settings, stride)
    rows = {row.id: row for row in scores.rows(case.scores)}
    for number, video in enumerate(joined.videos):
        own = slice(*joined.first_snippet[number : number + 2])
        frames = np.zeros(video.n_frames, bool)
        for start, length in zip(joined.start_frame[own][alarmed[own]], joined.frames[own][alarmed[own]], strict=True):
            frames[start : start + length] = True
        times = np.arange(len(alarmed[own]) + 1.0)
        about = AboutVideo(video.id, "v.mp4", video.n_frames, video.frame_rate, video.has_audio, stride, times)
        found = assemble(about, {"d": rows[video.id]}, case.classes, operating_point(settings))
        predicted = np.zeros(video.n_frames, bool)
        for segment in found.segments:
            predicted[segment.start_frame : segment.end_frame] = True
        np.testing.assert_array_equal(predicted, frames)
