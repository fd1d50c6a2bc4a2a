"""A budget of false alarms -> the threshold of each detector, chosen on normal videos that are not test videos.

It is the lowest threshold from which on the budget is kept, by it and by every higher one. The lowest one that keeps to
the budget could be too low, because alarms merge as the threshold falls, and an alarm that never ends counts once.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from avadclip import paths
from avadclip.config import Params
from avadclip.config.evaluation import Evaluate
from avadclip.datasets.model import Video
from avadclip.datasets.splitting import level_videos, split_training
from avadclip.detectors.alarm_score import alarm_score
from avadclip.errors import EvaluationError
from avadclip.evaluation.alarm_rule import AlarmRule, n_runs
from avadclip.evaluation.detectors import ScoredDetector, read_on_normal_videos
from avadclip.evaluation.files import read_details
from avadclip.evaluation.testset import RANDOM, TestSet, random_scores
from avadclip.scoring.scores import Provenance, Scores

Part = Literal["validation", "training", "unseen"]
CHOSEN_ON: Mapping[Part, str] = {
    "validation": "held out for validation",
    "training": "used in its training",
    "unseen": "used in the training of others",
}
HIGHEST = 0.99999994  # in single precision, there is no score between it and 1
_DECIMALS = 8  # distinguish a score in single precision from the next one, except close to 0


@dataclass(frozen=True)
class ChosenLevel:
    """The threshold of one detector, trained with one seed.

    Attributes
    ----------
    level : the threshold: an alarm is on where the score reaches it.
    part : the role of the videos on which it was chosen: held out for ``validation``, used in ``training``, or
        ``unseen``, because the detector was trained on another data set.
    n_videos, hours : number and length of the normal videos on which it was chosen.
    false_alarms : how many it raises there.
    """

    level: float
    part: Part
    n_videos: int
    hours: float
    false_alarms: int

    @property
    def false_alarms_per_hour(self) -> float:
        """The rate on the videos on which it was chosen."""
        return self.false_alarms / self.hours

    def breaks(self, budget: float) -> bool:
        """Whether there was no threshold that keeps to the budget."""
        return self.false_alarms_per_hour > budget


def choose_levels(
    detectors: Sequence[ScoredDetector], test_set: TestSet, params: Params
) -> dict[str, tuple[ChosenLevel, ...]]:
    """The threshold of every detector and seed, and of the random detector; empty if there is no budget.

    Each network has a scale of its own, so each seed has a threshold of its own.

    Raises
    ------
    EvaluationError : there is no normal video to choose on, or scores are missing or damaged.
    """
    settings, name, selection = params.evaluate, test_set.dataset, params.dataset(test_set.dataset).selection
    if settings.budget is None:
        return {}
    videos = level_videos(test_set.videos, selection)
    if not videos:
        raise EvaluationError(
            f"params.yaml: evaluate.alarm_threshold: a threshold is chosen on normal training videos, but"
            f" {name} has none (except copies of test videos); give a threshold, such as 0.5, instead of the budget"
        )
    held_out = set(videos) <= set(split_training(test_set.videos, selection).validation)
    normal = {found.name: found for found in read_on_normal_videos(name, params, videos)}
    chosen = {
        detector.name: tuple(choose(seed.scores, videos, settings, held_out) for seed in normal[detector.name].answers)
        for detector in detectors
    }
    guesses = random_scores(test_set, settings.random_seed, videos)
    return chosen | {RANDOM: (choose(guesses, videos, settings, held_out),)}


def choose(scores: Scores, videos: Sequence[Video], settings: Evaluate, held_out: bool = False) -> ChosenLevel:
    """The lowest threshold from which on alarms keep to the budget on these normal videos.

    Of thresholds that raise the same alarms there, it is the one with the fewest decimals. `HIGHEST` if none keeps to
    the budget: then false alarms reach a score of 1, or of the number next to it.

    Parameters
    ----------
    scores : of these videos.
    videos : sorted by id.
    held_out : whether a detector of this data set that was selected by `validation` has not been trained on them.
    """
    budget, hours = settings.budget, sum(video.n_frames / video.frame_rate for video in videos) / 3600
    assert budget is not None
    alarming = alarm_score(scores.anomaly_confidence, scores.class_probabilities, settings.alarm_branch)
    curves = [
        (AlarmRule.of(settings.alarms, scores.provenance.stride, video.frame_rate), alarming[first:end])
        for video, (first, end) in zip(videos, pairwise(scores.first_snippet.tolist()), strict=True)
    ]
    for level in (*_levels([rule.highest_levels(curve) for rule, curve in curves], hours, budget), HIGHEST):
        n_alarms = sum(int(n_runs(rule.alarmed(curve, [level]))[0]) for rule, curve in curves)
        if n_alarms / hours <= budget:
            break
    return ChosenLevel(level, part_of(scores.provenance, held_out), len(videos), hours, n_alarms)


def part_of(made_by: Provenance, held_out: bool) -> Part:
    """The role of the videos on which a threshold is chosen for the detector that scored them; see :func:`choose`."""
    if made_by.trained_on != made_by.dataset:
        return "unseen"
    return "validation" if held_out and made_by.selection == "validation" else "training"


def level_lines(dataset: str, detector: str) -> list[str]:
    """The thresholds that stage ``evaluate`` chose, one line for each seed.

    Raises
    ------
    EvaluationError : it chose nothing for this detector, or has not run.
    """
    details = read_details(dataset)["detectors"]
    if "levels" not in details.get(detector, {}):
        raise EvaluationError(
            f"{paths.details(dataset)}: no threshold was chosen for {detector!r} by a budget; run `dvc repro`"
        )
    return [
        f"seed {found['seed']}: threshold {found['level']:.9g}, chosen on {found['n_videos']} normal videos"
        f" ({found['hours']:.2f} h, {CHOSEN_ON[found['part']]}), {found['false_alarms_per_hour']:.2f} false alarms / h"
        for found in details[detector]["levels"]
    ]


def _levels(curves: Sequence[NDArray[np.float32]], hours: float, budget: float) -> Iterator[float]:
    """Candidates for the threshold, those with few decimals first.

    Parameters
    ----------
    curves : of each video, the highest threshold at which an alarm is on in each snippet.
    """
    before = np.concatenate([np.append(-np.inf, curve[:-1]) for curve in curves])
    after = np.concatenate(curves)
    # An alarm begins in a snippet at all thresholds in (before, after].
    begins = after > before
    lower, upper = np.sort(before[begins]), np.sort(after[begins])
    levels = np.unique(after[np.isfinite(after)])
    n_alarms = np.searchsorted(lower, levels) - np.searchsorted(upper, levels)
    broken = levels[n_alarms / hours > budget]
    above = float(broken[-1]) if len(broken) else 0.0
    higher = levels[levels > above]
    return _roundest(above, float(higher[0]) if len(higher) else 1.0)


def _roundest(above: float, up_to: float) -> Iterator[float]:
    """Thresholds in (above, up_to] and below 1, those with few decimals first; compared like scores, in float32."""
    for decimals in range(1, _DECIMALS + 1):
        step = 10**decimals
        for level in ((math.floor(above * step) + 1) / step, (math.floor(above * step) + 2) / step):
            if np.float32(above) < np.float32(level) <= np.float32(up_to) and level < 1:
                yield level
    if up_to < 1:
        yield up_to
