"""Frames and seconds: at a constant rate, or by the video files themselves."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from avadclip.datasets import files, ids
from avadclip.errors import DatasetError
from avadclip.media.probe import probe


@dataclass(frozen=True)
class EvenClock:
    """The same number of frames in every second."""

    frame_rate: float

    def seconds(self, video: str, frame: int) -> float:
        return frame / self.frame_rate

    def frame(self, video: str, seconds: float) -> int:
        return round(seconds * self.frame_rate)


@dataclass(frozen=True)
class FileClock:
    """The times in the video files, also at a variable rate.

    Parameters
    ----------
    times_of : video -> when each of its frames is shown, and when the last one ends: float64 [n_frames + 1], seconds,
        ascending; counted from the first.
    """

    times_of: Callable[[str], NDArray[np.float64]]
    _known: dict[str, NDArray[np.float64]] = field(default_factory=dict, repr=False)

    def seconds(self, video: str, frame: int) -> float:
        times = self._times(video)
        if frame >= len(times):
            raise DatasetError(f"{video}: frame {frame}, but the file has {len(times) - 1}; is it another version?")
        return float(times[frame])

    def frame(self, video: str, seconds: float) -> int:
        return int(np.abs(self._times(video) - seconds).argmin())

    def _times(self, video: str) -> NDArray[np.float64]:
        if video not in self._known:
            self._known[video] = self.times_of(video)
        return self._known[video]


class NoClock:
    """For formats that do not count frames."""

    def seconds(self, video: str, frame: int) -> float:
        raise DatasetError(
            f"{video}: this format counts frames: give the number per second (--frame-rate), or the folder of the"
            " videos (--videos)"
        )

    def frame(self, video: str, seconds: float) -> int:
        return int(self.seconds(video, 0))


def times_in(folder: Path) -> Callable[[str], NDArray[np.float64]]:
    """Video -> when each of its frames is shown, and when the last one ends, from the first on."""
    by_id: dict[str, list[Path]] = {}
    for relative in sorted(files.walk(folder, ids.has_video_extension)):
        by_id.setdefault(ids.from_name(PurePosixPath(relative).name), []).append(folder / relative)

    def times(video: str) -> NDArray[np.float64]:
        found = by_id.get(ids.from_name(PurePosixPath(video).name), [])
        if len(found) != 1:
            listed = " and ".join(map(str, found)) or "no file"
            raise DatasetError(f"{video}: expected one video of this name below {folder}, found {listed}")
        info = probe(found[0])
        seconds: NDArray[np.float64] = np.append(info.frame_seconds, info.end_seconds)
        return seconds - float(seconds[0])

    return times
