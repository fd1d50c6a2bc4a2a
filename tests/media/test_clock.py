"""Clocks of one stream: sane ones stay untouched, and after a jump, time goes on by one frame."""

import numpy as np
import pytest

from avadclip.errors import MediaError
from avadclip.media.clock import NO_STAMP, Stored, mend

TICKS = 1_000  # per second
FRAME = 40
GAP_SECONDS = 10.0
HOURS = 3 * 3_600_000


def stored(pts, *, dts=None, is_key=None, stores_dts=True) -> Stored:
    pts = np.asarray(pts, dtype=np.int64)
    return Stored(
        pts=pts,
        dts=pts if dts is None else np.asarray(dts, dtype=np.int64),
        is_key=np.arange(len(pts)) % 50 == 0 if is_key is None else np.asarray(is_key),
        ticks_per_second=TICKS,
        stores_dts=stores_dts,
    )


def steady(n: int, start: int = 0) -> np.ndarray:
    return start + FRAME * np.arange(n)


def with_b_frames(n: int, start: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(pts, dts) of groups I B B P, n a multiple of 3."""
    order = np.arange(n).reshape(-1, 3)[:, [2, 0, 1]].reshape(-1)
    return start + FRAME * order, start + FRAME * (np.arange(n) - 2)


def never(_: int) -> bool:
    return False


@pytest.mark.parametrize(
    "pts",
    [
        steady(100),
        steady(100, start=1_600_000_000_000),
        np.cumsum(np.random.default_rng(2).choice([20, 40, 80, 4_000], size=200)),
        steady(10) * 3_000,  # a frame every two minutes
        [0],
        [0, 5_000],
        [NO_STAMP, NO_STAMP],
    ],
    ids=["steady", "epoch", "variable", "slide show", "one frame", "two frames", "no stamps"],
)
def test_a_sane_clock_is_left_alone(pts):
    assert mend(stored(pts), GAP_SECONDS, never) is None


@pytest.mark.parametrize("stores_dts", [True, False])
def test_b_frames_are_no_jump(stores_dts):
    pts, dts = with_b_frames(99)
    assert mend(stored(pts, dts=dts, stores_dts=stores_dts), GAP_SECONDS, never) is None


@pytest.mark.parametrize("second_start", [0, 3_000, 3_600_000, 95_443_717, -500_000], ids=str)
@pytest.mark.parametrize("has_b_frames", [False, True])
def test_a_part_that_begins_anew_goes_on_by_one_frame(second_start, has_b_frames):
    parts = [with_b_frames(99), with_b_frames(99, second_start)]
    pts, dts = (np.concatenate([part[kind] for part in parts]) for kind in (0, 1))
    if not has_b_frames:
        pts = np.concatenate([steady(99), steady(99, second_start)])
        dts = pts
    mended = mend(stored(pts, dts=dts), GAP_SECONDS, never)
    assert mended is not None
    np.testing.assert_array_equal(np.sort(mended.stamps), steady(198))
    assert sorted(mended.stamps[:99]) == steady(99).tolist()  # the two parts are not mixed
    assert [jump.packet for jump in mended.jumps] == [99]


def test_matroska_makes_up_times_of_decoding_that_are_wrong_after_a_jump():
    pts = np.concatenate([with_b_frames(99)[0], with_b_frames(99)[0]])
    dts = np.concatenate([with_b_frames(99)[1], with_b_frames(99)[0]])  # as libavformat does
    is_key = np.arange(198) % 99 == 0
    mended = mend(stored(pts, dts=dts, is_key=is_key, stores_dts=False), GAP_SECONDS, never)
    assert mended is not None
    assert len(mended.jumps) == 1
    assert mended.stamps[:99].max() < mended.stamps[99:].min()


@pytest.mark.parametrize(
    ("position", "stamp"),
    # A first stamp that is too low is left out: a clock may jump after its first frame.
    [(0, HOURS), *((position, stamp) for position in (1, 50, 98) for stamp in (HOURS, -HOURS, 6_000))],
)
def test_a_single_stamp_that_is_astray_takes_its_place(position, stamp):
    pts = steady(100)
    pts[position] = stamp
    mended = mend(stored(pts), GAP_SECONDS, never)
    assert mended is not None
    np.testing.assert_array_equal(mended.stamps, steady(100))
    assert (mended.jumps, mended.n_astray) == ((), 1)


def test_a_gap_in_which_another_stream_goes_on_is_a_pause():
    pts = np.concatenate([steady(50), steady(50, 60_000)])
    assert mend(stored(pts), GAP_SECONDS, lambda packet: packet == 50) is None
    mended = mend(stored(pts), GAP_SECONDS, never)
    assert mended is not None
    np.testing.assert_array_equal(mended.stamps, steady(100))


def test_another_stream_may_say_where_a_part_goes_on():
    pts = np.concatenate([steady(50), steady(50)])
    mended = mend(stored(pts), GAP_SECONDS, never, lambda packet, goes_on: 0 if goes_on is None else 2_500)
    assert mended is not None
    np.testing.assert_array_equal(mended.stamps[50:], steady(50) + 2_500)


def test_holes_and_repeated_stamps_are_filled_where_that_is_asked_for():
    pts = steady(100)
    pts[[20, 60]] = NO_STAMP
    pts[70] = pts[69]
    mended = mend(stored(pts), GAP_SECONDS, never, fills_holes=True)
    assert mended is not None
    np.testing.assert_array_equal(mended.stamps, steady(100))
    assert mend(stored(pts), GAP_SECONDS, never) is None
    mostly = np.where(np.arange(100) % 2, NO_STAMP, steady(100))
    assert mend(stored(mostly), GAP_SECONDS, never, fills_holes=True) is None


def test_many_parts_go_on_one_after_the_other_and_too_many_are_an_error():
    many = np.concatenate([steady(20, 1_000_000 * (part % 7)) for part in range(50)])
    mended = mend(stored(many, is_key=np.zeros(1_000, dtype=bool)), GAP_SECONDS, never)
    assert mended is not None
    np.testing.assert_array_equal(mended.stamps, steady(1_000))
    senseless = np.concatenate([steady(2, 20_000 * (part % 7)) for part in range(2_000)])
    with pytest.raises(MediaError, match="jumps more than 1,000 times"):
        mend(stored(senseless), GAP_SECONDS, never)
