"""Which scores count for a video without sound: decided once, for evaluation, figures, page and predictor.

A score file has the scores of one detector for every video. For a video without sound, an audio-visual detector uses
the pictures alone; a student that has learned to work without sound may be better, and can stand in. Without torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from avadclip.config.evaluation import MissingAudio
from avadclip.errors import EvaluationError
from avadclip.scoring.scores import Scores, collect, rows

AUDIO_VISUAL = {"visual", "audio"}


@dataclass(frozen=True)
class Answers:
    """Scores of all videos, and for which of them the stand-in's were taken."""

    scores: Scores
    stood_in: frozenset[str]


def misses_sound(modalities: Sequence[str], used: str) -> bool:
    """Whether a detector of both modalities (`modalities`) had no sound, and `used` only the pictures."""
    return set(modalities) == AUDIO_VISUAL and used == "visual"


def answer(scores: Scores, stand_in: Scores | None, policy: MissingAudio) -> Answers:
    """Apply `score.missing_audio` to the scores of one detector.

    Parameters
    ----------
    stand_in : scores of the student for the same videos; None if it was not scored, and the detector's own count.

    Raises
    ------
    EvaluationError : videos have no sound and the policy is to refuse them (they are listed), or the stand-in needs
        sound, has other classes, or names no classes although the detector does.
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
    if scores.class_probabilities is None:  # a detector that names no classes has confidence only
        others = {id_: replace(row, class_probabilities=None) for id_, row in others.items()}
    if missing := sorted(silent - others.keys()):
        raise EvaluationError(f"{missing[0]}: not scored by {stand_in.provenance.variant}; run `dvc repro score`")
    return Answers(collect(scores.provenance, [others[r.id] if r.id in silent else r for r in own]), silent)


def _check(own: Scores, other: Scores) -> None:
    detector, stand_in = own.provenance, other.provenance
    if "audio" in stand_in.modalities:
        raise EvaluationError(
            f"{stand_in.variant}: takes {' and '.join(stand_in.modalities)}, so it cannot stand in if a video has no"
            " sound; name a visual detector as `score.student`"
        )
    if detector.classes != stand_in.classes:
        raise EvaluationError(
            f"{stand_in.variant}: has the classes {stand_in.classes}, but {detector.variant}, for which it stands in"
            f" if a video has no sound, has {detector.classes}; train both on the same classes"
        )
    if other.class_probabilities is None and own.class_probabilities is not None:
        raise EvaluationError(
            f"{stand_in.variant}: names no classes, but {detector.variant}, for which it stands in if a video has no"
            " sound, does; name a detector with class probabilities as `score.student`"
        )
