"""``alarm.json`` of a model folder: the operating point.

It has a file of its own, because thresholds are changed often, and nothing else in a model folder changes with them.
"""

import logging
from pathlib import Path
from typing import Literal

from avadclip.config.base import Section
from avadclip.config.evaluation import Alarms, Branch, Evaluate, Share
from avadclip.prediction.section_file import read_section, write_section

logger = logging.getLogger(__name__)

ALARM = "alarm.json"


class Alarm(Section):
    """The evaluation's operating point; see :class:`avadclip.config.evaluation.Evaluate`."""

    format: Literal["avadclip-alarm/1"] = "avadclip-alarm/1"
    threshold: Share
    branch: Branch
    rule: Alarms = Alarms()


def read_alarm(folder: Path) -> Alarm:
    """The operating point of a model folder; the default one if nothing has been evaluated yet.

    Raises
    ------
    CheckpointError : the file is damaged, or of another format.
    """
    if not (folder / ALARM).exists():
        alarm = operating_point(Evaluate())
        again = "`dvc repro evaluate` takes it from params.yaml"
        logger.warning("%s: no such file, so the threshold is %g; %s", folder / ALARM, alarm.threshold, again)
        return alarm
    return read_section(Alarm, folder / ALARM, "evaluate")


def write_alarm(folder: Path, settings: Evaluate) -> None:
    """Write the operating point into a model folder (stage ``evaluate``); see :func:`operating_point`."""
    write_section(folder / ALARM, operating_point(settings))


def operating_point(settings: Evaluate) -> Alarm:
    """The operating point of an evaluation; with a budget, the threshold must have been chosen."""
    return Alarm(threshold=settings.level, branch=settings.alarm_branch, rule=settings.alarms)
