"""XD-Violence: a folder of videos with labels in their names, split by ``test_ids.txt``.

``annotations`` is a folder with the three official files: ``test_ids.txt`` (800 names), ``annotations.txt`` (which
frames are anomalous) and ``annotations_multiclasses.txt`` (which class, when). All other files below ``videos`` are
for training.

The published frame-level ground truth comes from ``annotations.txt`` and the published localisation ground truth from
``annotations_multiclasses.txt``. We keep both: class segments come from the latter, in its order; where their union
differs from the former (5 videos, 143 frames), the former's segments are added with the label ``*`` (see
`ground_truth`).
"""

from collections.abc import Collection
from pathlib import Path

from avadclip.config.datasets import Dataset
from avadclip.datasets import annotation_text, official
from avadclip.datasets.files import VideoFiles
from avadclip.datasets.ground_truth import anomalous_spans
from avadclip.datasets.label_codes import labels_of
from avadclip.datasets.model import Listing, Segment


def load(dataset: Dataset, files: VideoFiles) -> Listing:
    """Read the official annotations and the labels in the names of `files`.

    Raises
    ------
    DatasetError : the three files contradict each other, or a name has no label.
    """
    folder = Path(dataset.annotations)
    test_ids = annotation_text.read_ids(folder / "test_ids.txt")
    labels = {id_: labels_of(id_) for id_ in {*files.by_id(), *test_ids}}
    return Listing(official.listed_videos(files, labels, test_ids), read_segments(folder, test_ids, labels))


def read_segments(folder: Path, test_ids: Collection[str], labels: official.Labels) -> tuple[Segment, ...]:
    """Segments of the test videos from both annotation files.

    Raises
    ------
    DatasetError : the files contradict each other or the labels.
    """
    spans = annotation_text.read_spans(folder / "annotations.txt")
    labelled = annotation_text.read_labelled_spans(folder / "annotations_multiclasses.txt")
    official.check_annotated(folder / "annotations.txt", spans, test_ids, labels)
    official.check_annotated(folder / "annotations_multiclasses.txt", labelled, test_ids, labels)
    segments = tuple(segment for id_ in labelled for segment in _both(labelled[id_], spans[id_]))
    official.warn_of_other_labels(segments, labels)
    return segments


def _both(labelled: tuple[Segment, ...], spans: tuple[Segment, ...]) -> tuple[Segment, ...]:
    return labelled if anomalous_spans(labelled) == anomalous_spans(spans) else labelled + spans
