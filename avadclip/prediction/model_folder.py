"""A model folder: everything that prediction needs, in one folder that can be copied elsewhere.

``runs/<data set>/`` is one: the detectors in folders of their own, ``predictor.json`` (their roles, and how features
are made), ``encoders/`` (the pinned weights), ``familiarity.safetensors`` (statistics of the training, see
:mod:`avadclip.prediction.familiarity`) and ``alarm.json`` (see :mod:`avadclip.prediction.alarm`).
"""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field

from avadclip import paths
from avadclip.config import Params
from avadclip.config.architectures import read_architecture
from avadclip.config.base import Section
from avadclip.config.evaluation import MissingAudio
from avadclip.config.features import Audio, Modality, Visual, Weights
from avadclip.detectors.description import read_description, read_refusal
from avadclip.encoders.weights import WAV2CLIP, locate, published_clip
from avadclip.io import copy, write_text
from avadclip.prediction.section_file import read_section, write_refusal, write_section

PREDICTOR, ENCODERS = "predictor.json", "encoders"


class ModelFolder(Section):
    """The content of ``predictor.json``. In the file, paths are relative to its folder; :meth:`read` resolves them."""

    format: Literal["avadclip-model/2"] = "avadclip-model/2"
    dataset: str  # on which the detectors were trained
    detector: str  # decides if there is sound
    student: str  # is shown beside it, and decides if there is no sound
    missing_audio: MissingAudio  # whether the student does
    seed: int  # of the training of both
    modalities: Annotated[tuple[Modality, ...], Field(min_length=1)]  # that they use, both together
    visual: Visual
    audio: Audio

    def folder_of(self, variant: str) -> str:
        """Folder of a detector, relative to this folder."""
        return f"{variant}/seed{self.seed}"

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the description of a model folder.

        Raises
        ------
        CheckpointError : there is no such file, it is damaged or newer than this version, or it says why these
            detectors cannot score new videos.
        """
        found = read_section(cls, folder / PREDICTOR, "package")
        visual, audio = found.visual, found.audio
        architecture = visual.encoder_config and str(folder / visual.encoder_config)
        visual = visual.model_copy(update={"encoder_config": architecture, "weights": _in(folder, visual.weights)})
        audio = audio.model_copy(update={"weights": _in(folder, audio.weights)})
        return found.model_copy(update={"visual": visual, "audio": audio})


def package(folder: Path, dataset: str, params: Params) -> None:
    """Write description and encoders into the folder of a data set's detectors (stage ``package``).

    Raises
    ------
    CheckpointError : a detector is missing.
    WeightsError, ConfigError : weights or architecture are missing or not what params.yaml pins.
    """
    section = params.dataset(dataset)
    (folder / ENCODERS).mkdir(parents=True, exist_ok=True)
    if not (isinstance(section.visual, Visual) and isinstance(section.audio, Audio)):
        refusal = f"the features of {dataset!r} were imported, and how to make them from a new video is not known"
        write_refusal(folder / PREDICTOR, refusal)
        _keep_only(folder, ())
        return
    seen_with = locate(section.visual.weights, published_clip(section.visual), f"datasets.{dataset}.visual.weights")
    heard_with = locate(section.audio.weights, WAV2CLIP, f"datasets.{dataset}.audio.weights")
    visual: dict[str, Any] = {"weights": _copy(seen_with, folder, "visual", section.visual.weights)}
    if section.visual.encoder_config:
        architecture = read_architecture(section.visual.encoder, section.visual.encoder_config)
        visual["encoder_config"] = f"{ENCODERS}/visual.json"
        write_text(folder / visual["encoder_config"], json.dumps(architecture, indent=2) + "\n")
    audio = {"weights": _copy(heard_with, folder, "audio", section.audio.weights)}
    described = ModelFolder(
        dataset=dataset,
        detector=params.score.detector,
        student=params.score.student,
        missing_audio=params.score.missing_audio,
        seed=params.seeds[0],
        modalities=modalities_of(dataset, params),
        visual=section.visual.model_copy(update=visual),
        audio=section.audio.model_copy(update=audio),
    )
    write_section(folder / PREDICTOR, described)
    _keep_only(folder, (described.visual.weights.path, described.visual.encoder_config, described.audio.weights.path))


def modalities_of(dataset: str, params: Params) -> tuple[Modality, ...]:
    """The modalities of the two detectors, by their descriptions; none for one that was not trained.

    Raises
    ------
    CheckpointError : a detector is missing.
    """
    variants = (params.score.detector, params.score.student)
    folders = [paths.run(dataset, variant, params.seeds[0]) for variant in variants]
    descriptions = [read_description(folder) for folder in folders if read_refusal(folder) is None]
    wanted = {modality for description in descriptions for modality in description.modalities}
    return tuple(modality for modality in get_args(Modality) if modality in wanted)


def _copy(source: Path, folder: Path, name: str, weights: Weights) -> Weights:
    relative = f"{ENCODERS}/{name}{source.suffix}"
    copy(source, folder / relative)
    return Weights(path=relative, sha256=weights.sha256)


def _keep_only(folder: Path, names: Collection[str | None]) -> None:
    """Remove the encoders of an earlier model folder, when this one is complete."""
    for path in (folder / ENCODERS).iterdir():
        if path.relative_to(folder).as_posix() not in names:
            path.unlink()


def _in(folder: Path, weights: Weights) -> Weights:
    return Weights(path=weights.path and str(folder / weights.path), sha256=weights.sha256)
