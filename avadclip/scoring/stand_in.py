"""Who answers for a video without sound: decided once, after scoring, for evaluation, figures, page and predictor.

A score file holds what one detector says of every video. A detector that looks and listens says of a silent video what
it sees; a student that was taught to do without sound may know better, and can stand in for it there. No torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from avadclip.config.evaluation import MissingAudio
from avadclip.errors import EvaluationError
from avadclip.scoring.scores import Scores, collect, rows

AUDIO_VISUAL = {"visual", "audio"}


@dataclass(frozen=True)
class Answers:
    """Scores of all videos, and for which of them the stand-in answered."""

    scores: Scores
    stood_in: frozenset[str]


def misses_sound(modalities: Sequence[str], used: str) -> bool:
    """Whether a detector that looks and listens (`modalities`) had nothing to hear, and `used` sight alone."""
    return set(modalities) == AUDIO_VISUAL and used == "visual"


def answer(scores: Scores, stand_in: Scores | None, policy: MissingAudio) -> Answers:
    """Apply `score.missing_audio` to the scores of one detector.

    Parameters
    ----------
    stand_in : scores of the student over the same videos; None where it was not scored, and the detector's own stand.

    Raises
    ------
    EvaluationError : videos have no sound and that is refused (they are listed), or the stand-in listens,
        knows other classes, or names none where the detector does.
    """
    own = rows(scores)
    silent = frozenset(row.id for row in own if misses_sound(scores.provenance.modalities, row.modality))
    if not silent or policy == "fallback":
        return Answers(scores, frozenset())
    if policy == "refuse":
        raise EvaluationError(
            f"{len(silent)} videos of {scores.provenance.dataset} have no sound and `score.missing_audio` is"
            f" `refuse`: {', '.join(sorted(silent))}; exclude them, or choose `stand_in` or `fallback`"
        )
    if stand_in is None:
        return Answers(scores, frozenset())
    _check(scores, stand_in)
    others = {row.id: row for row in rows(stand_in)}
    if scores.class_probabilities is None:  # of one that names no classes, the confidence alone is told
        others = {id_: replace(row, class_probabilities=None) for id_, row in others.items()}
    if missing := sorted(silent - others.keys()):
        raise EvaluationError(f"{missing[0]}: not scored by {stand_in.provenance.variant}; run `dvc repro score`")
    return Answers(collect(scores.provenance, [others[r.id] if r.id in silent else r for r in own]), silent)


def _check(own: Scores, other: Scores) -> None:
    detector, stand_in = own.provenance, other.provenance
    if "audio" in stand_in.modalities:
        raise EvaluationError(
            f"{stand_in.variant}: takes {' and '.join(stand_in.modalities)}, so it cannot stand in where a video has no"
            " sound; name a visual detector as `score.student`"
        )
    if detector.classes != stand_in.classes:
        raise EvaluationError(
            f"{stand_in.variant}: knows the classes {stand_in.classes}, but {detector.variant}, for which it stands in"
            f" where a video has no sound, knows {detector.classes}; train both on the same classes"
        )
    if other.class_probabilities is None and own.class_probabilities is not None:
        raise EvaluationError(
            f"{stand_in.variant}: names no classes, but {detector.variant}, for which it stands in where a video has no"
            " sound, does; name a detector with class probabilities as `score.student`"
        )
