"""Stage ``figures``: score files + ground truth -> timelines of single videos."""

from avadclip import config, paths, scripting
from avadclip.evaluation.evaluate import score_files
from avadclip.evaluation.figures.draw_all import draw_all
from avadclip.evaluation.pulled import check_pulled
from avadclip.evaluation.testset import read_test_set


def main(dataset: str) -> None:
    """Draw several detectors in one picture a video."""
    params = config.load()
    check_pulled(dataset, params.score)
    test_set = read_test_set(dataset, params.dataset(dataset))
    files = score_files(paths.scores_folder(dataset))
    draw_all(paths.figures(dataset), files, paths.details(dataset), test_set, params.figures)


if __name__ == "__main__":
    scripting.run(main)
