"""Stage ``report``: scores, ground truth and metrics of the test videos -> the page."""

from avadclip import config, paths, scripting
from avadclip.evaluation.testset import read_test_set
from avadclip.report.from_results import write_report


def main(dataset: str) -> None:
    """Write the same page as `avadclip predict`, with annotations and results."""
    params = config.load()
    test_set = read_test_set(dataset, params.dataset(dataset))
    write_report(paths.report(dataset), test_set, params)


if __name__ == "__main__":
    scripting.run(main)
