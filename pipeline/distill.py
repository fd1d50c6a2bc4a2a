"""Stage ``distill``: features, labels and a trained detector -> ``runs/<dataset>/<variant>``, with one modality."""

from avadclip import config, scripting
from avadclip.training.run import Run, train


def main(dataset: str, variant: str) -> None:
    """Train the variant of section `distill` on one data set."""
    params = config.load()
    student = params.student(variant)
    train(Run(dataset, params.dataset(dataset), variant, student, params.teacher), params.compute)


if __name__ == "__main__":
    scripting.run(main)
