"""Stage ``figures``: score files + ground truth -> timelines of single videos."""

from avadclip import config, paths, scripting
from avadclip.datasets.ground_truth import read_ground_truth
from avadclip.datasets.manifest import read_manifest
from avadclip.evaluation.evaluate import score_files
from avadclip.evaluation.figures.draw_all import draw_all
from avadclip.evaluation.testset import TestSet


def main(dataset: str) -> None:
    """Draw several detectors in one picture a video."""
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
    files = score_files(paths.scores_folder(dataset))
    draw_all(paths.figures(dataset), files, paths.details(dataset), test_set, params.figures)


if __name__ == "__main__":
    scripting.run(main)
