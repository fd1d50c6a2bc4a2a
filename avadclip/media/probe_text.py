"""What :func:`avadclip.media.probe.probe` found in a video, as text that a cache can keep."""

import json
from dataclasses import asdict
from typing import Any

import numpy as np

from avadclip.media.probe import VideoInfo
from avadclip.media.survey import PictureTrack, SoundTrack


def to_text(info: VideoInfo) -> str:
    """JSON, from which :func:`from_text` makes the same."""
    return json.dumps(asdict(info), default=lambda values: values.tolist())


def from_text(text: str) -> VideoInfo:
    """What :func:`to_text` was given."""
    found = json.loads(text)
    picture, sound = found.pop("picture"), found.pop("sound")
    return VideoInfo(
        frame_seconds=np.array(found.pop("frame_seconds"), dtype=np.float64),
        picture=PictureTrack(stamps=_ticks(picture.pop("stamps")), **picture),
        sound=None if sound is None else SoundTrack(shifts=_ticks(sound.pop("shifts")), **sound),
        notes=tuple(found.pop("notes")),
        **found,
    )


def _ticks(values: list[int] | None) -> Any:
    return None if values is None else np.array(values, dtype=np.int64)
