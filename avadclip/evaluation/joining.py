"""Check that scores, manifest and ground truth are of the same videos; a disagreement is an error that names them."""

from collections.abc import Collection, Iterable, Sequence

from avadclip.datasets.model import ANY_CLASS, NORMAL, Segment, Video
from avadclip.errors import EvaluationError, listed
from avadclip.scoring.scores import Scores

_MOST_PROBLEMS = 20


def videos_under_test(videos: Sequence[Video]) -> tuple[Video, ...]:
    """The test videos that are not excluded, sorted by id."""
    return tuple(sorted((v for v in videos if v.split == "test" and not v.excluded), key=lambda video: video.id))


def check_scores(scores: Scores, videos: Sequence[Video]) -> None:
    """Check that all of `videos` and no others are scored, with one score for each snippet, also a partial one.

    Raises
    ------
    EvaluationError : they are not; the videos are named.
    """
    made = f"scores of {scores.provenance.variant!r} on {scores.provenance.dataset}"
    remedy = "run `dvc repro` to score it again"
    wanted = {video.id for video in videos}
    if missing := wanted - set(scores.ids):
        raise EvaluationError(f"{listed(missing)}: no score in the {made} ({len(missing)} videos missing); {remedy}")
    if extra := set(scores.ids) - wanted:
        raise EvaluationError(
            f"{listed(extra)}: in the {made}, but not among its videos ({len(extra)} too many); {remedy}"
        )
    stride = scores.provenance.stride
    found = dict(zip(scores.ids, scores.n_snippets.tolist(), strict=True))
    _raise_all(
        f"{video.id}: {found[video.id]} snippets in the {made}, expected {expected} for {video.n_frames} frames"
        f" at stride {stride}; {remedy}"
        for video in videos
        # ceil: the last snippet may be partial
        if found[video.id] != (expected := -(-video.n_frames // stride))
    )


def check_ground_truth(segments: Sequence[Segment], videos: Sequence[Video], classes: Sequence[str]) -> None:
    """Check that segments are inside their videos and have anomaly classes, and that normal videos have none.

    Raises
    ------
    EvaluationError : one line for each segment that is wrong, with the numbers.
    """
    known = {video.id: video for video in videos}
    labels = {*classes, ANY_CLASS} - {NORMAL}
    problems = ((segment, _problem(segment, known.get(segment.id), labels)) for segment in segments)
    _raise_all(
        f"{segment.id}: ground truth [{segment.start_frame}, {segment.end_frame}) {segment.label}: {problem}"
        for segment, problem in problems
        if problem is not None
    )


def _problem(segment: Segment, video: Video | None, labels: Collection[str]) -> str | None:
    if video is None:
        return "the manifest has no such video; run `dvc repro prepare`"
    if video.excluded:
        return None
    if segment.label not in labels:
        return f"not an anomaly class of this data set; there are: {', '.join(sorted(labels))}"
    if not 0 <= segment.start_frame < segment.end_frame <= video.n_frames:
        return f"the video has {video.n_frames} frames; correct the annotation or the file"
    if video.is_normal:
        return "the video is labelled normal; correct one of them"
    return None


def _raise_all(problems: Iterable[str]) -> None:
    if found := list(problems):
        more = f"\n... and {len(found) - _MOST_PROBLEMS} more" if len(found) > _MOST_PROBLEMS else ""
        raise EvaluationError("\n".join(found[:_MOST_PROBLEMS]) + more)
