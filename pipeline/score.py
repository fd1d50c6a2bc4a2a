"""Stage ``score``: a trained detector -> a score file of the test videos, and one of normal training videos.

On the normal training videos, `evaluate.alarm_threshold` may choose a threshold by a budget.
"""

from avadclip import config, paths, scripting
from avadclip.datasets.manifest import read_manifest
from avadclip.datasets.splitting import level_videos
from avadclip.detectors.description import read_refusal
from avadclip.device import resolve_device
from avadclip.scoring import scores
from avadclip.scoring.run import Job, score


def main(dataset: str, variant: str, seed: str, trained_on: str = "") -> None:
    """Score with the detector that was trained on `trained_on`; by default on the same data set.

    If none was trained, because the features lack what it needs, the score files say so, too.
    """
    params = config.load()
    job = Job(dataset, variant, trained_on or dataset, int(seed))
    outputs = [place(dataset, variant, job.seed, job.trained_on) for place in (paths.scores, paths.normal_scores)]
    if (reason := read_refusal(paths.run(job.trained_on, variant, job.seed))) is not None:
        for output in outputs:
            scores.write_refusal(output, reason)
        return
    videos = read_manifest(paths.manifest(dataset))
    tested = [video.id for video in videos if video.split == "test" and not video.excluded]
    normal = [video.id for video in level_videos(videos, params.dataset(dataset).selection)]
    if params.execution.engine == "ray":
        from avadclip.scoring.cluster import score_on_cluster  # imported only if it is used

        scored = score_on_cluster(job, [*tested, *normal], params.compute.device, params.execution)
    else:
        scored = score(job, [*tested, *normal], resolve_device(params.compute.device))
    for output, ids in zip(outputs, (tested, normal), strict=True):
        scores.write(output, scores.only(scored, ids))


if __name__ == "__main__":
    scripting.run(main)
