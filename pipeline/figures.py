"""Stage ``figures``: score files + ground truth -> timelines of single videos."""

from avadclip import config, paths, scripting
from avadclip.evaluation.detectors import read_detectors
from avadclip.evaluation.figures.draw_all import draw_all
from avadclip.evaluation.testset import read_test_set
from avadclip.prediction.alarm import read_alarm


def main(dataset: str) -> None:
    """Draw several detectors in one picture per video, with the threshold of the one that decides."""
    params = config.load()
    test_set = read_test_set(dataset, params.dataset(dataset))
    settings = params.evaluate.at(read_alarm(paths.model(dataset)).threshold)
    draw_all(paths.figures(dataset), read_detectors(test_set, params), test_set, settings, params.figures)


if __name__ == "__main__":
    scripting.run(main)
