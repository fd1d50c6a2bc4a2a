"""Stage ``evaluate``: scores of a data set + ground truth + thresholds -> metrics, plots, summary, alarm."""

from avadclip import config, paths, scripting
from avadclip.evaluation.budget import choose_levels
from avadclip.evaluation.detectors import read_detectors, untrained
from avadclip.evaluation.evaluate import assess_all, write_results
from avadclip.evaluation.testset import read_test_set
from avadclip.prediction.alarm import write_alarm
from avadclip.report.shown import shown_on_page
from avadclip.tables.records import write_records


def main(dataset: str) -> None:
    """Evaluate every detector that params.yaml names."""
    params = config.load()
    settings, test_set = params.evaluate, read_test_set(dataset, params.dataset(dataset))
    detectors = read_detectors(test_set, params)
    levels = choose_levels(detectors, test_set, params)
    level = levels[shown_on_page(detectors, params)[0].name][0].level if levels else settings.level
    write_alarm(paths.model(dataset), settings.at(level))
    assessments = assess_all(detectors, test_set, settings, levels)
    absent = untrained(dataset, params)
    write_results(paths.results(dataset), assessments, test_set, settings, absent)
    write_records(paths.records(dataset), assessments, test_set, params, absent)


if __name__ == "__main__":
    scripting.run(main)
