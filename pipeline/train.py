"""Stage ``train``: features and video labels, or a released checkpoint -> ``runs/<dataset>/<variant>``, a detector."""

from avadclip import config, scripting
from avadclip.config.detector import Released
from avadclip.interop.checkpoints.adopt import adopt_checkpoint
from avadclip.training.run import Run, train


def main(dataset: str, variant: str) -> None:
    """Train the variant of section `train` on one data set, or import it."""
    params = config.load()
    section, architecture = params.dataset(dataset), params.detector(variant)
    if isinstance(architecture, Released):
        adopt_checkpoint(dataset, section, variant, architecture)
    else:
        train(Run(dataset, section, variant, architecture), params.compute)


if __name__ == "__main__":
    scripting.run(main)
