"""``avadclip labels convert``: recognise the format of a file, and convert it to another."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from avadclip.datasets import ids
from avadclip.errors import DatasetError
from avadclip.interop.labels import json_file
from avadclip.interop.labels.activitynet import ActivityNet
from avadclip.interop.labels.audacity import Audacity
from avadclip.interop.labels.elan import Elan
from avadclip.interop.labels.fiftyone import FiftyOne
from avadclip.interop.labels.label_studio import LabelStudio
from avadclip.interop.labels.model import Clock, Event, Format, Labels
from avadclip.interop.labels.subtitles import Subtitles
from avadclip.interop.labels.tables import Table
from avadclip.interop.labels.via import MARK, Via

FORMATS: dict[str, Format] = {
    "csv": Table(),
    "csv-frames": Table("frame"),
    "via": Via(),
    "audacity": Audacity(),
    "activitynet": ActivityNet(),
    "label-studio": LabelStudio(),
    "elan": Elan(),
    "srt": Subtitles(".srt"),
    "vtt": Subtitles(".vtt"),
    "fiftyone": FiftyOne(),
}


@dataclass(frozen=True)
class Converted:
    """What was read and written."""

    source: str  # name of the format
    target: str
    n_videos: int
    n_events: int


def convert(source: Path, target: Path, clock: Clock, source_format: str = "", target_format: str = "") -> Converted:
    """Read labels and write them in another format.

    Parameters
    ----------
    source : a file or, for a format with one file per video, a folder of them.
    target : a file or, for several videos in a format with one file per video, a folder.
    source_format, target_format : names of `FORMATS`; empty: by the content or the suffix.

    Raises
    ------
    DatasetError : no such file or format, several formats have that suffix, or a file is not valid in its format.
    """
    read_as = source_format or _format_of(source)
    write_as = target_format or _format_of_ending(target)
    labels = read(source, read_as, clock)
    write(target, labels, write_as, clock)
    return Converted(read_as, write_as, len(labels), sum(len(events) for events in labels.values()))


def read(source: Path, name: str, clock: Clock) -> Labels:
    """Labels of a file, or of a folder of files with one video each."""
    if not source.is_dir():
        return _named(name).read(source, clock)
    found: dict[str, tuple[Event, ...]] = {}
    suffix = _named(name).suffix
    for path in sorted(path for path in source.iterdir() if path.suffix.lower() == suffix and path.name[0] != "."):
        for video, events in _named(name).read(path, clock).items():
            if video in found:
                raise DatasetError(f"{path}: {video!r} has labels in another file already; keep one of them")
            found[video] = events
    return found


def write(target: Path, labels: Labels, name: str, clock: Clock) -> None:
    """Write labels into a file, or into a folder of files with one video each."""
    chosen = _named(name)
    if not chosen.one_video:
        chosen.write(target, labels, clock)
    elif target.suffix.lower() == chosen.suffix:
        if len(labels) != 1:
            raise DatasetError(f"{target}: {name} has one file per video, and these are {len(labels)}; name a folder")
        chosen.write(target, labels, clock)
    else:
        stems = {video: ids.from_name(PurePosixPath(video).name) for video in labels}
        for stem in stems.values():
            ids.check(stem)
        ids.check_distinct(stems.values())
        for video, events in labels.items():
            chosen.write(target / f"{stems[video]}{chosen.suffix}", {video: events}, clock)


def _named(name: str) -> Format:
    if name not in FORMATS:
        raise DatasetError(f"no format {name!r} of labels; there are: {', '.join(FORMATS)}")
    return FORMATS[name]


def _format_of(path: Path) -> str:
    """The format of a file, by its content if its suffix is not enough."""
    if path.is_dir():
        names = [name for name, known in FORMATS.items() if known.one_video and any(path.glob(f"*{known.suffix}"))]
        if len(names) != 1:
            raise DatasetError(f"{path}: a folder of {' and '.join(names) or 'no labels'}; say which with --from")
        return names[0]
    if not path.is_file():
        raise DatasetError(f"{path}: no such file of labels")
    if path.suffix.lower() == ".csv":
        with path.open("rb") as file:
            return "via" if MARK.encode() in file.read(200) else "csv"
    if path.suffix.lower() == ".json":
        return "label-studio" if isinstance(json_file.read(path), list) else "activitynet"
    return _format_of_ending(path)


def _format_of_ending(path: Path) -> str:
    names = [name for name, known in FORMATS.items() if known.suffix == path.suffix.lower()]
    if path.suffix.lower() == ".csv":
        return "csv"
    if len(names) != 1:
        found = " or ".join(names) or "one of " + ", ".join(FORMATS)
        raise DatasetError(f"{path}: may be {found}; say which with --from or --to")
    return names[0]
