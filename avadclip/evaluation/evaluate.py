"""Every score file of a data set -> metrics, plots and a summary. Starts in a fraction of a second: no torch."""

from collections.abc import Sequence
from pathlib import Path

from avadclip.config.evaluation import Evaluate
from avadclip.errors import EvaluationError
from avadclip.evaluation import results
from avadclip.evaluation.assessment import Assessment, assess
from avadclip.evaluation.seeds import spread_over_seeds
from avadclip.evaluation.summary import summarize
from avadclip.evaluation.testset import TestSet, random_scores
from avadclip.io import write_text
from avadclip.scoring import scores


def score_files(folder: Path) -> list[Path]:
    """The score files in a folder, sorted by name.

    Raises
    ------
    EvaluationError : there is none.
    """
    files = sorted(path for path in folder.glob("*.h5") if not path.name.startswith("."))
    if not files:
        raise EvaluationError(f"{folder}: holds no score file; run `dvc repro` or `dvc pull {folder}`")
    return files


def assess_all(files: Sequence[Path], test_set: TestSet, settings: Evaluate) -> list[Assessment]:
    """Assess every detector, and after them one that guesses, as in the paper's tables (without intervals).

    Raises
    ------
    EvaluationError : two files hold scores of detectors with one name, or a file does not fit the test set.
    """
    assessments = []
    for path in files:
        found = scores.read(path)
        if found.provenance.dataset != test_set.dataset:
            raise EvaluationError(
                f"{path}: scores of {found.provenance.dataset}, expected {test_set.dataset}; remove it"
            )
        try:
            assessments.append(assess(found, test_set, settings, settings.bootstrap_resamples))
        except EvaluationError as error:
            raise EvaluationError(f"{path}: {error}") from None
    assessments.append(assess(random_scores(test_set, settings.random_seed), test_set, settings, resamples=0))
    names = [entry.name for entry in assessments]
    if doubled := {name for name in names if names.count(name) > 1}:
        raise EvaluationError(f"{files[0].parent}: two score files of {sorted(doubled)[0]!r}; remove one")
    return assessments


def write_results(folder: Path, assessments: Sequence[Assessment], test_set: TestSet, settings: Evaluate) -> None:
    """Write ``metrics.json``, ``details.json``, ``summary.md`` and ``plots/*.csv`` into `folder`."""
    spreads = spread_over_seeds(assessments)
    results.write_json(folder / "metrics.json", results.headline(assessments, test_set))
    results.write_json(folder / "details.json", results.details(assessments, spreads, test_set, settings))
    write_text(folder / "summary.md", summarize(assessments, spreads, test_set, settings))
    for name, table in results.plot_tables(assessments, settings).items():
        results.write_table(folder / "plots" / name, table)
