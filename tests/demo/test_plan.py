"""What a demo world promises about its clips, before any is drawn."""

from collections import Counter
from itertools import pairwise

import pytest

from avadclip.demo.captions import CLASSES, NORMAL, caption, wordings
from avadclip.demo.plan import ANOMALIES, FRAME_RATE, LOOK_ALIKES, SECONDS, Clip, plan_world

WORLD = plan_world(seed=5, n_train=400, n_test=200)
EVENTS = [event for clip in WORLD for event in clip.events]


def spans(clip: Clip) -> list[tuple[int, int]]:
    return sorted((part.start_frame, part.end_frame) for part in (*clip.events, *clip.look_alikes, *clip.spells))


def test_the_same_seed_gives_the_same_world_and_another_seed_another() -> None:
    assert plan_world(seed=5, n_train=400, n_test=200) == WORLD
    other = plan_world(seed=6, n_train=400, n_test=200)
    assert {clip.seed for clip in WORLD}.isdisjoint(clip.seed for clip in other)


def test_every_video_has_its_split_its_id_and_its_numbers() -> None:
    assert len({clip.id for clip in WORLD}) == 600
    assert len({clip.seed for clip in WORLD}) == 600
    assert Counter(clip.split for clip in WORLD) == {"train": 400, "test": 200}


@pytest.mark.parametrize("split", ["train", "test"])
def test_classes_are_dealt_evenly(split: str) -> None:
    counts = Counter(clip.labels[0] for clip in WORLD if clip.split == split)
    anomalous = [counts[name] for name in ANOMALIES]
    assert counts["normal"] == 0.45 * sum(counts.values())
    assert max(anomalous) < 2 * min(anomalous)  # the first label need not be the one that was dealt


def test_nothing_overlaps_and_everything_lies_within_its_video() -> None:
    for clip in WORLD:
        assert round(SECONDS[0] * FRAME_RATE) <= clip.n_frames <= round(SECONDS[1] * FRAME_RATE)
        edges = [0, *(edge for span in spans(clip) for edge in span), clip.n_frames]
        assert all(later - earlier >= FRAME_RATE for earlier, later in pairwise(edges)), clip


def test_events_are_seen_heard_or_both_in_known_shares() -> None:
    counts = Counter(event.senses for clip in WORLD if clip.has_track for event in clip.events)
    total = sum(counts.values())
    # Three standard deviations of a share of about 380 events are 0.08.
    assert {sense: counts[sense] / total for sense in counts} == pytest.approx(
        {"seen": 0.3, "heard": 0.3, "both": 0.4}, abs=0.08
    )
    for event in EVENTS:
        hidings = {"seen": {"silent", "masked"}, "heard": {"dark", "occluded", "off camera"}, "both": {""}}
        assert event.hiding in hidings[event.senses]


def test_without_a_track_nothing_is_heard() -> None:
    silent = [clip for clip in WORLD if not clip.has_track]
    assert 0.04 < len(silent) / len(WORLD) < 0.12
    for clip in silent:
        assert {event.senses for event in clip.events} <= {"seen"}
        assert {look_alike.modality for look_alike in clip.look_alikes} <= {"seen"}


def test_several_labels_occur_and_normal_videos_hold_look_alikes_in_one_modality() -> None:
    assert sum(len(clip.labels) == 2 for clip in WORLD) > 30
    normal = [clip for clip in WORLD if clip.labels == ("normal",)]
    assert all(clip.look_alikes for clip in normal)
    kinds = Counter((look_alike.modality, look_alike.kind) for clip in normal for look_alike in clip.look_alikes)
    assert set(kinds) == {(modality, kind) for modality, known in LOOK_ALIKES.items() for kind in known}


def test_hiding_alone_gives_nothing_away() -> None:
    blind_and_normal = sum(bool(clip.spells) for clip in WORLD if clip.labels == ("normal",))
    assert blind_and_normal > 50


def test_captions_tell_what_can_be_seen_and_nothing_else() -> None:
    for clip in WORLD:
        for event in clip.events:
            told = caption(clip, event.start_frame)
            assert (told == wordings(event.label)) == event.is_seen
            assert event.label not in " ".join(told) or event.is_seen
            assert caption(clip, event.end_frame) == NORMAL
    assert ("normal", *ANOMALIES) == CLASSES
