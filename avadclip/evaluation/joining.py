"""Do scores, manifest and ground truth speak of the same videos? A disagreement is an error that names the video."""

from collections.abc import Sequence

from avadclip.datasets.model import ANY_CLASS, NORMAL, Segment, Video
from avadclip.errors import EvaluationError
from avadclip.scoring.scores import Scores


def videos_under_test(videos: Sequence[Video]) -> tuple[Video, ...]:
    """The test videos that are not excluded, sorted by id."""
    return tuple(sorted((v for v in videos if v.split == "test" and not v.excluded), key=lambda video: video.id))


def check_scores(scores: Scores, videos: Sequence[Video]) -> None:
    """Every one of `videos` is scored, nothing else is, and each has one score for every begun stride.

    Raises
    ------
    EvaluationError : names the first video for which that is not so.
    """
    made = f"scores of {scores.provenance.variant!r} on {scores.provenance.dataset}"
    remedy = "run `dvc repro` to score it again"
    wanted = {video.id for video in videos}
    if missing := sorted(wanted - set(scores.ids)):
        raise EvaluationError(f"{missing[0]}: no score in the {made} ({len(missing)} videos missing); {remedy}")
    if extra := sorted(set(scores.ids) - wanted):
        raise EvaluationError(
            f"{extra[0]}: in the {made}, but no test video of the manifest ({len(extra)} too many); {remedy}"
        )
    stride = scores.provenance.stride
    found = dict(zip(scores.ids, scores.n_snippets.tolist(), strict=True))
    for video in videos:
        expected = -(-video.n_frames // stride)  # ceil: the last snippet may be partial
        if found[video.id] != expected:
            raise EvaluationError(
                f"{video.id}: {found[video.id]} snippets in the {made}, expected {expected} for {video.n_frames} frames"
                f" at stride {stride}; {remedy}"
            )


def check_ground_truth(segments: Sequence[Segment], videos: Sequence[Video], classes: Sequence[str]) -> None:
    """Segments lie inside their videos, carry anomaly classes, and agree with the labels of the test videos.

    Raises
    ------
    EvaluationError : names the first video for which that is not so, with the numbers.
    """
    known = {video.id: video for video in videos}
    labels = {*classes, ANY_CLASS} - {NORMAL}
    for segment in segments:
        where = f"{segment.id}: ground truth [{segment.start_frame}, {segment.end_frame}) {segment.label}"
        video = known.get(segment.id)
        if video is None:
            raise EvaluationError(f"{where}: the manifest has no such video; run `dvc repro prepare`")
        if video.excluded:
            continue
        if segment.label not in labels:
            raise EvaluationError(f"{where}: no anomaly class of this data set; there are: {', '.join(sorted(labels))}")
        if not 0 <= segment.start_frame < segment.end_frame <= video.n_frames:
            raise EvaluationError(f"{where}: the video has {video.n_frames} frames; correct the annotation or the file")
        if video.is_normal:
            raise EvaluationError(f"{where}: the video is labelled normal; correct one of them")
    annotated = {segment.id for segment in segments}
    for video in videos_under_test(videos):
        if not video.is_normal and video.id not in annotated:
            raise EvaluationError(
                f"{video.id}: labelled {', '.join(video.labels)}, but no ground truth says when; annotate or exclude it"
            )
