"""Stage ``train``: features and labels, or a released checkpoint -> ``runs/<dataset>/<variant>/seed<k>``."""

from avadclip import config, scripting
from avadclip.config.variants import Released
from avadclip.interop.checkpoints.adopt import adopt_checkpoint
from avadclip.training.preparation import Run
from avadclip.training.run import train


def main(dataset: str, variant: str, seed: str) -> None:
    """Train the variant of section `train` on one data set with one seed, or import it."""
    params = config.load()
    dataset_section, section = params.dataset(dataset), params.variant(variant)
    if isinstance(section, Released):
        adopt_checkpoint(dataset, dataset_section, variant, int(seed), section)
    else:
        train(Run(dataset, dataset_section, variant, section, f"train.{variant}", int(seed)), params.compute)


if __name__ == "__main__":
    scripting.run(main)
