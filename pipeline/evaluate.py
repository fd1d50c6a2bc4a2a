"""Stage ``evaluate``: every score file of a data set + ground truth + thresholds -> metrics, plots, summary."""

from avadclip import config, paths, scripting
from avadclip.datasets.ground_truth import read_ground_truth
from avadclip.datasets.manifest import read_manifest
from avadclip.evaluation.evaluate import assess_all, score_files, write_results
from avadclip.evaluation.testset import TestSet


def main(dataset: str) -> None:
    """Evaluate every detector that was run over one data set."""
    params = config.load()
    section = params.dataset(dataset)
    test_set = TestSet(
        dataset,
        section.kind,
        section.classes,
        section.visual.stride,
        videos=read_manifest(paths.manifest(dataset)),
        segments=read_ground_truth(paths.ground_truth(dataset)),
    )
    assessments = assess_all(score_files(paths.scores_folder(dataset)), test_set, params.evaluate)
    write_results(paths.results(dataset), assessments, test_set, params.evaluate)


if __name__ == "__main__":
    scripting.run(main)
