"""Stage ``score``: a trained detector over the test videos of a data set -> one score file."""

from avadclip import config, paths, scripting
from avadclip.datasets.manifest import read_manifest
from avadclip.detectors.description import read_refusal
from avadclip.device import resolve_device
from avadclip.scoring import scores
from avadclip.scoring.run import Job, score


def main(dataset: str, variant: str, seed: str, trained_on: str = "") -> None:
    """Score with the detector that was trained on `trained_on`; by default on the same data set.

    Where none was trained, because features lack what it needs, the score file says so, too.
    """
    params = config.load()
    job = Job(dataset, variant, trained_on or dataset, int(seed))
    output = paths.scores(dataset, variant, job.seed, job.trained_on)
    if (reason := read_refusal(paths.run(job.trained_on, variant, job.seed))) is not None:
        scores.write_refusal(output, reason)
        return
    videos = read_manifest(paths.manifest(dataset))
    if params.execution.engine == "ray":
        from avadclip.scoring.cluster import score_on_cluster  # an engine is imported only when it is asked for

        scored = score_on_cluster(job, videos, params.compute.device, params.execution)
    else:
        scored = score(job, videos, resolve_device(params.compute.device))
    scores.write(output, scored)


if __name__ == "__main__":
    scripting.run(main)
