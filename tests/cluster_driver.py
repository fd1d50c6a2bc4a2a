"""Extraction with the modality that writes down what is begun, in a process that a test can kill.

``python cluster_driver.py <log>`` in the folder of a project.
"""

import sys
from functools import partial
from pathlib import Path

from cluster_factory import RecordingVisual
from project_factory import NAME

from avadclip import config, scripting
from avadclip.extraction.modality import MODALITIES
from avadclip.extraction.run import extract


def main(log: str) -> None:
    MODALITIES["visual"] = partial(RecordingVisual, Path(log))  # type: ignore[index]
    extract(NAME, "visual", config.load())


if __name__ == "__main__":
    scripting.run(main, sys.argv[1:])
