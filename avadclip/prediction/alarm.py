"""``alarm.json`` of a model folder: when an alarm is on.

In a file of its own, because thresholds change a hundred times a day, and nothing else of a model folder does then.
"""

from pathlib import Path
from typing import Literal

from avadclip.config.base import Section
from avadclip.config.evaluation import Branch, Evaluate, Share
from avadclip.prediction.section_file import read_section, write_section

ALARM = "alarm.json"


class Alarm(Section):
    """The evaluation's operating point; see :class:`avadclip.config.evaluation.Evaluate`."""

    format: Literal["avadclip-alarm/1"] = "avadclip-alarm/1"
    threshold: Share
    branch: Branch


def read_alarm(folder: Path) -> Alarm:
    """The operating point of a model folder.

    Raises
    ------
    CheckpointError : there is no such file, or it says something else.
    """
    return read_section(Alarm, folder / ALARM, "evaluate")


def write_alarm(folder: Path, settings: Evaluate) -> None:
    """Write the operating point into a model folder (stage ``evaluate``)."""
    write_section(folder / ALARM, Alarm(threshold=settings.alarm_threshold, branch=settings.alarm_branch))
