"""``results/<data set>/records/<detector>.json``: all that a table needs about one detector, on any machine.

A record has only what inputs determine, so that equal inputs give equal bytes: no date, times or commit. Its commit is
the one whose ``dvc.lock`` has the record. ``record.schema.json`` describes the file for other programs.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationError

from avadclip.config import Params
from avadclip.config.base import Section
from avadclip.config.features import Modality, Sha256
from avadclip.config.loading import told_by_key
from avadclip.detectors.alarm_score import branch_of
from avadclip.errors import EvaluationError
from avadclip.evaluation.joining import videos_under_test
from avadclip.io import write_text

if TYPE_CHECKING:  # reading records does not need pandas
    from avadclip.evaluation.assessment import Assessment
    from avadclip.evaluation.testset import TestSet
    from avadclip.scoring.scores import Provenance

FORMAT: Literal["avadclip-record/1"] = "avadclip-record/1"
# The keys of `evaluate` on which numbers in tables depend.
PROTOCOL = {"iou_thresholds", "released", "strict", "bootstrap_resamples", "bootstrap_seed", "confidence"}

Name = Annotated[str, Field(pattern="^[A-Za-z0-9_-]+$")]  # as in params.yaml
Metrics = dict[str, float]  # "alignment.AP" -> percent; what is not defined is absent


class Data(Section):
    """The data set on which a detector was tested, and what cannot be measured on it."""

    name: Name
    kind: str
    classes: tuple[str, ...]
    test_videos: int
    normal: int
    with_sound: int
    sha256: Sha256  # of ids, splits, labels, lengths, contents of the videos that are not excluded, and their segments
    excluded: tuple[str, ...]  # test videos
    limits: tuple[str, ...]
    untrained: dict[Name, str]  # detectors that cannot be trained on these features, and why


class Pinned(Section):
    """Settings, and sha256 of their canonical JSON."""

    settings: dict[str, Any]
    sha256: Sha256


class Detector(Section):
    """What was trained, and on what. Empty for the random detector."""

    variant: Name
    trained_on: Name
    kind: str | None
    settings: dict[str, Any]
    modalities: tuple[str, ...]
    selection: str  # how the round was chosen
    imported: dict[str, str] | None


class Run(Section):
    """One seed."""

    seed: int | None  # null: not known (imported)
    round: int | None
    checkpoint_sha256: Sha256 | None
    released: Metrics
    strict: Metrics


class Record(Section):
    """One detector on one data set: means over its seeds, in percent, under both protocols."""

    format: Literal["avadclip-record/1"]
    name: Name  # as in tables
    data: Data
    features: dict[Modality, Pinned]  # recipes of the features that the detector was given
    protocol: Pinned
    detector: Detector
    runs: tuple[Run, ...]
    released: Metrics
    strict: Metrics
    deviation: dict[Literal["released", "strict"], Metrics]  # over seeds that gave different results
    intervals: dict[str, tuple[float, float]]  # of `strict`, over resampled videos
    # `strict` in each resample; resamples are the same in all records of the same data and protocol. null: not defined.
    resampled: dict[str, tuple[float | None, ...]]
    notes: tuple[str, ...]

    @property
    def branch(self) -> str:
        """The branch whose AP counts: alignment, as in the paper, or classification if it names no classes."""
        return branch_of("alignment", {name.split(".")[0] for name in self.strict})


def write_records(
    folder: Path, assessments: "Sequence[Assessment]", test_set: "TestSet", params: Params, untrained: Mapping[str, str]
) -> None:
    """Write one record per detector into `folder`, and remove those of detectors that no longer exist."""
    data = _data(test_set, untrained)
    protocol = params.evaluate.model_dump(mode="json", include=PROTOCOL)
    pinned = _pinned(protocol | {"missing_audio": params.score.missing_audio})
    for entry in assessments:
        record = _record(entry, data, pinned)
        write_text(folder / f"{entry.name}.json", record.model_dump_json(indent=1) + "\n")
    for left_over in set(folder.glob("*.json")) - {folder / f"{entry.name}.json" for entry in assessments}:
        left_over.unlink()


def read_records(folder: Path) -> list[Record]:
    """The records of a folder, by name.

    Raises
    ------
    EvaluationError : a file is not a record, or there is none.
    """
    found = [_read(path) for path in sorted(folder.glob("*.json"))]
    if not found:
        raise EvaluationError(f"{folder}: no records; run `dvc repro`, or `dvc pull`, or give another folder")
    return found


def _read(path: Path) -> Record:
    try:
        return Record.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise EvaluationError(told_by_key(error, str(path))) from None


def _record(entry: "Assessment", data: Data, protocol: Pinned) -> Record:
    made = entry.provenance
    known = made.detector
    shown = (f"{branch_of('alignment', entry.protocol.frames)}.AP", "mAP.AVG")
    return Record(
        format=FORMAT,
        name=entry.name,
        data=data,
        features={name: _pinned(recipe) for name, recipe in known.get("recipes", {}).items()},
        protocol=protocol,
        detector=Detector(
            variant=made.variant,
            trained_on=made.trained_on,
            kind=known.get("kind"),
            settings=known.get("settings", {}),
            modalities=made.modalities,
            selection=made.selection,
            imported=known.get("imported"),
        ),
        runs=tuple(
            _run(made, entry.released.of_each[index], entry.strict.of_each[index])
            for index, made in enumerate(entry.provenances)
        ),
        released=_defined(entry.released.mean),
        strict=_defined(entry.strict.mean),
        deviation={
            "released": _defined(entry.released.deviation),
            "strict": _defined(entry.strict.deviation),
        },
        intervals=entry.intervals,
        resampled={
            name: tuple(None if math.isnan(value) else round(value, 4) for value in entry.resampled[name].tolist())
            for name in shown
            if name in entry.resampled
        },
        notes=entry.notes,
    )


def _run(made: "Provenance", released: Metrics, strict: Metrics) -> Run:
    return Run(
        seed=made.seed,
        round=made.detector.get("round"),
        checkpoint_sha256=made.detector.get("checkpoint_sha256"),
        released=_defined(released),
        strict=_defined(strict),
    )


def _data(test_set: "TestSet", untrained: Mapping[str, str]) -> Data:
    tested = videos_under_test(test_set.videos)
    videos = [
        (v.id, v.split, v.labels, v.n_frames, v.frame_rate, v.has_audio, v.content_hash)
        for v in test_set.videos
        if not v.excluded
    ]
    segments = [(s.id, s.label, s.start_frame, s.end_frame) for s in test_set.segments]
    return Data(
        name=test_set.dataset,
        kind=test_set.kind,
        classes=test_set.classes,
        test_videos=len(tested),
        normal=sum(video.is_normal for video in tested),
        with_sound=sum(video.has_audio for video in tested),
        sha256=digest([test_set.classes, sorted(videos), sorted(segments)]),
        excluded=tuple(sorted(test_set.excluded)),
        limits=test_set.limits,
        untrained=dict(untrained),
    )


def _pinned(settings: Mapping[str, Any]) -> Pinned:
    return Pinned(settings=dict(settings), sha256=digest(settings))


def digest(content: Mapping[str, Any] | Iterable[Any]) -> str:
    """sha256 of plain data, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _defined(metrics: Metrics) -> Metrics:
    return {name: value for name, value in metrics.items() if not math.isnan(value)}
