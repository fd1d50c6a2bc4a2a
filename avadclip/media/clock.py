"""Correct the clock of a stream: where it jumps, it continues by one frame. Needs only numpy.

Timestamps are in units of a time base and in the order in which packets are stored, which is that of decoding.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avadclip.errors import MediaError

NO_STAMP = np.iinfo(np.int64).min  # FFmpeg's AV_NOPTS_VALUE

# What a correct clock may do. B frames are stored before frames that are shown earlier: at most 16 pictures.
_REORDERED = 17
_WAVERING_SECONDS = 0.1  # backwards, of the time of decoding
_REORDERED_SECONDS = 1.0  # backwards, of the time of presentation
_SLOW_FRAMES = 30  # a gap is longer than this many typical frames, so that a slide show is not a series of gaps
_MOST_JUMPS = 1_000
_NEIGHBOURS = 32
_MOST_HOLES = 0.2  # share of the packets


@dataclass(frozen=True)
class Jump:
    """A place where the clock of a stream is not continuous."""

    packet: int  # the first one after it
    before: int  # timestamps on either side, as stored
    after: int


@dataclass(frozen=True, eq=False)
class Mended:
    """A continuous clock; equal to the stored one up to the first jump."""

    stamps: NDArray[np.int64]  # [n], NO_STAMP if none is stored
    jumps: tuple[Jump, ...]
    shifts: tuple[int, ...]  # what was added from the start on, and from each jump on: [1 + n_jumps]
    n_astray: int  # single timestamps far from their neighbours, which were moved between them


@dataclass(frozen=True, eq=False)
class Stored:
    """The timestamps of one stream as stored, [n] each."""

    pts: NDArray[np.int64]
    dts: NDArray[np.int64]
    is_key: NDArray[np.bool_]
    ticks_per_second: float
    stores_dts: bool  # or the demuxer derives them from `pts`


Paused = Callable[[int], bool]  # packet -> whether the gap before it is a pause, in which another stream has packets
Propose = Callable[[int, int | None], int | None]  # packet, where it would continue (None: the first) -> a better shift


def mend(
    stored: Stored,
    gap_seconds: float,
    is_pause: Paused,
    propose: Propose | None = None,
    fills_holes: bool = False,
) -> Mended | None:
    """Correct a clock; None if there is nothing to correct, as in every ordinary file.

    Parameters
    ----------
    gap_seconds : a gap of this length or more counts as a jump, unless `is_pause` says that it is a pause.
    propose : where this stream should continue after a jump so that it stays synchronous with another one.
    fills_holes : also give a timestamp to the few packets that have none, or that of another packet.

    Raises
    ------
    MediaError : more jumps than any recording has.
    """
    has_stamp = stored.pts != NO_STAMP
    if not has_stamp.any():
        return None
    is_hole = _holes(stored.pts) if fills_holes else np.zeros(len(stored.pts), dtype=np.bool_)
    known = np.flatnonzero(has_stamp | is_hole)
    is_hole = is_hole[known]
    pts = _filled(stored.pts[known], ~is_hole, stored.pts[known])
    frame = typical_step(pts)
    wide = max(round(_REORDERED_SECONDS * stored.ticks_per_second), _REORDERED * frame)
    dts = stored.dts[known]
    astray = _astray(pts, _filled(dts, dts != NO_STAMP, pts), wide) | is_hole
    dts = _filled(dts, (dts != NO_STAMP) & ~astray, pts)
    wavering = max(round(_WAVERING_SECONDS * stored.ticks_per_second), 1)
    gap = max(round(gap_seconds * stored.ticks_per_second), _SLOW_FRAMES * frame)
    order, slack = dts, np.full(len(pts), wavering, dtype=np.int64)
    steps = np.diff(dts)
    if not stored.stores_dts and np.any((steps < -wavering) | (steps > gap)):
        # They are derived, and wrong after a jump; but a key frame is never stored after one that is shown later.
        order = _filled(pts, ~astray, pts)
        slack = np.where(stored.is_key[known], wavering, wide)
    first_shift = (propose(int(known[0]), None) if propose else None) or 0
    shifts = np.full(len(pts), first_shift, dtype=np.int64)
    jumps: list[Jump] = []
    begin = 0
    while (at := _next_jump(order, slack, gap, begin, known, is_pause)) is not None:
        latest = int(order[begin:at].max())
        goes_on = latest + int(shifts[at - 1]) + frame
        proposed = propose(int(known[at]), goes_on) if propose else None
        start = order[at : at + _REORDERED]  # pictures that are stored after the first one may be shown before it
        shifts[at:] = goes_on - int(start[np.abs(start - start[0]) <= wide].min()) if proposed is None else proposed
        jumps.append(Jump(int(known[at]), latest, int(order[at])))
        if len(jumps) > _MOST_JUMPS:
            raise MediaError(f"its clock jumps more than {_MOST_JUMPS:,} times")
        begin = at
    if not jumps and not astray.any() and not first_shift:
        return None
    mended = pts + shifts
    unplaced = astray.copy()
    for position in np.flatnonzero(astray).tolist():
        mended[position] = _between(mended, unplaced, position, frame)
        unplaced[position] = False
    stamps = stored.pts.copy()
    stamps[known] = mended
    firsts = [0, *(int(np.searchsorted(known, jump.packet)) for jump in jumps)]
    n_astray = int((astray & ~is_hole).sum())
    return Mended(stamps, tuple(jumps), tuple(int(shifts[first]) for first in firsts), n_astray)


def typical_step(stamps: NDArray[np.int64]) -> int:
    """The median distance of neighbours in time, in ticks, at least 1."""
    steps = np.diff(np.sort(stamps))
    steps = steps[steps > 0]
    return max(int(np.median(steps)), 1) if steps.size else 1


def _holes(pts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which packets lack a timestamp of their own, bool [n]; none if there are many: then the stream has no clock."""
    is_hole = pts == NO_STAMP
    firsts = np.unique(pts, return_index=True)[1]
    is_first = np.zeros(len(pts), dtype=np.bool_)
    is_first[firsts] = True
    is_hole |= ~is_first
    return is_hole if is_hole.mean() <= _MOST_HOLES else np.zeros(len(pts), dtype=np.bool_)


