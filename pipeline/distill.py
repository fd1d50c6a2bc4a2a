"""Stage ``distill``: features, labels and a trained teacher -> a student in ``runs/<dataset>/<variant>/seed<k>``."""

from avadclip import config, scripting
from avadclip.config.variants import Variant
from avadclip.training.preparation import Run
from avadclip.training.run import train


def main(dataset: str, variant: str, seed: str) -> None:
    """Train the variant of section `distill` on one data set with one seed, taught by `teacher` of the same seed."""
    params = config.load()
    section = params.variant(variant)
    assert isinstance(section, Variant)
    where = f"distill.{variant}"
    train(Run(dataset, params.dataset(dataset), variant, section, where, int(seed), params.teacher), params.compute)


if __name__ == "__main__":
    scripting.run(main)
