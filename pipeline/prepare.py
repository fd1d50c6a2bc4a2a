"""Stage ``prepare``: videos (or features) and annotations -> ``manifest.csv`` and ``ground_truth.csv``."""

from avadclip import config, paths, scripting
from avadclip.datasets.features import prepare_features
from avadclip.datasets.ground_truth import write_ground_truth
from avadclip.datasets.manifest import write_manifest
from avadclip.datasets.prepare import prepare
from avadclip.datasets.xd_violence_released import prepare_release
from avadclip.media.probe import probe


def main(dataset: str) -> None:
    """Open every video once and write both tables."""
    params = config.load()
    section = params.dataset(dataset)
    if section.is_released:
        prepared = prepare_release(dataset, section)
    elif section.kind == "features":
        prepared = prepare_features(dataset, section, params.extraction)
    else:
        prepared = prepare(dataset, section, params.extraction, probe)
    write_ground_truth(paths.ground_truth(dataset), prepared.segments)
    write_manifest(paths.manifest(dataset), prepared.videos)


if __name__ == "__main__":
    scripting.run(main)
