"""``model.json``: the description of a trained detector, which is needed to read its weights. Without torch."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from avadclip.config.evaluation import Branch
from avadclip.config.features import Modality
from avadclip.detectors.calibration import Calibration
from avadclip.errors import CheckpointError
from avadclip.io import unknown_format, write_text

FORMAT = 2
FILE = "model.json"


@dataclass(frozen=True)
class Description:
    """Everything about a trained detector except its weights.

    Attributes
    ----------
    dataset, variant, kind, settings : what was trained, and on which data set; settings include all defaults.
    modalities : the features that it uses.
    dimensions : see :class:`avadclip.detectors.protocol.Dimensions`.
    classes : class 0 is `normal`; also the text prompts.
    recipes : of the features that it was trained on, and expects.
    text_tower : name and sha256 of the CLIP whose text tower trained the prompts; None for a detector without prompts.
    selection : how the round was chosen; `released_test_selected` chose on the test set.
    round : the chosen one, counted from 1; 0 if it is not known (imported).
    seed : of training; None if it is not known (imported).
    calibration : of the scores, by branch; None if they are not calibrated.
    uncalibrated : why they are not, although the recipe asks for it.
    imported : name and sha256 of the authors' file that this detector came from.
    """

    dataset: str
    variant: str
    kind: str
    settings: dict[str, Any]
    modalities: tuple[Modality, ...]
    dimensions: dict[str, Any]
    classes: tuple[str, ...]
    recipes: dict[Modality, dict[str, Any]]
    text_tower: dict[str, str] | None
    selection: str
    round: int
    seed: int | None
    calibration: dict[Branch, Calibration] | None = None
    uncalibrated: str | None = None
    imported: dict[str, str] | None = None
    format: int = FORMAT

    def check_recipe(self, modality: Modality, found: Mapping[str, Any], ignoring: Collection[str] = ()) -> None:
        """Refuse features whose recipe differs from that of training, except for the keys to be ignored.

        Raises
        ------
        CheckpointError : names every key that differs, with both values.
        """
        expected = self.recipes[modality]
        keys = (expected.keys() | found.keys()) - set(ignoring)
        differing = sorted(key for key in keys if expected.get(key) != found.get(key))
        if differing:
            pairs = ", ".join(f"{key} {expected.get(key)!r} (found {found.get(key)!r})" for key in differing)
            who = f"{self.dataset}/{self.variant}"
            raise CheckpointError(
                f"{who}: expects {modality} features with {pairs}; extract such features, or train again"
            )


def read_description(folder: Path) -> Description:
    """The description of the detector in a folder.

    Raises
    ------
    CheckpointError : the file is missing, unreadable or of another format, or says why there is no detector.
    """
    path, content = folder / FILE, _content(folder)
    if "refusal" in content:
        raise CheckpointError(f"{path}: was not trained: {content['refusal']}")
    if (found := content.get("format")) != FORMAT:
        raise CheckpointError(f"{path}: {unknown_format(found, str(FORMAT), 'train it again')}")
    try:
        return _ADAPTER.validate_python(content)
    except ValidationError as error:
        raise CheckpointError(f"{path}: not a description of a detector: {error}; train it again") from None


def read_refusal(folder: Path) -> str | None:
    """The reason why no detector was trained; None if there is one.

    Raises
    ------
    CheckpointError : neither is there.
    """
    reason = _content(folder).get("refusal")
    return None if reason is None else str(reason)


def write_refusal(folder: Path, reason: str) -> None:
    """Write why there is no detector in a folder."""
    write_text(folder / FILE, json.dumps({"refusal": reason}, indent=2) + "\n")


def write_description(folder: Path, description: Description) -> None:
    """Write it; the same description gives the same bytes."""
    absent = {name for name in ("calibration", "uncalibrated") if getattr(description, name) is None}
    content = _ADAPTER.dump_python(description, mode="json", exclude=absent)
    write_text(folder / FILE, json.dumps(content, indent=2, sort_keys=True) + "\n")


def _content(folder: Path) -> dict[str, Any]:
    path = folder / FILE
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; train it with `dvc repro`, or `dvc pull`") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not a description of a detector: {error}; train it again") from None
    return content if isinstance(content, dict) else {}


_ADAPTER = TypeAdapter(Description)
