"""Every detector of a data set -> metrics, plots and a summary. Without torch, so that it starts quickly."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from avadclip.config.evaluation import Evaluate
from avadclip.evaluation import files, results
from avadclip.evaluation.assessment import Assessment, assess
from avadclip.evaluation.budget import ChosenLevel
from avadclip.evaluation.detectors import ScoredDetector
from avadclip.evaluation.summary import summarize
from avadclip.evaluation.testset import RANDOM, TestSet, random_scores
from avadclip.io import write_text
from avadclip.scoring.stand_in import Answers

logger = logging.getLogger(__name__)


def assess_all(
    detectors: Sequence[ScoredDetector],
    test_set: TestSet,
    settings: Evaluate,
    levels: Mapping[str, tuple[ChosenLevel, ...]] | None = None,
) -> list[Assessment]:
    """Assess every detector and then the random one, as in the paper's tables (without intervals).

    Parameters
    ----------
    levels : the thresholds of each detector, one per seed, if the settings have a budget: :func:`choose_levels`.

    Raises
    ------
    EvaluationError : scores do not fit the test set.
    """
    for limit in test_set.limits:
        logger.warning("%s: %s", test_set.dataset, limit)
    levels = levels or {}
    guesses = Answers(random_scores(test_set, settings.random_seed), stood_in=frozenset())
    resampled = [(detector, settings.bootstrap_resamples) for detector in detectors]
    return [
        assess(detector, test_set, settings, resamples, levels.get(detector.name, ()))
        for detector, resamples in (*resampled, (ScoredDetector(RANDOM, (guesses,)), 0))
    ]


def write_results(
    folder: Path,
    assessments: Sequence[Assessment],
    test_set: TestSet,
    settings: Evaluate,
    untrained: Mapping[str, str] | None = None,
) -> None:
    """Write ``metrics.json``, ``details.json``, ``summary.md`` and ``plots/*.csv`` into `folder`.

    Parameters
    ----------
    untrained : reason by name of the detectors that are in no table, for the summary.
    """
    files.write_json(folder / "metrics.json", results.headline(assessments, test_set))
    files.write_json(folder / "details.json", results.details(assessments, test_set, settings))
    write_text(folder / "summary.md", summarize(assessments, test_set, settings, untrained or {}))
    for name, table in results.plot_tables(assessments, settings).items():
        files.write_table(folder / "plots" / name, table)
