"""SRT and WebVTT, which players show over the video; one file per video, only written, not read."""

from html import escape
from pathlib import Path

from avadclip.errors import DatasetError
from avadclip.interop.labels.model import Clock, Labels, one_line
from avadclip.io import write_text


class Subtitles:
    """One cue per event.

    Parameters
    ----------
    suffix : ``.srt`` or ``.vtt``.
    """

    one_video = True

    def __init__(self, suffix: str) -> None:
        self.suffix = suffix

    def read(self, path: Path, clock: Clock) -> Labels:
        raise DatasetError(f"{path}: subtitles are written and not read; convert the labels that they were made from")

    def write(self, path: Path, labels: Labels, clock: Clock) -> None:
        (events,) = labels.values()
        is_vtt = self.suffix == ".vtt"
        cues = ["WEBVTT\n"] if is_vtt else []
        for number, e in enumerate(events, start=1):
            mark = "." if is_vtt else ","
            times = f"{_clock(e.start_seconds, mark)} --> {_clock(e.end_seconds, mark)}"
            # Nothing in a label can end the cue or, in WebVTT, be taken for markup.
            text = escape(one_line(e.label), quote=False) if is_vtt else one_line(e.label)
            cues.append("".join(f"{line}\n" for line in (*([] if is_vtt else [number]), times, text)))
        write_text(path, "\n".join(cues))


def _clock(seconds: float, mark: str) -> str:
    minutes, milliseconds = divmod(round(1000 * seconds), 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{milliseconds // 1000:02d}{mark}{milliseconds % 1000:03d}"
