"""Scoring on a Ray cluster: one detector per place, one row per video; the scores equal those of the local engine."""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from avadclip.cluster.mapping import Lost, Row, map_rows
from avadclip.cluster.session import connected
from avadclip.config.execution import Execution
from avadclip.datasets.exclusion import exclude_lines
from avadclip.device import kind_of_machine, resolve_device
from avadclip.errors import EvaluationError
from avadclip.progress import rate_progress
from avadclip.scoring.run import Job, Scorer
from avadclip.scoring.scores import Scores, VideoScores, collect

IN_FLIGHT = 8  # videos that a worker has at a time, so that it never waits for the driver


class ScoringWorker:
    """A detector in an actor."""

    def __init__(self, job: Job, device: str) -> None:
        self._scorer = Scorer(job, resolve_device(device))
        self.kind = kind_of_machine(device)

    def run(self, video_id: str) -> VideoScores:
        """Score one video."""
        return self._scorer.score_video(video_id)


def score_on_cluster(job: Job, video_ids: Sequence[str], device: str, execution: Execution) -> Scores:
    """:func:`avadclip.scoring.run.score` on a cluster whose nodes see the project's folder under the same name.

    Raises
    ------
    AvadclipError : as :func:`avadclip.scoring.run.score`.
    ClusterError : no cluster, or no place for a worker.
    EvaluationError : also if workers died whenever they were given these videos.
    """
    provenance = Scorer(job, "cpu").provenance  # raises if anything is missing, before the cluster is used
    rows: dict[str, VideoScores] = {}
    lost: dict[str, str] = {}
    with ExitStack() as stack:
        ray = stack.enter_context(connected(execution))
        progress = stack.enter_context(rate_progress())
        bar = progress.add_task(f"scoring {len(video_ids)} videos", total=len(video_ids), unit="videos")
        results = map_rows(
            ray,
            (Row(video_id, video_id) for video_id in video_ids),
            partial(ScoringWorker, job, device),
            execution,
            root=str(Path.cwd()),
            in_flight_per_worker=IN_FLIGHT,
            is_concurrent=False,
            may_use_gpu=device != "cpu",
        )
        for result in results:
            if isinstance(result, Lost):
                lost[result.key] = result.reason
            else:
                rows[result.key] = result.result
            progress.advance(bar)
    if lost:
        raise EvaluationError(
            f"{len(lost)} videos of {job.dataset} cannot be scored; repair them, or leave them out: in params.yaml,"
            f" under datasets.{job.dataset}.exclude:\n{exclude_lines(lost)}"
        )
    return collect(provenance, list(rows.values()))
