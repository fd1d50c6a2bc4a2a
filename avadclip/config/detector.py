"""Sections ``train.<variant>`` and ``distill.<variant>``: the architecture of a detector, with method.md's switches."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from avadclip.config.base import Section
from avadclip.config.features import Weights

Modality = Literal["visual", "audio"]
Count = Annotated[int, Field(ge=1)]


class Architecture(Section):
    """What the detector trained from labels and its students have in common. Defaults are the released behaviour."""

    mask_padding: bool = False  # false: padded positions take part, as released; true: they influence nothing
    local_window: Count = 4  # snippets
    av_prompt: Literal["released", "paper", "none"] = "released"
    prompt_prefix: Annotated[int, Field(ge=0)] = 10  # learned vectors before the class name
    prompt_suffix: Annotated[int, Field(ge=0)] = 10  # and after it


class AudioVisual(Architecture):
    """A detector trained from video labels alone: the audio-visual teacher, or a baseline with a single modality."""

    kind: Literal["audio_visual"] = "audio_visual"
    modalities: Annotated[tuple[Modality, ...], Field(min_length=1, max_length=2)] = ("visual", "audio")
    fusion: Literal["adaptive", "add", "concat_linear", "cross_attention", "none"] = "adaptive"
    local_layers: Count = 2
    audio_levels: Count = 3  # dilations 1, 2, 4 ... of the temporal convolutions over the audio features
    audio_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    # Audio features are multiplied by this before fusion. Encoders leave the length of their features open; where sound
    # comes in small, the detector learns the pictures of its training videos by heart instead.
    audio_gain: Annotated[float, Field(gt=0)] = 1.0

    @model_validator(mode="after")
    def _fusion_fits_the_modalities(self) -> Self:
        if len(set(self.modalities)) != len(self.modalities):
            raise ValueError("`modalities` names a modality twice")
        if (self.fusion == "none") != (len(self.modalities) == 1):
            raise ValueError("`fusion: none` goes with one modality; two modalities need a fusion")
        return self


class Student(Architecture):
    """A detector that sees one modality and is taught by a trained detector (paper, sec. III-F)."""

    kind: Literal["student"] = "student"
    modality: Modality = "visual"
    distillation: Literal["ukd", "mse", "none"] = "ukd"
    normalize_features: bool = False  # compare features of unit mean square, so that a weight near 1 has an effect
    local_layers: Count = 1
    local_window: Count = 64
    enhancement_layers: Count = 3  # released; the paper draws one


class Released(Section):
    """A checkpoint that the authors released; it is imported instead of trained, and brings its architecture along."""

    released: Weights  # a .pth file


AnyArchitecture = Annotated[AudioVisual | Student, Field(discriminator="kind")]
