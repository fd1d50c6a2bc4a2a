"""The rule that turns scores into alarms, compared with a table and with a loop over the snippets."""

import numpy as np
import pytest

from avadclip.config.evaluation import Alarms
from avadclip.evaluation.alarm_rule import EVERY_RUN, AlarmRule, n_runs


def alarms(scores: list[float], threshold: float = 0.5, **rule: float) -> str:
    """One character per snippet: `#` where an alarm is on."""
    (row,) = AlarmRule(**rule).alarmed(np.array(scores, np.float32), [threshold])
    return "".join("#" if is_on else "." for is_on in row)


def digits(text: str) -> list[float]:
    """Scores, each written as one digit of tenths."""
    return [int(digit) / 10 for digit in text]


@pytest.mark.parametrize(
    ("scores", "rule", "expected"),
    [
        ("0590900", {}, ".##.#.."),
        ("0590900", {"bridge": 1}, ".####.."),
        ("0590090", {"bridge": 1}, ".##..#."),
        ("4590940", {"off": 0.8}, "###.##."),  # an alarm extends to scores of 0.4, before and after
        ("4440900", {"off": 0.8}, "....#.."),  # but begins only at 0.5
        ("0590900", {"shortest": 2}, ".##...."),
        ("0590900", {"bridge": 1, "shortest": 4}, ".####.."),  # gaps are bridged first
        ("9000009", {"pad": 1}, "##...##"),
        ("0900900", {"pad": 1}, "######."),
        ("0900900", {"shortest": 2, "pad": 1}, "......."),  # alarms that are too short are not padded
        ("0600600", {"smooth": 1}, "......."),  # means of three: 0.2
        ("0990000", {"smooth": 1}, ".##...."),
        ("9000000", {"smooth": 1}, "......."),  # at the ends, means of two: 0.45
        ("0000099", {"smooth": 1}, ".....##"),
    ],
)
def test_by_hand(scores: str, rule: dict[str, float], expected: str) -> None:
    assert alarms(digits(scores), **rule) == expected


def test_a_threshold_is_compared_in_the_precision_of_the_scores() -> None:
    assert alarms([0.9, 0.8], threshold=0.9) == "#."  # the nearest float32 is a little less than 0.9


def test_means_of_a_long_video_are_exact() -> None:
    scores = np.random.default_rng(0).random(20_000, np.float32)
    means = [scores[max(0, i - 1) : i + 2].mean(dtype=np.float64) for i in range(len(scores))]
    # rounded to single precision; running sums in single precision would be off by 1e-3
    np.testing.assert_allclose(AlarmRule(smooth=1).highest_levels(scores), means, rtol=1e-6)


def test_no_level_alarms_where_every_alarm_would_be_too_short() -> None:
    assert AlarmRule(shortest=3, pad=1).highest_levels(np.ones(2, np.float32)).tolist() == [-np.inf] * 2


def test_runs_are_counted_in_each_row() -> None:
    rows = np.array([[1, 1, 0, 1], [0, 0, 0, 0], [0, 1, 1, 1]], bool)
    assert n_runs(rows).tolist() == [2, 0, 1]


def slowly(scores: np.ndarray, threshold: float, rule: AlarmRule) -> list[bool]:
    n = len(scores)
    means = [
        np.float32(np.mean([float(s) for s in scores[max(0, i - rule.smooth) : i + rule.smooth + 1]])) for i in range(n)
    ]
    on = [mean >= np.float32(threshold) for mean in means]
    goes_on = [mean >= np.float32(rule.off * threshold) for mean in means]
    alarmed = list(on)
    for direction in (range(1, n), range(n - 2, -1, -1)):
        for i in direction:
            before = i - 1 if direction.step > 0 else i + 1
            alarmed[i] = alarmed[i] or (goes_on[i] and alarmed[before])
    bridged = list(alarmed)
    for i in range(n):
        before = [j for j in range(i) if alarmed[j]]
        after = [j for j in range(i + 1, n) if alarmed[j]]
        if not alarmed[i] and before and after and after[0] - before[-1] - 1 <= rule.bridge:
            bridged[i] = True
    found = [False] * n
    for i in range(n):
        if bridged[i]:
            first, last = i, i
            while first > 0 and bridged[first - 1]:
                first -= 1
            while last < n - 1 and bridged[last + 1]:
                last += 1
            if last - first + 1 >= rule.shortest:
                for j in range(max(0, i - rule.pad), min(n, i + rule.pad + 1)):
                    found[j] = True
    return found


