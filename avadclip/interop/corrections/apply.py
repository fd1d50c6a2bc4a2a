"""Write a plan: the two tables, each whole or not at all, in an order in which each state in between can be read."""

import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from avadclip.datasets import ids
from avadclip.datasets.files import VideoFiles
from avadclip.datasets.model import NORMAL
from avadclip.errors import DatasetError
from avadclip.interop.corrections.decisions import Span
from avadclip.interop.corrections.plan import Change, Plan
from avadclip.interop.corrections.table_text import Record, edited, read_records
from avadclip.interop.corrections.tables import SECONDS, SEGMENTS, VIDEOS, SegmentRow, place_of, read_tables
from avadclip.io import write_text


@dataclass(frozen=True)
class Edits:
    """What will be written, in this order: links (link, file), then texts (file, text)."""

    links: tuple[tuple[Path, Path], ...]
    texts: tuple[tuple[Path, str], ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """The tables that change."""
        return tuple(dict.fromkeys(path for path, _ in self.texts))

    def write(self) -> None:
        """Write everything. After an interruption, apply the same corrections again."""
        for link, file in self.links:
            if not link.is_symlink():
                link.symlink_to(file)
        for path, text in self.texts:
            write_text(path, text)


def edits(plan: Plan) -> Edits:
    """The texts of a plan, which the strict reader has read back.

    ``videos.csv`` is written with the old and the new labels, then ``segments.csv``, then ``videos.csv`` without the
    old labels: at each moment every segment has one of its video's labels, and the same corrections lead to the same
    result.

    Raises
    ------
    DatasetError : a table may not be written, a video cannot be added, or the tables could not be read afterwards.
    """
    folder = Path(plan.dataset.annotations)
    videos, segments = place_of(folder / VIDEOS), place_of(folder / SEGMENTS)
    links = []
    if not (folder / SEGMENTS).exists() and not (folder / SEGMENTS).is_symlink():
        segments = videos.with_name(SEGMENTS)
        if segments != (folder / SEGMENTS).resolve():  # beside the table that is linked, as `avadclip add-videos` does
            links.append((folder / SEGMENTS, segments))
            if segments.exists():
                raise DatasetError(f"{segments}: not linked as {folder / SEGMENTS}; run `avadclip add-videos` again")
    added = {change.target.id: _relative(change, plan) for change in plan.changes if change.target.listed is None}
    links += [
        (Path(plan.dataset.videos) / relative, change.target.path.absolute())
        for change in plan.changes
        if (relative := added.get(change.target.id)) and not (Path(plan.dataset.videos) / relative).exists()
    ]
    labels = {change.target.id: change.labels for change in plan.changes}
    both = {change.target.id: _both(change) for change in plan.changes}
    texts = [
        (videos, _videos(plan, both, added)),
        (segments, _segments(plan, added)),
        (videos, _videos(plan, labels, added)),
    ]
    _read_back(plan, texts[2][1], texts[1][1], added)
    return Edits(tuple(links), tuple(_that_change(texts)))


def notes(edits: Edits) -> list[str]:
    """What the table of changes does not show: links, and changes that git could not undo."""
    links = [f"{link}: becomes a link to {file}" for link, file in edits.links]
    return links + [
        f"{path}: git does not have its current content, and could not undo this; commit it first"
        for path in edits.files
        if path.exists() and not _is_committed(path)
    ]


def _is_committed(path: Path) -> bool:
    command = ["git", "-C", str(path.parent), "status", "--porcelain", "--ignored", "--", path.name]
    try:
        found = subprocess.run(command, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):  # no git here, or not a repository
        return False
    return not found.stdout.strip()


def _both(change: Change) -> tuple[str, ...]:
    anomalies = dict.fromkeys(label for label in (*change.was, *change.labels) if label != NORMAL)
    return tuple(anomalies) or (NORMAL,)


def _relative(change: Change, plan: Plan) -> str:
    """The path of an added video below the folder of videos, where it is or a link will be."""
    assert plan.files is not None
    target, folder = change.target, Path(plan.dataset.videos)
    place = target.path.resolve()
    if place.is_relative_to(folder.resolve()):
        inside = place.relative_to(folder.resolve()).as_posix()
        if inside in plan.files.relative:
            return inside
    relative = f"{target.id}{target.path.suffix}"
    taken = {ids.collision_key(row.video.id) for row in plan.tables.videos}
    link = folder / relative
    if ids.collision_key(target.id) in taken or (link.exists() and not link.samefile(target.path)):
        raise DatasetError(f"{target.path}: {folder} has another video with the id {target.id!r}; rename the file")
    return relative


def _videos(plan: Plan, labels: Mapping[str, tuple[str, ...]], added: Mapping[str, str]) -> str:
    records = read_records(Path(plan.dataset.annotations) / VIDEOS)
    if not plan.changes:
        return "".join(record.raw for record in records)
    column = None
    if not plan.tables.has_split:
        column = {row.line: str(plan.splits[row.video.id]) for row in plan.tables.videos} | {records[0].line: "split"}
    changed = {
        row.line: (row.cell, "|".join(labels[row.video.id]), plan.splits[row.video.id])
        for row in plan.tables.videos
        if row.video.id in labels
        and (labels[row.video.id], plan.splits[row.video.id]) != (row.video.labels, row.video.split)
    }
    new = [(relative, "|".join(labels[id_]), "train") for id_, relative in added.items()]
    return edited(records, changed, {records[-1].line: new}, column)


def _segments(plan: Plan, added: Mapping[str, str]) -> str:
    path = Path(plan.dataset.annotations) / SEGMENTS
    records = read_records(path) if path.exists() else [Record(1, ",".join(SECONDS) + "\n", SECONDS)]
    cells = {row.video.id: row.cell for row in plan.tables.videos} | dict(added)
    rows: dict[str, list[SegmentRow]] = defaultdict(list)
    for row in plan.tables.segments:
        rows[row.id].append(row)
    removed: dict[int, None] = {}
    new: dict[int, list[tuple[str, ...]]] = defaultdict(list)
    for change in plan.changes:
        own = rows[change.target.id]
        removed |= {row.line: None for row in own if row.span in change.removed}
        behind = own[-1].line if own else records[-1].line
        new[behind] += [_cells(cells[change.target.id], span, plan.tables.unit) for span in change.added]
    return edited(records, removed, new) if path.exists() or any(new.values()) else ""


def _cells(video: str, span: Span, unit: str) -> tuple[str, ...]:
    def number(value: float) -> str:
        return f"{value:.3f}".rstrip("0").rstrip(".") if unit == "seconds" else str(int(value))

    return video, span.label, number(span.start), number(span.end)


def _that_change(texts: Sequence[tuple[Path, str]]) -> Iterator[tuple[Path, str]]:
    written = {path: path.read_bytes().decode() if path.exists() else "" for path, _ in texts}
    for path, text in texts:
        if written[path] != text:
            yield path, text
        written[path] = text


def _read_back(plan: Plan, videos: str, segments: str, added: Mapping[str, str]) -> None:
    """Check that all planned changes are there, and that no other labels, segments or splits changed."""
    files = plan.files
    if files is not None:
        files = VideoFiles(files.folder, tuple(sorted({*files.relative, *added.values()})), files.others)
    with TemporaryDirectory() as folder:
        for name, text in ((VIDEOS, videos), (SEGMENTS, segments)):
            if text:
                Path(folder, name).write_bytes(text.encode())
        found = read_tables(plan.dataset.model_copy(update={"annotations": folder}), files)
    # A new video has the id that the table gives it, which may contain its folders.
    new_ids = [row.video.id for row in found.videos[len(plan.tables.videos) :]]
    id_of = {row.video.id: row.video.id for row in plan.tables.videos} | dict(zip(added, new_ids, strict=True))
    labels = {row.video.id: row.video.labels for row in plan.tables.videos}
    labels |= {id_of[change.target.id]: change.labels for change in plan.changes}
    spans = Counter((row.id, row.span) for row in plan.tables.segments)
    for change in plan.changes:
        for span in change.removed:
            del spans[change.target.id, span]
        spans.update((id_of[change.target.id], span) for span in change.added)
    if (
        {row.video.id: row.video.labels for row in found.videos} != labels
        or {row.video.id: row.video.split for row in found.videos} != {id_of[i]: s for i, s in plan.splits.items()}
        or Counter((row.id, row.span) for row in found.segments) != spans
    ):
        raise DatasetError(
            f"{plan.dataset.annotations}: the tables would not be read as intended; nothing was written; report this"
        )
