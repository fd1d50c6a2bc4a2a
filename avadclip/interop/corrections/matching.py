"""Find the video of a data set, or of a folder, of each judged alarm, and check the judgement against it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from avadclip.config.datasets import Dataset
from avadclip.datasets import ids
from avadclip.datasets.csv_file import did_you_mean, shortened
from avadclip.datasets.features import EvenFrames
from avadclip.datasets.frame_spans import Timeline, fit
from avadclip.datasets.model import TimedSegment, Video
from avadclip.errors import DatasetError, MediaError
from avadclip.interop.corrections.decisions import Span, Verdict
from avadclip.interop.corrections.format import UNNAMED, Judged
from avadclip.interop.corrections.tables import Tables, VideoRow
from avadclip.io import sha256_of
from avadclip.media.probe import probe
from avadclip.prediction.naming import find_videos, safe_id


@dataclass(frozen=True)
class Target:
    """A video that was judged.

    Attributes
    ----------
    listed : its row; None: it will be added, and `path` is its file.
    """

    id: str
    listed: VideoRow | None
    path: Path
    n_frames: int
    frame_rate: float  # mean
    timeline: Callable[[], Timeline]

    @property
    def duration_seconds(self) -> float:
        """From the beginning of the first frame to the end of the last one."""
        return self.n_frames / self.frame_rate


@dataclass(frozen=True)
class Matched:
    """A judged alarm, in the unit of the table of segments."""

    target: Target
    verdict: Verdict


@dataclass
class Matcher:
    """Finds videos; each is examined once.

    Parameters
    ----------
    folder : of the videos that ``avadclip predict`` was given, or None.

    Raises
    ------
    DatasetError : there is no such folder, or no video below it.
    """

    name: str
    dataset: Dataset
    tables: Tables
    manifest: Mapping[str, Video]
    folder: Path | None
    _known: dict[tuple[str, str], Target] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._rows = {row.video.id: row for row in self.tables.videos}
        self._in_folder: Mapping[str, Path] = {} if self.folder is None else _videos_below(self.folder)
        self._hashes: dict[Path, str] = {}

    def match(self, judged: Judged) -> Matched:
        """The video of one judgement, and the judgement in the unit of the table.

        Raises
        ------
        DatasetError : another data set, no such video, one that changed or is excluded, no such class, or times beyond
            its end; with file, line and column.
        """
        if judged.dataset not in ("", self.name):
            found = shortened(judged.dataset)
            judged.row.fail(
                "dataset", f"expected {self.name!r}, found {found!r}: use --dataset with the data set of the page"
            )
        key = (judged.dataset, judged.video)
        if key not in self._known:
            self._known[key] = self._listed(judged, judged.video) if judged.dataset else self._of_folder(judged)
        target = self._known[key]
        self._check_content(judged, target)
        return Matched(target, self._verdict(judged, target))

    def _listed(self, judged: Judged, id_: str) -> Target:
        row = judged.row
        if id_ not in self._rows:
            near = did_you_mean(id_, self._rows)
            row.fail(
                "video", f"expected a video of {self.name!r}, found {shortened(id_)!r}{near}; was it judged elsewhere?"
            )
        if (video := self.manifest.get(id_)) is None:
            row.fail("video", f"{id_!r} is not in the manifest; run `dvc repro prepare@{self.name}`, and judge it then")
        if video.excluded:
            row.fail("video", f"{id_!r} is excluded ({video.excluded}), so nothing learns from it; correct `exclude`")
        if self.dataset.kind == "features":
            timeline: Callable[[], Timeline] = partial(EvenFrames, video.n_frames, video.frame_rate)
        else:
            timeline = partial(probe, Path(video.path))
        return Target(id_, self._rows[id_], Path(video.path), video.n_frames, video.frame_rate, timeline)

    def _of_folder(self, judged: Judged) -> Target:
        row, id_ = judged.row, judged.video
        if self.folder is None:
            row.fail(
                "dataset", "empty: the page was made by `avadclip predict`; name the folder that it read with --videos"
            )
        if self.dataset.kind == "features":
            row.fail(
                "dataset",
                f"empty, but {self.name!r} has features instead of videos; `avadclip import-features` adds some",
            )
        if (found_id := self._id_in_folder(judged)) is None:
            near = did_you_mean(id_, self._in_folder)
            found = shortened(id_)
            row.fail(
                "video", f"expected a video below {self.folder}, found {found!r}{near}; name its folder with --videos"
            )
        path = self._in_folder[found_id]
        if not path.is_file():
            row.fail("video", f"{path}: a link to nothing; mend it, or put the video there")
        known = self._same_video(path)
        if known is not None and known.video.id in self.manifest:
            return self._listed(judged, known.video.id)
        try:
            info = probe(path)
        except MediaError as error:
            row.fail("video", f"{path}: {error}")
        return Target(
            found_id if known is None else known.video.id, known, path, info.n_frames, info.frame_rate, lambda: info
        )

    def _id_in_folder(self, judged: Judged) -> str | None:
        """The id that the judged file has among all files of the folder.

        If ``avadclip predict`` was given a part of the folder, the page may use the id of another file of this name.
        """
        id_ = judged.video
        if judged.content_hash:
            for known in sorted(self._in_folder, key=lambda known: known != id_):  # the file with this id first
                path = self._in_folder[known]
                if _may_be_called(path, id_) and path.is_file() and self._hash_of(path) == judged.content_hash:
                    return known
        return id_ if id_ in self._in_folder else None

    def _same_video(self, path: Path) -> VideoRow | None:
        """The row of this file in the data set, or of one with the same content under any name."""
        content = self._hash_of(path)
        for row in self.tables.videos:
            known = self.manifest.get(row.video.id)
            if known is not None and known.content_hash == content:
                return row
            if row.video.path is not None and Path(row.video.path).samefile(path):
                return row
        return None

    def _hash_of(self, path: Path) -> str:
        if path not in self._hashes:
            self._hashes[path] = sha256_of(path)
        return self._hashes[path]

    def _check_content(self, judged: Judged, target: Target) -> None:
        prepared = self.manifest.get(target.id) if target.listed else None
        known = self._hash_of(target.path) if prepared is None else prepared.content_hash
        if judged.content_hash and judged.content_hash != known:
            judged.row.fail(
                "content_hash",
                f"expected {known} of {target.id!r}, found {judged.content_hash}: the video has changed since it was"
                " judged; make the page again, and judge what it shows",
            )

    def _class_of(self, judged: Judged) -> str:
        label, known = judged.label, self.dataset.classes[1:]
        if label not in known:
            if label == UNNAMED and len(known) == 1:
                return known[0]
            found = f"{shortened(label)!r}{did_you_mean(label, known)}"
            judged.row.fail(
                "class",
                f"expected one of {', '.join(known)}, found {found}; choose one on the page, or add it to"
                f" datasets.{self.name}.classes in params.yaml",
            )
        return label

    def _verdict(self, judged: Judged, target: Target) -> Verdict:
        label = self._class_of(judged) if judged.is_event else ""
        raised = self._in_unit(judged, target, judged.alarm_label, judged.alarm_span, "alarm_")
        placed = self._in_unit(judged, target, label, judged.span, "")
        return Verdict(
            raised,
            placed if judged.is_event else None,
            is_moved=judged.span != judged.alarm_span,
            is_unsure=judged.judgement == "unsure",
        )

    def _in_unit(self, judged: Judged, target: Target, label: str, span: tuple[float, float], columns: str) -> Span:
        start, end = span
        frame_seconds, duration = 1 / target.frame_rate, target.duration_seconds
        if start >= duration or end > duration + frame_seconds:
            column = f"{columns}start_seconds" if start >= duration else f"{columns}end_seconds"
            found = start if start >= duration else end
            judged.row.fail(
                column,
                f"expected a time within {target.id!r}, which ends at {duration:.3f} s, found {found:.3f}; was another"
                " version of it judged?",
            )
        if self.tables.unit == "seconds":
            return Span(label, start, end)
        try:
            frames = fit(TimedSegment(target.id, label, start, end), target.timeline())
        except (DatasetError, MediaError) as error:
            judged.row.fail("video", str(error))
        n_frames = self.dataset.visual.stride if self.tables.unit == "snippet" else 1
        return Span(label, frames.start_frame // n_frames, -(-frames.end_frame // n_frames))


def _videos_below(folder: Path) -> Mapping[str, Path]:
    found = find_videos([str(folder)])
    for place, reason in found.failures.items():
        raise DatasetError(f"{place}: {reason}; name the folder that `avadclip predict` read with --videos")
    return found.videos


def _may_be_called(path: Path, id_: str) -> bool:
    """Whether ``avadclip predict`` gives a file this id: its name, with a number if other files have the same name."""
    name = ids.collision_key(safe_id(path.name))
    return re.fullmatch(rf"{re.escape(name)}(-\d+)?", ids.collision_key(id_)) is not None
