"""Stage ``train``: features and video labels -> ``runs/<dataset>/<variant>``, a detector."""

from avadclip import config, scripting
from avadclip.training.run import Run, train


def main(dataset: str, variant: str) -> None:
    """Train the variant of section `train` on one data set."""
    params = config.load()
    train(Run(dataset, params.dataset(dataset), variant, params.detector("train", variant)), params.compute)


if __name__ == "__main__":
    scripting.run(main)
