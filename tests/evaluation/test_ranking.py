"""AP and AUC from a single sort, compared with scikit-learn under any weighting of the videos."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics import average_precision_score, roc_auc_score

from avadclip.evaluation.metrics import FRAME_CUTS
from avadclip.evaluation.ranking import rank
from avadclip.evaluation.resampling import cut_at_positives, cut_finely, ends, intervals

RTOL = 1e-12  # float64 sums of a few hundred terms, in another order


def make_items(seed: int, levels: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 200))
    scores = rng.random(n) if levels is None else rng.integers(0, levels, n) / levels
    size = rng.integers(1, 17, n)
    return scores.astype(np.float32), rng.integers(0, 7, n), size, rng.integers(0, size + 1)


@pytest.mark.parametrize("levels", [None, 3, 30])
@pytest.mark.parametrize("seed", range(20))
def test_equals_scikit_learn_on_single_frames(seed: int, levels: int | None) -> None:
    scores, video, size, positive = make_items(seed, levels)
    weights = np.random.default_rng(seed).integers(0, 4, 7).astype(float)
    truth = np.concatenate([np.arange(n) < n_positive for n, n_positive in zip(size, positive, strict=True)])
    frame_scores, frame_weights = np.repeat(scores, size), np.repeat(weights[video], size)
    ranking = rank(scores, video, size)
    found = ranking.positives(positive).under(weights, ranking.cumulate(weights))
    expected = (
        average_precision_score(truth, frame_scores, sample_weight=frame_weights),
        roc_auc_score(truth, frame_scores, sample_weight=frame_weights),
    )
    assert_allclose((found.average_precision(), found.area_under_roc()), expected, rtol=RTOL)


@pytest.mark.parametrize("n_points", [1, 2, 50, 1000])
@pytest.mark.parametrize("levels", [None, 3, 30])
def test_a_curve_says_what_the_score_of_each_chosen_positive_admits(levels: int | None, n_points: int) -> None:
    scores, video, size, positive = make_items(1, levels)
    ranking = rank(scores, video, size)
    curve = ranking.positives(positive).curve(ranking.cumulate(np.ones(7)), n_points)
    thresholds = sorted(scores[positive > 0].tolist(), reverse=True)
    expected = []
    for index in sorted({int(place) for place in np.linspace(0, len(thresholds) - 1, n_points)}):
        admitted = scores >= thresholds[index]
        true, false = positive[admitted].sum(), (size - positive)[admitted].sum()
        expected.append((true / positive.sum(), true / (true + false), false / (size - positive).sum()))
    found = np.stack([curve.recall, curve.precision, curve.false_positive_rate], axis=1)
    assert_allclose(found, expected, rtol=RTOL)


@pytest.mark.parametrize(
    ("positive", "recall", "precision", "false_positive_rate"),
    [
        ([0, 0, 0], [], [], []),
        ([1, 1, 1], [1 / 3, 2 / 3, 1], [1, 1, 1], [0, 0, 0]),
        ([1, 0, 1], [1 / 2, 1], [1, 2 / 3], [0, 1]),
    ],
)
def test_a_curve_by_hand(
    positive: list[int], recall: list[float], precision: list[float], false_positive_rate: list[float]
) -> None:
    ranking = rank(np.array([0.9, 0.5, 0.1]), np.arange(3), np.ones(3, np.int64))
    curve = ranking.positives(np.array(positive)).curve(ranking.cumulate(np.ones(3)), n_points=9)
    assert curve.recall.tolist() == recall
    assert curve.precision.tolist() == precision
    assert curve.false_positive_rate.tolist() == false_positive_rate


@pytest.mark.parametrize("positive", [0, 1], ids=["all negative", "all positive"])
def test_undefined_is_nan(positive: int) -> None:
    ranking = rank(np.array([0.3, 0.1]), np.array([0, 1]), np.array([1, 1]))
    found = ranking.positives(np.full(2, positive)).under(np.ones(2), ranking.cumulate(np.ones(2)))
    assert np.isnan(found.area_under_roc())
    assert np.isnan(found.average_precision()) == (positive == 0)


def test_no_items_at_all() -> None:
    none = np.zeros(0, dtype=np.int64)
    ranking = rank(np.zeros(0), none, none)
    found = ranking.positives(none).under(np.ones(2), ranking.cumulate(np.ones(2)))
    assert found.average_precision(total=3) == 0
    for cut in (
        cut_at_positives(ranking, ranking.positives(none), 2),
        cut_finely(ranking, ranking.positives(none), 2, 9),
    ):
        assert cut.under(np.ones((5, 2))).average_precision(total=np.full(5, 3.0)).tolist() == [0.0] * 5
        assert np.isnan(cut.under(np.ones((5, 2))).area_under_roc()).all()


def test_one_frame_of_each_kind() -> None:
    ranking = rank(np.array([0.9, 0.1]), np.array([0, 1]), np.array([1, 1]))
    positives = ranking.positives(np.array([1, 0]))
    found = positives.under(np.ones(2), ranking.cumulate(np.ones(2)))
    assert (found.average_precision(), found.average_precision(total=4), found.area_under_roc()) == (1, 1 / 4, 1)
    at_positives = cut_at_positives(ranking, positives, 2).under(np.ones((1, 2)))
    assert (at_positives.average_precision(), at_positives.average_precision(np.array([4.0]))) == (1, 1 / 4)
    assert cut_finely(ranking, positives, 2, 9).under(np.ones((1, 2))).area_under_roc() == 1


@pytest.mark.parametrize("levels", [None, 3, 30])
@pytest.mark.parametrize("seed", range(10))
def test_cut_at_positives_is_exact_for_many_weightings_at_once(seed: int, levels: int | None) -> None:
    scores, video, size, positive = make_items(seed, levels)
    weights = np.random.default_rng(seed).integers(0, 3, (5, 7)).astype(float)
    ranking = rank(scores, video, size)
    positives = ranking.positives(positive)
    one_by_one = [positives.under(row, ranking.cumulate(row)) for row in weights]
    cut = cut_at_positives(ranking, positives, n_videos=7).under(weights)
    assert_allclose(cut.average_precision(), [one.average_precision() for one in one_by_one], rtol=RTOL)
    fine = cut_finely(ranking, positives, n_videos=7, n_cuts=len(scores)).under(weights)
    assert_allclose(fine.average_precision(), [one.average_precision() for one in one_by_one], rtol=RTOL)
    assert_allclose(fine.area_under_roc(), [one.area_under_roc() for one in one_by_one], rtol=RTOL)


@pytest.mark.parametrize("share", [0.25, 1e-3, 1e-4])
def test_rounding_scores_for_the_intervals_moves_ap_and_auc_by_hundredths_of_a_point(share: float) -> None:
    """However rare positive items are: 1 in 10,000 is a second of anomaly in three hours."""
    rng = np.random.default_rng(0)
    video, size = np.repeat(np.arange(7), 10_000), np.full(70_000, 16)
    positive = 16 * (rng.random(70_000) < share)
    scores = rng.normal(positive / 8, 1)
    weights = rng.integers(1, 3, (3, 7)).astype(float)
    ranking = rank(scores, video, size)
    positives = ranking.positives(positive)
    exact = [positives.under(row, ranking.cumulate(row)) for row in weights]
    cuts = cut_finely(ranking, positives, 7, FRAME_CUTS)
    assert cuts.admitted.shape[1] <= 2 * FRAME_CUTS
    rounded = cuts.under(weights)
    assert_allclose(rounded.average_precision(), [one.average_precision() for one in exact], atol=3e-4)
    # Rare positive items may all be in one part, of whose items a half counts as below them.
    assert_allclose(rounded.area_under_roc(), [one.area_under_roc() for one in exact], atol=0.5 / FRAME_CUTS)


def test_interval_of_a_mean_is_that_of_normal_theory() -> None:
    values = np.random.default_rng(0).normal(10, 2, 400)
    found = intervals(lambda w: {"mean": w @ values / w.sum(axis=1)}, 400, resamples=4000, seed=1, confidence=0.95)
    half_width = 1.96 * values.std() / 20
    # 4,000 resamples locate a 2.5% quantile to a few percent of the width.
    assert_allclose(found["mean"], (values.mean() - half_width, values.mean() + half_width), atol=0.1 * half_width)


def test_as_many_resamples_lie_below_an_interval_as_above() -> None:
    assert ends({"rank": np.arange(101.0)}, confidence=0.9) == {"rank": pytest.approx((5, 95))}


def test_intervals_depend_on_the_seed_alone_and_skip_undefined_resamples() -> None:
    def evaluate(weights: np.ndarray) -> dict[str, np.ndarray]:
        first, second = weights[:, 0], weights[:, 1]
        sometimes = np.where(first > 0, second, np.nan)
        return {"roots": weights @ np.sqrt(np.arange(9)), "sometimes": sometimes, "never": np.full(50, np.nan)}

    once = intervals(evaluate, 9, resamples=50, seed=4, confidence=0.9)
    assert once == intervals(evaluate, 9, resamples=50, seed=4, confidence=0.9)
    assert once != intervals(evaluate, 9, resamples=50, seed=5, confidence=0.9)
    assert set(once) == {"roots", "sometimes"}


@pytest.mark.parametrize(("n_videos", "resamples", "expected"), [(3, 0, {}), (0, 5, {}), (1, 5, {"first": (1.0, 1.0)})])
def test_without_resamples_or_videos_there_are_no_intervals(
    n_videos: int, resamples: int, expected: dict[str, tuple[float, float]]
) -> None:
    assert intervals(lambda weights: {"first": weights[:, 0]}, n_videos, resamples, seed=0, confidence=0.95) == expected
