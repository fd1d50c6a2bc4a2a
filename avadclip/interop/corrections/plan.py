"""What a file of corrections changes in the tables of a data set, all determined before anything is written."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from avadclip import paths
from avadclip.config import Params
from avadclip.config.datasets import Dataset
from avadclip.datasets import csv_file
from avadclip.datasets.files import VideoFiles
from avadclip.datasets.manifest import read_manifest
from avadclip.datasets.model import NORMAL, Split
from avadclip.errors import DatasetError, listed
from avadclip.interop.corrections.decisions import Span, Verdict, decide
from avadclip.interop.corrections.format import read_corrections
from avadclip.interop.corrections.matching import Matched, Matcher, Target
from avadclip.interop.corrections.tables import KINDS, Tables, read_tables


@dataclass(frozen=True)
class Change:
    """A video whose labels or segments change; `was` is empty if it is added."""

    target: Target
    was: tuple[str, ...]
    labels: tuple[str, ...]
    removed: tuple[Span, ...]
    added: tuple[Span, ...]
    is_moved: bool  # from test to training

    @property
    def becomes_normal(self) -> bool:
        return self.labels == (NORMAL,) != self.was


@dataclass(frozen=True)
class Plan:
    """What will be changed, what will not, and why.

    Attributes
    ----------
    splits : of every video of the tables, after the change.
    n_unsure : number of unsure judgements, which change nothing by themselves.
    notes : for the owner of the tables, before they are written; one line each.
    """

    dataset: Dataset
    files: VideoFiles | None
    tables: Tables
    changes: tuple[Change, ...]
    splits: Mapping[str, Split]
    n_unsure: int
    notes: tuple[str, ...]

    @property
    def summary(self) -> str:
        """One line with the numbers of changes."""
        n_added = n_removed = n_changed = 0
        for change in self.changes:
            n_both = min(len(change.added), len(change.removed))
            n_added += len(change.added) - n_both
            n_removed += len(change.removed) - n_both
            n_changed += n_both
        reclassed = sum(
            bool(change.was) and NORMAL not in (*change.was, *change.labels) and change.was != change.labels
            for change in self.changes
        )
        counts = [
            (sum(change.becomes_normal for change in self.changes), "video becomes normal", "videos become normal"),
            (n_added, "event added", "events added"),
            (n_changed, "event changed", "events changed"),
            (n_removed, "event removed", "events removed"),
            (reclassed, "video with other classes", "videos with other classes"),
            (sum(change.target.listed is None for change in self.changes), "video added", "videos added"),
            (
                sum(change.is_moved for change in self.changes),
                "video moved from test to training",
                "videos moved from test to training",
            ),
        ]
        told = [f"{n} {one if n == 1 else several}" for n, one, several in counts if n] or ["nothing changes"]
        return ", ".join([*told, *([f"{self.n_unsure} unsure left alone"] if self.n_unsure else [])])


def make_plan(
    path: Path, name: str, params: Params, folder: Path | None = None, move_to_training: bool = False
) -> Plan:
    """Compare the judgements with the tables.

    Parameters
    ----------
    path : the file that the page saved.
    name : of the data set whose tables change.
    folder : of the videos that ``avadclip predict`` was given, of which some are judged.
    move_to_training : also use judged test videos, which become training videos.

    Raises
    ------
    DatasetError : the tables of this data set are made by the pipeline or are of another kind; there is no manifest; or
        rows cannot be used, with one line for each.
    """
    dataset = params.dataset(name)
    _check_editable(name, dataset, params)
    judged = read_corrections(path)
    if not paths.manifest(name).exists():
        raise DatasetError(f"{paths.manifest(name)}: no such file; run `dvc repro prepare@{name}`")
    manifest = {video.id: video for video in read_manifest(paths.manifest(name))}
    files = VideoFiles.find(dataset.videos) if dataset.kind == "table" else None
    tables = read_tables(dataset, files)
    matcher = Matcher(name, dataset, tables, manifest, folder)
    changes, reasons, tested = _changes(csv_file.parse_all(judged, matcher.match), tables, dataset, move_to_training)
    splits: dict[str, Split] = {row.video.id: row.video.split for row in tables.videos}
    splits |= {change.target.id: "train" for change in changes if change.is_moved or change.target.listed is None}
    notes = [*reasons, *_notes(changes, tested, tables, dataset, splits)]
    n_unsure = sum(row.judgement == "unsure" for row in judged)
    return Plan(dataset, files, tables, changes, splits, n_unsure, tuple(notes))


def _check_editable(name: str, dataset: Dataset, params: Params) -> None:
    if dataset.kind not in KINDS:
        raise DatasetError(
            f"datasets.{name}: expected kind {' or '.join(KINDS)}, whose tables are yours, found {dataset.kind}; its"
            " annotations are published"
        )
    folder = Path(dataset.annotations).resolve()
    places = [folder, (folder / "videos.csv").resolve()]
    for world in params.worlds:
        made = (paths.data(world) / "annotations").resolve()
        if any(place.is_relative_to(made) for place in places):
            raise DatasetError(
                f"datasets.{name}: its tables are rendered with the world {world!r}, and `dvc repro` would write them"
                f" anew; copy {paths.data(world)}/annotations elsewhere, and `avadclip add-videos NAME"
                f" {paths.data(world)}/videos --labels COPY/videos.csv --like {world}`"
            )


def _changes(
    matched: Iterable[Matched], tables: Tables, dataset: Dataset, move_to_training: bool
) -> tuple[tuple[Change, ...], list[str], list[str]]:
    """The changes, the reasons why other videos do not change, and the judged test videos, which stay."""
    verdicts: dict[str, list[Verdict]] = defaultdict(list)
    targets: dict[str, Target] = {}
    for each in matched:
        targets[each.target.id] = each.target
        verdicts[each.target.id].append(each.verdict)
    changes, reasons, tested = [], [], []
    for id_, target in targets.items():
        was = target.listed.video.labels if target.listed else ()
        segments = [row.span for row in tables.segments if row.id == id_]
        decision = decide(was, segments, verdicts[id_], dataset.classes)
        is_tested = target.listed is not None and target.listed.video.split == "test"
        if decision.reason is not None:
            reasons.append(f"{id_}: {'is not added' if target.listed is None else 'stays as it is'}: {decision.reason}")
            continue
        if is_tested and not move_to_training:
            tested.append(id_)
            continue
        removed = tuple(span for span in segments if span not in decision.segments)
        added = tuple(span for span in decision.segments if span not in segments)
        if is_tested or removed or added or decision.labels != was:
            changes.append(Change(target, was, decision.labels, removed, added, is_tested))
    return tuple(changes), reasons, tested


def _notes(
    changes: Sequence[Change],
    tested: Sequence[str],
    tables: Tables,
    dataset: Dataset,
    splits: Mapping[str, Split],
) -> list[str]:
    notes = []
    if tested:
        notes.append(
            f"judged test videos stay as they are: {listed(tested)}; a detector that learns from a video must not be"
            " tested on it. --move-to-training makes them training videos"
        )
    labels = {row.video.id: row.video.labels for row in tables.videos if row.video.id not in dataset.exclude}
    learnt_before = _labels_of(labels, {row.video.id: row.video.split for row in tables.videos})["train"]
    labels |= {change.target.id: change.labels for change in changes}
    now = _labels_of(labels, splits)
    if lost := [label for label in dataset.classes if label in learnt_before and label not in now["train"]]:
        notes.append(f"no training video is labelled {listed(lost)} any longer, so training would stop")
    if any(change.is_moved for change in changes):
        left = [label_set for id_, label_set in labels.items() if splits[id_] == "test"]
        n_normal = left.count((NORMAL,))
        notes.append(f"remaining test videos: {len(left) - n_normal} anomalous, {n_normal} normal")
    if changes and not tables.has_split:
        notes.append("videos.csv gets a column split with the current split of the videos")
    return notes


def _labels_of(labels: Mapping[str, tuple[str, ...]], splits: Mapping[str, Split]) -> dict[Split, Counter[str]]:
    found: dict[Split, Counter[str]] = {"train": Counter(), "test": Counter()}
    for id_, own in labels.items():
        found[splits[id_]].update(own)
    return found
