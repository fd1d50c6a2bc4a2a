"""Scores that a colleague has made and that were not pulled: without them, tables would lack detectors unnoticed.

The folder of scores is one dependency of the stages `evaluate` and `figures`, so `dvc repro --pull --allow-missing`
does not see which of its files are absent.
"""

from pathlib import Path

from avadclip import paths
from avadclip.config.evaluation import Score
from avadclip.errors import EvaluationError


def check_pulled(dataset: str, settings: Score, lock: Path = Path("dvc.lock")) -> None:
    """Raise :class:`EvaluationError` that lists the score files which `lock` knows and which are not on this machine.

    Parameters
    ----------
    settings : which detectors are scored; `lock` also remembers earlier ones.
    lock : DVC's record of what has been run, by anybody; without one, nothing is missing.
    """
    if not lock.exists():
        return
    known = lock.read_text(encoding="utf-8")
    expected = [paths.scores(dataset, variant) for variant in settings.variants]
    expected += [
        paths.scores(dataset, across.variant, across.trained_on)
        for across in settings.across.values()
        if across.dataset == dataset
    ]
    # A search, because to parse the whole record would take longer than to evaluate.
    absent = [str(path) for path in expected if not path.exists() and f"path: {path}\n" in known]
    if absent:
        raise EvaluationError(
            f"{paths.scores_folder(dataset)}: {lock} has {len(expected)} score files, of which {len(absent)} are not on"
            f" this machine: {', '.join(absent)}; run `dvc pull score` (`score_across`), or remove them from `score` in"
            " params.yaml"
        )
