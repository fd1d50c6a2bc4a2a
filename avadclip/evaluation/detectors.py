"""The detectors in tables, figures and on the page: those that params.yaml names, each once per seed.

The folder of scores may also have files of variants that were removed or renamed. They are ignored, or a fresh clone
would give other results than an old one.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from avadclip import paths
from avadclip.config import Params
from avadclip.datasets.model import Video
from avadclip.errors import ConfigError, EvaluationError
from avadclip.evaluation.joining import check_scores, videos_under_test
from avadclip.evaluation.testset import TestSet
from avadclip.scoring import scores
from avadclip.scoring.scores import Scores
from avadclip.scoring.stand_in import Answers, answer, misses_sound

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoredDetector:
    """Scores of one detector for the test videos, or for normal training videos.

    Attributes
    ----------
    name : as in tables; see :func:`detector_name`.
    answers : one per seed, in the order of params.yaml, with the scores of the stand-in where they count; curves,
        figures and the page show the first.
    notes : what a reader of the numbers needs to know.
    """

    name: str
    answers: tuple[Answers, ...]
    notes: tuple[str, ...] = ()

    @property
    def first(self) -> Answers:
        """The answers of the first seed."""
        return self.answers[0]

    @property
    def seeds(self) -> tuple[int | None, ...]:
        """The seeds of training; None if one is not known (imported)."""
        return tuple(found.scores.provenance.seed for found in self.answers)


Place = Callable[[str, str, int, str], Path]  # `paths.scores` or `paths.normal_scores`


@dataclass(frozen=True)
class _Run:
    """One detector that was run."""

    dataset: str
    variant: str
    trained_on: str
    seed: int

    def file(self, place: Place = paths.scores) -> Path:
        return place(self.dataset, self.variant, self.seed, self.trained_on)


def detector_name(variant: str, trained_on: str, tested_on: str) -> str:
    """The variant and, if it is tested on another data set than it was trained on, the latter."""
    return variant if trained_on == tested_on else f"{variant}_from_{trained_on}"


def read_detectors(test_set: TestSet, params: Params) -> list[ScoredDetector]:
    """Read the scores of every detector under `score.variants`, once per seed, and under `score.across`, in this order.

    Those that were not trained, because the features lack what they need, are left out; see :func:`untrained`.

    If `score.missing_audio` is ``stand_in``, the scores of `score.student`, trained with the same seed on the same data
    set, count for the videos without sound. Left-over files in the folder are reported and not read.

    Raises
    ------
    EvaluationError : files are missing (all are named), damaged, of another detector than their name says, or do not
        fit the manifest; or a video has no sound and the policy is to refuse that.
    ConfigError : nothing is to be scored, nothing could be trained, or two detectors would have the same name.
    """
    _report_left_overs(test_set.dataset, params)
    return _read_all(test_set.dataset, params, paths.scores, videos_under_test(test_set.videos))


def read_on_normal_videos(dataset: str, params: Params, videos: Sequence[Video]) -> list[ScoredDetector]:
    """The same detectors, in the same order, on the normal videos on which a threshold may be chosen.

    Parameters
    ----------
    videos : see :func:`avadclip.datasets.splitting.level_videos`.

    Raises
    ------
    EvaluationError, ConfigError : as :func:`read_detectors`.
    """
    return _read_all(dataset, params, paths.normal_scores, videos)


def _read_all(dataset: str, params: Params, place: Place, videos: Sequence[Video]) -> list[ScoredDetector]:
    named = _named(dataset, params)
    _require([run.file(place) for own in named.values() for run in own])
    refused = untrained(dataset, params)
    named = {name: own for name, own in named.items() if name not in refused}
    if not named:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
        raise ConfigError(f"params.yaml: no detector of `score` can be trained on {dataset}: {reasons}")
    read = {run: _read(run, run.file(place), videos) for own in named.values() for run in own}
    return [_answer(name, own, read, params) for name, own in named.items()]


def untrained(dataset: str, params: Params) -> dict[str, str]:
    """Reason by name of the detectors that were not trained, because they need what the features do not have."""
    reasons = {name: scores.read_refusal(own[0].file()) for name, own in _named(dataset, params).items()}
    return {name: reason for name, reason in reasons.items() if reason is not None}


def _named(dataset: str, params: Params) -> dict[str, list[_Run]]:
    named = {
        variant: [_Run(dataset, variant, dataset, seed) for seed in params.seeds_of(variant)]
        for variant in params.score.variants
    }
    for key, across in params.score.across.items():
        if across.dataset == dataset:
            name = detector_name(across.variant, across.trained_on, dataset)
            runs = [_Run(dataset, across.variant, across.trained_on, params.seeds[0])]
            if named.setdefault(name, runs) != runs:
                raise ConfigError(f"params.yaml: score.across.{key}: its name in tables, {name!r}, is taken; rename it")
    if not named:
        raise ConfigError(f"params.yaml: score: names no detector for {dataset}; list its variants under `variants`")
    return named


def _require(files: Sequence[Path]) -> None:
    if absent := [str(file) for file in files if not file.is_file()]:
        raise EvaluationError(
            f"params.yaml names {len(files)} score files, of which {len(absent)} are not on this machine:"
            f" {', '.join(absent)}; run `dvc repro`, or `dvc pull score` (`score_across`) if a colleague has made them"
        )


def _report_left_overs(dataset: str, params: Params) -> None:
    known = {run.file() for own in _named(dataset, params).values() for run in own}
    # An imported detector has one seed, but DVC scores it once per seed like all others.
    known |= {paths.scores(dataset, variant, seed) for variant in params.score.variants for seed in params.seeds}
    found = {path for path in paths.scores_folder(dataset).glob("*.h5") if not path.name.startswith(".")}
    if left_over := sorted(path.name for path in found - known):
        logger.warning(
            "%s: ignored, because params.yaml does not name them: %s",
            paths.scores_folder(dataset),
            ", ".join(left_over),
        )


def _read(run: _Run, file: Path, videos: Sequence[Video]) -> Scores:
    found = scores.read(file)
    made = found.provenance
    if (made.dataset, made.variant, made.trained_on) != (run.dataset, run.variant, run.trained_on):
        raise EvaluationError(
            f"{file}: scores of {made.variant} from {made.trained_on} on {made.dataset}, expected {run.variant}"
            f" from {run.trained_on} on {run.dataset}; delete it and run `dvc repro`"
        )
    if made.seed not in (None, run.seed):
        raise EvaluationError(f"{file}: scores of seed {made.seed}; delete it and run `dvc repro`")
    try:
        check_scores(found, videos)
    except EvaluationError as error:
        raise EvaluationError(f"{file}: {error}") from None
    return found


def _answer(name: str, runs: Sequence[_Run], read: dict[_Run, Scores], params: Params) -> ScoredDetector:
    settings, answers, notes = params.score, [], []
    for run in runs:
        own = read[run]
        stand_in = read.get(_stand_in(run, params)) if settings.missing_audio == "stand_in" else None
        answers.append(answer(own, stand_in, settings.missing_audio))
        n_silent = sum(misses_sound(own.provenance.modalities, used) for used in own.modalities)
        if answers[-1].stood_in:
            notes.append(f"`{settings.student}` stands in for it in {n_silent} videos without sound")
        elif n_silent and settings.missing_audio == "stand_in":
            notes.append(
                f"its own scores count in {n_silent} videos without sound, because `{settings.student}`, which should"
                " stand in, was not scored"
            )
    return ScoredDetector(name, tuple(answers), tuple(dict.fromkeys(notes)))


def _stand_in(run: _Run, params: Params) -> _Run:
    """The student of the same seed, or the only one, if it is imported."""
    student = params.score.student
    seed = run.seed if run.seed in params.seeds_of(student) else params.seeds[0]
    return _Run(run.dataset, student, run.trained_on, seed)
