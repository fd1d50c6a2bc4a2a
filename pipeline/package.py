"""Stage ``package``: detectors and features of a data set -> what ``avadclip predict`` needs beside the detectors.

These are the roles of the detectors, the pinned encoders, and statistics of the training features.
"""

from avadclip import config, paths, scripting
from avadclip.datasets.manifest import read_manifest
from avadclip.prediction.familiarity import learn, write_distances, write_familiarity
from avadclip.prediction.model_folder import modalities_of, package
from avadclip.store.video import open_folders


def main(dataset: str) -> None:
    """Complete ``runs/<dataset>`` to a model folder that can be copied elsewhere."""
    params, folder = config.load(), paths.model(dataset)
    package(folder, dataset, params)
    videos = read_manifest(paths.manifest(dataset))
    features = open_folders(dataset, modalities_of(dataset, params))
    references = learn(features, videos)
    write_familiarity(folder, references)
    write_distances(paths.distances(dataset), features, videos, references)


if __name__ == "__main__":
    scripting.run(main)
