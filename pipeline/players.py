"""Stage ``players``: files of the test videos -> copies of those that the page plays, with their clocks and sound."""

from avadclip import config, paths, scripting
from avadclip.evaluation.testset import read_test_set
from avadclip.report.footage import write_footage
from avadclip.report.players import make_players


def main(dataset: str) -> None:
    """Decode what the page needs from the videos, independent of the threshold."""
    params = config.load()
    test_set = read_test_set(dataset, params.dataset(dataset))
    write_footage(paths.footage(dataset), make_players(paths.players(dataset), test_set, params))


if __name__ == "__main__":
    scripting.run(main)