@pytest.mark.parametrize("seed", range(150))
def test_as_its_words_say(seed: int) -> None:
    """Scores are multiples of 1/8: their sums are exact, and some means equal a threshold."""
    random = np.random.default_rng(seed)
    scores = (random.integers(0, 9, random.integers(1, 40)) / 8).astype(np.float32)
    rule = AlarmRule(
        smooth=int(random.integers(0, 3)),
        off=float(random.choice([1.0, 0.5, 0.25, 0.0])),
        bridge=int(random.integers(0, 5)),
        shortest=int(random.integers(1, 5)),
        pad=int(random.integers(0, 3)),
    )
    thresholds = [0.0, 0.25, 0.5, 0.875, 1.0]
    found = rule.alarmed(scores, thresholds)
    assert found.tolist() == [slowly(scores, threshold, rule) for threshold in thresholds]


@pytest.mark.parametrize(
    ("alarms", "stride", "frame_rate", "rule"),
    [
        ({}, 16, 24.0, EVERY_RUN),
        ({"smooth_seconds": 2.0}, 16, 24.0, AlarmRule(smooth=1)),  # three snippets
        ({"smooth_seconds": 1.9}, 16, 24.0, AlarmRule(smooth=1)),
        ({"smooth_seconds": 1.3}, 16, 24.0, AlarmRule()),
        ({"bridge_seconds": 2.0, "shortest_seconds": 2.0}, 16, 24.0, AlarmRule(bridge=3, shortest=3)),
        ({"bridge_seconds": 2.5, "shortest_seconds": 2.1}, 16, 24.0, AlarmRule(bridge=3, shortest=4)),
        ({"pad_seconds": 0.1, "off": 0.8}, 16, 24.0, AlarmRule(pad=1, off=0.8)),
        ({"bridge_seconds": 1.001001}, 30, 29.97, AlarmRule(bridge=1)),  # 30 frames, but for rounding
    ],
)
def test_seconds_become_snippets(alarms: dict[str, float], stride: int, frame_rate: float, rule: AlarmRule) -> None:
    assert AlarmRule.of(Alarms(**alarms), stride, frame_rate) == rule


@pytest.mark.parametrize("window", ["smooth", "bridge", "shortest", "pad"])
def test_any_number_of_seconds_is_a_window(window: str) -> None:
    """`bridge_seconds: 1e30` joins whatever is in a video, and costs neither time nor memory."""
    scores = np.array([0.75, 0.25, 0.25, 0.75, 0.0], np.float32)
    endless, whole = AlarmRule.of(Alarms(**{f"{window}_seconds": 1e30}), 16, 24.0), AlarmRule(**{window: 6})
    for level in (0.25, 0.5, 0.875):
        found = endless.alarmed(scores, [level])[0].tolist()
        assert found == whole.alarmed(scores, [level])[0].tolist() == slowly(scores, level, whole)
    assert endless.highest_levels(scores).tolist() == whole.highest_levels(scores).tolist()


def test_it_is_told_in_words() -> None:
    assert str(Alarms()) == ""
    assert str(Alarms(smooth_seconds=2.0, off=0.8, pad_seconds=1.0)) == (
        "scores are averaged over 2 s; an alarm continues down to 0.8 of that; 1 s are added before and after"
    )


@pytest.mark.parametrize("seed", range(60))
def test_the_highest_level_of_each_snippet_says_the_same_for_every_level(seed: int) -> None:
    """At every score, at every level where an alarm may end, and at the float32 numbers next to them."""
    random = np.random.default_rng(seed)
    n = int(random.integers(1, 25))
    scores = (random.integers(0, 9, n) / 8 if seed % 3 else random.random(n)).astype(np.float32)
    rule = AlarmRule(
        smooth=int(random.integers(0, 3)),
        off=float(random.choice([1.0, 0.9, 0.37])),
        bridge=int(random.integers(0, 4)),
        shortest=int(random.integers(1, 5)),
        pad=int(random.integers(0, 3)),
    )
    reached = AlarmRule(smooth=rule.smooth).highest_levels(scores)
    levels = np.concatenate([reached, (reached / rule.off).astype(np.float32), [np.float32(0.5)]])
    levels = np.concatenate([np.nextafter(levels, np.float32(-1)), levels, np.nextafter(levels, np.float32(2))])
    assert np.array_equal(rule.alarmed(scores, levels.tolist()), rule.highest_levels(scores) >= levels[:, None])
