"""Stage ``evaluate``: scores of a data set + ground truth + thresholds -> metrics, plots, summary, alarm."""

from avadclip import config, paths, scripting
from avadclip.evaluation.detectors import read_detectors, untrained
from avadclip.evaluation.evaluate import assess_all, write_results
from avadclip.evaluation.testset import read_test_set
from avadclip.prediction.alarm import write_alarm
from avadclip.tables.records import write_records


def main(dataset: str) -> None:
    """Evaluate every detector that params.yaml names."""
    params = config.load()
    write_alarm(paths.model(dataset), params.evaluate)  # whatever there is to evaluate
    test_set = read_test_set(dataset, params.dataset(dataset))
    assessments = assess_all(read_detectors(test_set, params), test_set, params.evaluate)
    absent = untrained(dataset, params)
    write_results(paths.results(dataset), assessments, test_set, params.evaluate, absent)
    write_records(paths.records(dataset), assessments, test_set, params, absent)


if __name__ == "__main__":
    scripting.run(main)
