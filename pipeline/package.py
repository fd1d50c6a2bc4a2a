"""Stage ``package``: which detector speaks when, and the pinned encoders -> what ``avadclip predict`` needs of them."""

from avadclip import config, paths, scripting
from avadclip.prediction.model_folder import package


def main(dataset: str) -> None:
    """Make ``runs/<dataset>`` a model folder that can be copied elsewhere."""
    package(paths.model(dataset), dataset, config.load())


if __name__ == "__main__":
    scripting.run(main)