def _filled(values: NDArray[np.int64], is_good: NDArray[np.bool_], others: NDArray[np.int64]) -> NDArray[np.int64]:
    """`values`, where each bad one is replaced by the good one before it; `others` if none is good."""
    if not is_good.any():
        return others
    latest_good = np.maximum.accumulate(np.where(is_good, np.arange(len(values)), np.argmax(is_good)))
    return values[latest_good]


def _astray(pts: NDArray[np.int64], dts: NDArray[np.int64], wide: int) -> NDArray[np.bool_]:
    """Which single timestamps are far ahead of, or behind, two neighbours that agree with each other, bool [n]."""
    astray = np.zeros(len(pts), dtype=np.bool_)
    if len(pts) < 3:
        return astray
    latest = np.maximum.accumulate(pts)
    is_far = np.abs(pts[1:] - latest[:-1]) > wide
    suspects = np.append(True, is_far)
    # A frame behind is normal if the decoding times continue: a B frame before a pause.
    suspects[1:] &= (pts[1:] > latest[:-1]) | (np.diff(dts) < 0) | (pts[1:] < dts[1:])
    before: int | None = None  # latest timestamp that agrees
    done = 0
    for position in np.flatnonzero(suspects).tolist():
        sane = pts[done:position][~astray[done:position]]
        if sane.size:
            before = int(sane.max()) if before is None else max(before, int(sane.max()))
        done = position
        following = pts[position + 1 : position + 1 + _REORDERED]
        if not following.size:
            continue
        goes_on = before is None or abs(int(following[0]) - before) <= wide
        is_ahead = int(pts[position]) - int(following.max()) > wide
        is_behind = int(following.min()) - int(pts[position]) > wide
        is_step = before is None or abs(int(pts[position]) - before) > wide
        astray[position] = goes_on and is_step and (is_ahead or (is_behind and position > 0))
    return astray


def _next_jump(
    order: NDArray[np.int64],
    slack: NDArray[np.int64],
    gap: int,
    begin: int,
    known: NDArray[np.int64],
    is_pause: Paused,
) -> int | None:
    """The first packet after `begin` that does not continue those before it."""
    latest = np.maximum.accumulate(order[begin:])
    ahead = order[begin + 1 :] - latest[:-1]
    for offset in np.flatnonzero((ahead > gap) | (ahead < -slack[begin + 1 :])).tolist():
        position = begin + 1 + int(offset)
        if ahead[offset] < 0 or not is_pause(int(known[position])):
            return position
    return None


def _between(stamps: NDArray[np.int64], astray: NDArray[np.bool_], position: int, frame: int) -> int:
    """The free timestamp among the neighbours of a packet that is nearest to the packet before it."""
    window = slice(max(position - _NEIGHBOURS, 0), position + _NEIGHBOURS)
    near = np.sort(stamps[window][~astray[window]])
    if position == 0 or near.size < 2:
        return int(near[0]) - frame if near.size else 0
    gaps = np.diff(near)
    free = np.flatnonzero(2 * gaps >= 3 * frame)
    if not free.size:
        widest = int(np.argmax(gaps))
        return int(near[widest]) + max(int(gaps[widest]) // 2, 1)
    nearest = int(free[np.argmin(np.abs(near[free] - stamps[position - 1]))])
    return int(near[nearest]) + min(frame, int(gaps[nearest]) // 2)
