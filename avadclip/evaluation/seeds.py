"""The same variant trained with several seeds: mean and standard deviation of its metrics.

Seeds are told by name: runs called ``audio_visual-seed1``, ``audio_visual-seed2`` ... are seeds of ``audio_visual``.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avadclip.evaluation.assessment import Assessment
from avadclip.evaluation.metrics import Metrics

_SEEDED = re.compile(r"(?P<variant>.+)-seed\d+(?P<origin>_from_.+)?")


@dataclass(frozen=True)
class Spread:
    """Metrics over training seeds."""

    name: str
    n_seeds: int
    released_mean: Metrics
    released_std: Metrics  # of a sample: divided by n_seeds - 1
    strict_mean: Metrics
    strict_std: Metrics


def spread_over_seeds(assessments: Sequence[Assessment]) -> list[Spread]:
    """One entry for every variant that was trained with at least two seeds, sorted by name."""
    groups: dict[str, list[Assessment]] = {}
    for assessment in assessments:
        if found := _SEEDED.fullmatch(assessment.name):
            groups.setdefault(found["variant"] + (found["origin"] or ""), []).append(assessment)
    spreads = []
    for name, members in sorted(groups.items()):
        if len(members) > 1:
            released = _mean_and_std([member.released for member in members])
            strict = _mean_and_std([member.strict for member in members])
            spreads.append(Spread(name, len(members), *released, *strict))
    return spreads


def _mean_and_std(rows: Sequence[Metrics]) -> tuple[Metrics, Metrics]:
    names = [name for name in rows[0] if all(name in row for row in rows)]
    values = np.array([[row[name] for name in names] for row in rows])
    means, deviations = values.mean(axis=0), values.std(axis=0, ddof=1)
    return dict(zip(names, means.tolist(), strict=True)), dict(zip(names, deviations.tolist(), strict=True))
