"""A model folder: everything that a new video needs, in one place that can be copied elsewhere.

``runs/<data set>/`` is one: the detectors in folders of their own, ``predictor.json`` (which of them speaks when, and
how features are made), ``encoders/`` (the pinned weights) and ``alarm.json`` (the evaluation's threshold, in a file of
its own so that another threshold does not pack the rest again). No torch.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import ValidationError

from avadclip.config import Params
from avadclip.config.architectures import read_architecture
from avadclip.config.base import Section
from avadclip.config.evaluation import Branch, Evaluate, MissingAudio, Share
from avadclip.config.features import Audio, Visual, Weights
from avadclip.encoders.weights import WAV2CLIP, locate, published_clip
from avadclip.errors import CheckpointError
from avadclip.files import write_text

PREDICTOR, ALARM, ENCODERS = "predictor.json", "alarm.json", "encoders"

Content = TypeVar("Content", bound=Section)


class Alarm(Section):
    """When an alarm is on; see :class:`avadclip.config.evaluation.Evaluate`."""

    format: Literal["avadclip-alarm/1"] = "avadclip-alarm/1"
    threshold: Share
    branch: Branch


class ModelFolder(Section):
    """What ``predictor.json`` says. Paths in the sections are relative to the folder; :meth:`read` resolves them."""

    format: Literal["avadclip-model/1"] = "avadclip-model/1"
    dataset: str  # that the detectors were trained on
    detector: str  # the folder of the one that speaks where there is sound
    student: str  # of the one that is shown beside it, and speaks where there is none
    missing_audio: MissingAudio  # whether it does
    visual: Visual
    audio: Audio

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the description of a model folder.

        Raises
        ------
        CheckpointError : there is no such file, or it says something else.
        """
        found = _read(cls, folder / PREDICTOR, "`dvc repro`")
        visual, audio = found.visual, found.audio
        config = visual.encoder_config and str(folder / visual.encoder_config)
        visual = visual.model_copy(update={"encoder_config": config, "weights": _inside(folder, visual.weights)})
        audio = audio.model_copy(update={"weights": _inside(folder, audio.weights)})
        return found.model_copy(update={"visual": visual, "audio": audio})


def read_alarm(folder: Path) -> Alarm:
    """The threshold of a model folder.

    Raises
    ------
    CheckpointError : there is no such file, or it says something else.
    """
    return _read(Alarm, folder / ALARM, "`dvc repro evaluate`")


def write_alarm(folder: Path, settings: Evaluate) -> None:
    """Write the evaluation's threshold into a model folder (stage ``evaluate``)."""
    _write(folder / ALARM, Alarm(threshold=settings.alarm_threshold, branch=settings.alarm_branch))


def package(folder: Path, dataset: str, params: Params) -> None:
    """Write description and encoders into a model folder (stage ``package``); its detectors have to be there.

    Raises
    ------
    WeightsError, ConfigError : weights or architecture are missing or not what params.yaml pins.
    """
    section = params.dataset(dataset)
    encoders = folder / ENCODERS
    shutil.rmtree(encoders, ignore_errors=True)
    encoders.mkdir(parents=True)
    visual, audio = section.visual, section.audio
    seen_with = locate(visual.weights, published_clip(visual), f"datasets.{dataset}.visual.weights")
    heard_with = locate(audio.weights, WAV2CLIP, f"datasets.{dataset}.audio.weights")
    copies: dict[str, Any] = {"weights": _copied(seen_with, encoders / f"visual{seen_with.suffix}", visual.weights)}
    if visual.encoder_config:
        architecture = read_architecture(visual.encoder, visual.encoder_config)
        _write_json(encoders / "visual.json", architecture)
        copies["encoder_config"] = f"{ENCODERS}/visual.json"
    heard = {"weights": _copied(heard_with, encoders / f"audio{heard_with.suffix}", audio.weights)}
    described = ModelFolder(
        dataset=dataset,
        detector=params.teacher,
        student=params.score.student,
        missing_audio=params.score.missing_audio,
        visual=visual.model_copy(update=copies),
        audio=audio.model_copy(update=heard),
    )
    _write(folder / PREDICTOR, described)


def _copied(source: Path, target: Path, weights: Weights) -> Weights:
    shutil.copyfile(source, target)  # a copy: DVC may make it a read-only link into its cache
    return Weights(path=f"{ENCODERS}/{target.name}", sha256=weights.sha256)


def _inside(folder: Path, weights: Weights) -> Weights:
    return Weights(path=weights.path and str(folder / weights.path), sha256=weights.sha256)


def _read(kind: type[Content], path: Path, remedy: str) -> Content:
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise CheckpointError(
            f"{path}: no such file; expected a model folder, for example runs/demo after {remedy}"
        ) from None
    except ValidationError as error:
        raise CheckpointError(f"{path}: not what a model folder holds: {error}; make it anew with {remedy}") from None


def _write(path: Path, content: Section) -> None:
    _write_json(path, content.model_dump(mode="json"))


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=2) + "\n")
