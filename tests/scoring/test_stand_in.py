"""Which detector answers for a video without sound, for every policy and kind of detector."""

from dataclasses import replace

import numpy as np
import pytest

from avadclip.errors import EvaluationError
from avadclip.scoring.scores import Provenance, Scores, VideoScores, collect, rows
from avadclip.scoring.stand_in import answer, misses_sound

CLASSES = ("normal", "fighting")
# Video -> the modalities of it that an audio-visual detector could use.
USED = {"loud": "audio_visual", "mute": "visual", "quiet": "visual"}


def make(variant: str, modalities: tuple[str, ...], used: dict[str, str], seed: int, **changes: object) -> Scores:
    """Make random scores with two snippets a video."""
    rng = np.random.default_rng(seed)
    made_by = Provenance("demo", variant, "demo", 0, modalities, "last", CLASSES, 16)
    made = [
        VideoScores(id_, modality, rng.random(2, np.float32), rng.random((2, 2), np.float32))
        for id_, modality in used.items()
    ]
    return collect(replace(made_by, **changes), made)


DETECTOR = make("audio_visual", ("visual", "audio"), USED, seed=1)
STUDENT = make("visual_student", ("visual",), dict.fromkeys(USED, "visual"), seed=2)


@pytest.mark.parametrize(
    ("modalities", "used", "expected"),
    [
        (("visual", "audio"), "visual", True),
        (("audio", "visual"), "visual", True),
        (("visual", "audio"), "audio_visual", False),
        (("visual", "audio"), "audio", False),
        (("visual",), "visual", False),
        (("audio",), "none", False),  # an audio detector, which never uses pictures
    ],
)
def test_sound_is_missed_by_those_that_listen_and_look(modalities: tuple[str, ...], used: str, expected: bool) -> None:
    assert misses_sound(modalities, used) == expected


def test_the_student_answers_for_videos_without_sound_and_for_no_other() -> None:
    found = answer(DETECTOR, STUDENT, "stand_in")
    assert found.stood_in == {"mute", "quiet"}
    assert found.scores.provenance == DETECTOR.provenance
    for row, own, student in zip(rows(found.scores), rows(DETECTOR), rows(STUDENT), strict=True):
        expected = own if row.id == "loud" else student
        assert (row.id, row.modality) == (expected.id, expected.modality)
        np.testing.assert_array_equal(row.anomaly_confidence, expected.anomaly_confidence)
        np.testing.assert_array_equal(row.class_probabilities, expected.class_probabilities)


@pytest.mark.parametrize(
    ("detector", "student", "policy"),
    [
        (DETECTOR, STUDENT, "fallback"),
        (DETECTOR, None, "stand_in"),  # the student was not scored
        (STUDENT, STUDENT, "stand_in"),
        (STUDENT, STUDENT, "refuse"),  # it never uses sound
        (make("audio_visual", ("visual", "audio"), dict.fromkeys(USED, "audio_visual"), 3), STUDENT, "refuse"),
    ],
)
def test_otherwise_a_detector_answers_for_itself(detector: Scores, student: Scores | None, policy: str) -> None:
    found = answer(detector, student, policy)
    assert found.scores is detector
    assert found.stood_in == frozenset()


def test_refusal_lists_the_videos() -> None:
    with pytest.raises(EvaluationError, match=r"2 videos of demo have no sound.*: mute, quiet;"):
        answer(DETECTOR, STUDENT, "refuse")


def test_the_student_has_to_know_the_same_classes_and_videos() -> None:
    with pytest.raises(EvaluationError, match=r"visual_student: has the classes .*riot.*audio_visual.*fighting"):
        answer(DETECTOR, make("visual_student", ("visual",), USED, 2, classes=("normal", "riot")), "stand_in")
    fewer = make("visual_student", ("visual",), {"loud": "visual", "mute": "visual"}, 2)
    with pytest.raises(EvaluationError, match="quiet: not scored by visual_student"):
        answer(DETECTOR, fewer, "stand_in")


def test_what_needs_sound_cannot_stand_in_where_there_is_none() -> None:
    listener = make("early_fusion", ("visual", "audio"), USED, 2)
    reason = "so it cannot stand in if a video has no sound; name a visual detector as `score.student`$"
    with pytest.raises(EvaluationError, match=f"^early_fusion: takes visual and audio, {reason}"):
        answer(DETECTOR, listener, "stand_in")


def without_classes(scores: Scores) -> Scores:
    return collect(scores.provenance, [replace(row, class_probabilities=None) for row in rows(scores)])


def test_for_a_detector_that_names_no_classes_the_students_confidence_counts() -> None:
    found = answer(without_classes(DETECTOR), STUDENT, "stand_in")
    assert found.stood_in == {"mute", "quiet"}
    assert found.scores.class_probabilities is None
    for row, own, student in zip(rows(found.scores), rows(DETECTOR), rows(STUDENT), strict=True):
        expected = own if row.id == "loud" else student
        np.testing.assert_array_equal(row.anomaly_confidence, expected.anomaly_confidence)
    found, remedy = "names no classes, but audio_visual", "name a detector with class probabilities as `score.student`$"
    reason = f"{found}, for which it stands in if a video has no sound, does; {remedy}"
    with pytest.raises(EvaluationError, match=f"^visual_student: {reason}"):
        answer(DETECTOR, without_classes(STUDENT), "stand_in")
