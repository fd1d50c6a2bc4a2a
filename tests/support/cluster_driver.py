"""Extraction with the modality that logs which videos are begun, in a process that a test can kill.

Run ``python cluster_driver.py <log>`` in the folder of a project.
"""

import sys
from functools import partial
from pathlib import Path

from avadclip import config, scripting
from avadclip.config import features
from avadclip.extraction.modalities import READERS
from avadclip.extraction.run import extract
from tests.support.cluster_factory import RecordingVisual
from tests.support.project_factory import NAME


def main(log: str) -> None:
    READERS[features.Visual] = partial(RecordingVisual, Path(log))
    extract(NAME, "visual", config.load())


if __name__ == "__main__":
    scripting.run(main, sys.argv[1:])
