"""``avadclip labels convert``: temporal labels from one program's format into another's."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avadclip.errors import DatasetError

if TYPE_CHECKING:
    from avadclip.interop.labels.model import Clock


def convert(
    source: Annotated[Path, typer.Argument(help="A file of labels, or a folder with a file for each video.")],
    target: Annotated[Path, typer.Argument(help="A file, or a folder for formats with a file for each video.")],
    source_format: Annotated[str, typer.Option("--from", help="Its format, if the suffix does not tell it.")] = "",
    target_format: Annotated[str, typer.Option("--to", help="The same for the target.")] = "",
    frame_rate: Annotated[float | None, typer.Option(min=0.001, help="For formats that count frames.")] = None,
    videos: Annotated[Path | None, typer.Option(help="Folder of the videos, whose own frame times are used.")] = None,
) -> None:
    """Convert temporal labels: csv, csv-frames, via, audacity, activitynet, label-studio, elan; srt, vtt, fiftyone."""
    from avadclip.interop.labels.convert import convert as convert_labels

    done = convert_labels(source, target, _clock(frame_rate, videos), source_format, target_format)
    typer.echo(f"{target}: {done.n_events} events of {done.n_videos} videos, from {done.source} to {done.target}")


def _clock(frame_rate: float | None, videos: Path | None) -> "Clock":
    from avadclip.interop.labels.clocks import EvenClock, FileClock, NoClock, times_in

    if frame_rate is not None and videos is not None:
        raise DatasetError("--frame-rate and --videos both say when frames are shown; name one")
    if videos is not None:
        return FileClock(times_in(videos))
    return NoClock() if frame_rate is None else EvenClock(frame_rate)
