"""The score of a detector that raises alarms, by one rule for selection, tables, figures, page and predictor."""

from collections.abc import Container

import numpy as np
from numpy.typing import NDArray

from avadclip.config.evaluation import Branch

NORMAL_COLUMN = 0  # class 0 is `normal`, see avadclip.config.datasets


def branch_of(wanted: Branch, present: Container[str]) -> Branch:
    """The branch that counts: the wanted one, or classification for a detector that names no classes."""
    return wanted if wanted in present else "classification"


def anomaly_scores(
    confidence: NDArray[np.float32], class_probabilities: NDArray[np.float32] | None
) -> dict[Branch, NDArray[np.float32]]:
    """How anomalous each snippet is, 0..1, by branch; each float32 [n].

    Parameters
    ----------
    confidence : [n], of the classification branch, unchanged.
    class_probabilities : [n, C]; the alignment branch is 1 - p(normal); None: there is no such branch.
    """
    branches: dict[Branch, NDArray[np.float32]] = {"classification": confidence}
    if class_probabilities is not None:
        # In single precision, as the authors subtract: more scores tie than in double precision.
        branches["alignment"] = 1 - class_probabilities[:, NORMAL_COLUMN]
    return branches


def alarm_score(
    confidence: NDArray[np.float32], class_probabilities: NDArray[np.float32] | None, branch: Branch
) -> NDArray[np.float32]:
    """The scores [n] that are compared with `evaluate.alarm_threshold`."""
    branches = anomaly_scores(confidence, class_probabilities)
    return branches[branch_of(branch, branches)]
