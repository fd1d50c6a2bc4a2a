"""What the page needs from the video files, so that after a new threshold none has to be opened for the page."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avadclip import hdf5
from avadclip.datasets.model import Video
from avadclip.errors import ReportError
from avadclip.io import unknown_format

FORMAT = "avadclip-footage/1"
_PLAYER = re.compile(r"[0-9]+\.[a-z0-9]{1,8}")


@dataclass(frozen=True, eq=False)
class Footage:
    """Clocks, copies and sound strips of the test videos of a data set.

    Attributes
    ----------
    clocks : by video id, when each frame is shown, and when the last one ends: float64 [n_frames + 1], seconds. Only
        for videos whose files were here.
    players : by video id, the name of its copy in ``players/``; the most alarming first.
    strips : by video id, a PNG of the sound, for those that are played and have sound.
    """

    clocks: Mapping[str, NDArray[np.float64]]
    players: Mapping[str, str]
    strips: Mapping[str, bytes]

    def clock(self, video: Video) -> NDArray[np.float64]:
        """When the frames of a video are shown [n_frames + 1]: by its file or, if that was not here, at an even rate.

        Raises
        ------
        ReportError : the file had another number of frames.
        """
        clock = self.clocks.get(video.id)
        if clock is None:
            return np.arange(video.n_frames + 1) / video.frame_rate
        if len(clock) != video.n_frames + 1:
            raise ReportError(
                f"{video.id}: {len(clock) - 1} frames on the page, but the manifest says {video.n_frames}; run"
                " `dvc repro players`"
            )
        return clock


def safe_suffix(path: Path) -> str:
    """The suffix, by which a browser recognises the kind of file; empty if it is not a plain one."""
    suffix = path.suffix.lower()
    return suffix if re.fullmatch(r"\.[a-z0-9]{1,8}", suffix) else ".bin"


def write_footage(path: Path, footage: Footage) -> None:
    """Write the file atomically; the same content gives the same bytes."""
    index = {
        "format": FORMAT,
        "clocks": {video_id: len(clock) for video_id, clock in footage.clocks.items()},
        "players": dict(footage.players),
        "strips": {video_id: len(strip) for video_id, strip in footage.strips.items()},
    }
    seconds = np.concatenate([np.zeros(0), *footage.clocks.values()])
    with hdf5.created(path) as file:
        file.create_dataset("index", data=_bytes(json.dumps(index).encode()))
        # Times grow evenly, so their bytes repeat and compress well.
        file.create_dataset("seconds", data=seconds, chunks=(1 << 16,), maxshape=(None,), shuffle=True, compression=4)
        file.create_dataset("strips", data=_bytes(b"".join(footage.strips.values())))


def read_footage(path: Path) -> Footage:
    """Read the file.

    Raises
    ------
    ReportError : the file is missing, damaged, or of another format.
    """
    try:
        with hdf5.opened(path) as file:
            index = json.loads(hdf5.array(file, "index", "u1").tobytes())
            if (found := index["format"]) != FORMAT:
                raise ReportError(f"{path}: {unknown_format(found, FORMAT, 'run `dvc repro players`')}")
            seconds, strips = hdf5.array(file, "seconds", "<f8"), hdf5.array(file, "strips", "u1").tobytes()
        if odd := [name for name in index["players"].values() if not _PLAYER.fullmatch(name)]:
            raise ValueError(f"{odd[0]!r} is not a name of a copy in players/")
        return Footage(
            clocks=_cut(seconds, index["clocks"]), players=index["players"], strips=_cut(strips, index["strips"])
        )
    except FileNotFoundError:
        raise ReportError(f"{path}: no such file; run `dvc repro players` or `dvc pull players`") from None
    except hdf5.UNREADABLE as error:
        raise ReportError(f"{path}: not readable ({error}); delete it and run `dvc repro players`") from None


def _bytes(content: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(content, np.uint8)


def _cut(joined: Any, lengths: Mapping[str, int]) -> dict[str, Any]:
    """Successive pieces of these lengths, by video id."""
    stops: Sequence[int] = list(accumulate(lengths.values()))
    return {
        video_id: joined[stop - length : stop] for (video_id, length), stop in zip(lengths.items(), stops, strict=True)
    }
