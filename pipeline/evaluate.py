"""Stage ``evaluate``: scores of a data set + ground truth + thresholds -> metrics, plots, summary, alarm."""

from avadclip import config, paths, scripting
from avadclip.evaluation.evaluate import assess_all, score_files, write_results
from avadclip.evaluation.pulled import check_pulled
from avadclip.evaluation.testset import read_test_set
from avadclip.prediction.alarm import write_alarm


def main(dataset: str) -> None:
    """Evaluate every detector that was run over one data set."""
    params = config.load()
    check_pulled(dataset, params.score)
    test_set = read_test_set(dataset, params.dataset(dataset))
    assessments = assess_all(score_files(paths.scores_folder(dataset)), test_set, params.evaluate)
    write_results(paths.results(dataset), assessments, test_set, params.evaluate)
    write_alarm(paths.model(dataset), params.evaluate)


if __name__ == "__main__":
    scripting.run(main)
