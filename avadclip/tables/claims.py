"""Whether the numbers support what the paper claims of a table: a difference, its interval, and a verdict.

The interval is around the mean difference over the seeds. It has two sources, whose half-widths are combined as
independent errors, by the root of the sum of squares: the choice of test videos (both detectors on the same resamples,
percentiles of the difference), and the choice of seeds (Student's t of the differences of each seed, so that two or
three seeds have to agree well). A claim holds, or does not, if the interval is on one side of zero.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from avadclip.tables.layout import AVERAGE, Expectation
from avadclip.tables.records import Record

HOLDS, FAILS, UNDECIDED = "holds", "does not hold", "undecided"


@dataclass(frozen=True)
class Difference:
    """The difference of two detectors on the same videos, in points, and its interval; None if it is not known."""

    value: float
    interval: tuple[float, float] | None
    why: str = ""  # why there is no interval

    @property
    def verdict(self) -> str:
        """The verdict on the claim that the difference is above zero."""
        if self.interval is None or self.interval[0] <= 0 <= self.interval[1]:
            return UNDECIDED
        return HOLDS if self.interval[0] > 0 else FAILS


def judged(expectation: Expectation, records: Mapping[str, Record]) -> str:
    """One line for one expectation: verdict, difference, interval."""
    names = (expectation.better, *expectation.worse)
    metric = "mAP AVG" if expectation.metric == AVERAGE else "AP"
    claim = f"{expectation.text} ({metric}, {expectation.better} above {', '.join(expectation.worse)})"
    if absent := [name for name in names if name not in records]:
        return f"{claim}: {UNDECIDED}, not measured: {', '.join(absent)}"
    better = records[expectation.better]
    found = {name: difference(better, records[name], expectation.metric) for name in expectation.worse}
    known = {name: one for name, one in found.items() if one is not None}
    if len(known) < len(found):
        return f"{claim}: {UNDECIDED}, {metric} is not defined here"
    verdicts = {one.verdict for one in known.values()}
    # The claim is about all of them, so one that is surely not below refutes it.
    verdict = FAILS if FAILS in verdicts else UNDECIDED if UNDECIDED in verdicts else HOLDS
    rival = min(known, key=lambda name: known[name].value)
    closest = known[rival]
    level = f"{better.protocol.settings['confidence']:.0%}"
    interval = f" [{closest.interval[0]:+.2f}, {closest.interval[1]:+.2f}] ({level})" if closest.interval else ""
    against = f" against {rival}" if len(known) > 1 else ""
    line = f"{claim}: {verdict}, {closest.value:+.2f}{interval}{against}{closest.why and f', {closest.why}'}"
    others = sorted({key for name in expectation.worse for key in differing(better, records[name], expectation)})
    return line + (f"; they differ in {', '.join(others)}, too" if others else "")


def difference(one: Record, other: Record, metric: str) -> Difference | None:
    """`one` minus `other`; None if the metric is not defined for both."""
    keys = ["mAP.AVG" if metric == AVERAGE else f"{record.branch}.AP" for record in (one, other)]
    pairs = ((one, keys[0]), (other, keys[1]))
    if any(key not in record.strict for record, key in pairs):
        return None
    value = one.strict[keys[0]] - other.strict[keys[1]]
    seeds = [{run.seed: run.strict[key] for run in record.runs if key in run.strict} for record, key in pairs]
    if seeds[0].keys() != seeds[1].keys():
        return Difference(value, None, "they have different seeds")
    if len(seeds[0]) < 2:
        return Difference(value, None, "one seed says nothing about others")
    if any(key not in record.deviation["strict"] for record, key in pairs):
        return Difference(value, None, "the seeds of one gave the same result")
    resampled = [np.array(record.resampled.get(key, ()), dtype=float) for record, key in pairs]
    if resampled[0].shape != resampled[1].shape or not np.isfinite(resampled[0] - resampled[1]).any():
        return Difference(value, None, "the videos were not resampled")
    confidence = one.protocol.settings["confidence"]
    tail = (1 - confidence) / 2
    of_seeds = np.array([seeds[0][seed] - seeds[1][seed] for seed in seeds[0]])
    by_seed = stdtrit(len(of_seeds) - 1, 1 - tail) * of_seeds.std(ddof=1) / math.sqrt(len(of_seeds))
    low, high = np.nanquantile(resampled[0] - resampled[1], [tail, 1 - tail])
    ends = (value - math.hypot(value - low, by_seed), value + math.hypot(high - value, by_seed))
    return Difference(value, (float(ends[0]), float(ends[1])))


def differing(one: Record, other: Record, expectation: Expectation) -> list[str]:
    """Settings that differ between two detectors but are not what the claim is about."""
    if "*" in expectation.switches:
        return []
    found, others = one.detector.settings, other.detector.settings
    keys = (found.keys() | others.keys()) - expectation.switches
    return [key for key in sorted(keys) if found.get(key) != others.get(key)]
