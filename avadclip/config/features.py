"""Sections that decide what a feature is (``visual``, ``audio``) and how extraction is run (``extraction``)."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from avadclip.config.architectures import check_encoder
from avadclip.config.base import Section

Modality = Literal["visual", "audio"]
Precision = Literal["float32", "bfloat16", "float16"]
Frame = Literal["first", "middle", "mean"]
Views = Literal["center", "five_crop", "ten_crop"]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Weights(Section):
    """Pretrained weights: where they come from, and which file they must be."""

    path: str | None = None  # a local file; without it the published file is fetched
    sha256: Sha256 | None  # null only as long as it is unknown: nothing is encoded with weights that are not pinned


class Clip(Section):
    """The CLIP whose image tower makes (or made) visual features, and whose text tower reads the class names."""

    # JSON file of an architecture of your own, in open_clip's format; `encoder` is its name.
    encoder_config: str | None = None
    encoder: str = "ViT-B-16-quickgelu"  # declared after `encoder_config`, which its check looks at
    weights: Weights

    @field_validator("encoder")
    @classmethod
    def _encoder_is_known(cls, encoder: str, info: ValidationInfo) -> str:
        return encoder if info.data.get("encoder_config") else check_encoder(encoder)

    @property
    def text_tower(self) -> "Clip | None":
        """The CLIP whose text tower goes with the features."""
        return self


class Visual(Clip):
    """Frames -> CLIP image features. Every key is part of the recipe: a change makes new features."""

    stride: Annotated[int, Field(ge=1)]
    frame: Frame = "first"  # of each snippet; mean: the features of several frames are averaged
    mean_of: Annotated[int, Field(ge=2)] | None = None  # this many evenly spaced frames; null: all of the snippet
    views: Views = "center"
    precision: Precision
    batch_size: Annotated[int, Field(ge=1)] = 8  # matrix kernels round differently at different sizes
    # auto: decord where it is installed and agrees with the container, else PyAV. torchcodec: torchcodec on the CPU
    # where it gives PyAV's pictures to the bit, else PyAV; `pip install '.[torchcodec]'`.
    decoder: Literal["auto", "torchcodec"] = "auto"

    @model_validator(mode="after")
    def _frames_are_in_the_snippet(self) -> "Visual":
        if self.mean_of is not None and self.frame != "mean":
            raise ValueError(f"mean_of: {self.mean_of} goes with frame: mean, found frame: {self.frame}")
        if self.mean_of is not None and self.mean_of > self.stride:
            raise ValueError(f"mean_of: a snippet has {self.stride} frames (stride), found {self.mean_of}")
        return self

    @property
    def n_views(self) -> int:
        """Crops of one frame, each of which becomes a feature."""
        return {"center": 1, "five_crop": 5, "ten_crop": 10}[self.views]


class ReleasedVisual(Clip):
    """The authors' released CLIP features: nothing is encoded, so `weights` serve the text tower in training only."""

    stride: Literal[16]  # of the release

    @property
    def n_views(self) -> int:
        """Views of a training video in the release."""
        return 10


class ImportedVisual(Section):
    """Visual features of any extractor and width, in arrays that exist already, and the timeline of their snippets."""

    extractor: Annotated[str, Field(min_length=1)] | None  # what made them, in words; null: only audio features
    stride: Annotated[int, Field(ge=1)]  # frames from one snippet to the next
    frame_rate: Annotated[float, Field(gt=0)]  # frames per second of the videos
    array: str | None = None  # its name in .npz, .h5 and .safetensors files; null: the only array there
    views_axis: Literal[0, 1] = 0  # of arrays with three axes: [views, n, width]; 1: [n, views, width]
    # The CLIP whose text tower reads the class names; null: no detector that needs one is trained on these features.
    text_tower: Clip | None = None

    @property
    def n_views(self) -> int:
        """At least one; the files say how many there are."""
        return 1


class Audio(Section):
    """Sound -> Wav2CLIP features on the snippets of `visual.stride`. Every key is part of the recipe."""

    encoder: Literal["wav2clip"] = "wav2clip"
    width: Annotated[int, Field(ge=8)] = 64  # channels of the first ResNet stage; 64 is the published network
    weights: Weights
    window_seconds: Annotated[float, Field(ge=0.032)] = 1.0  # one Fourier transform spans 32 ms
    precision: Precision
    batch_size: Annotated[int, Field(ge=1)] = 32


class ReleasedAudio(Section):
    """The authors' released Wav2CLIP features, brought to the length of the visual ones."""

    encoder: Literal["wav2clip"] = "wav2clip"
    max_length_difference: Annotated[int, Field(ge=0)] = 16  # snippets; more than that is an error
    zeros: Literal["heard", "no_sound"] = "heard"  # rows of zeros: fused as they are, as released, or not valid


class ImportedAudio(Section):
    """Audio features of any extractor and width, in arrays that exist already, one feature for each visual snippet."""

    extractor: Annotated[str, Field(min_length=1)] | None  # what made them, in words; null: only visual features
    array: str | None = None  # as for visual features
    max_length_difference: Annotated[int, Field(ge=0)] = 1  # snippets; more than that is an error
    zeros: Literal["no_sound", "heard"] = "no_sound"  # what rows of zeros mean


class Extraction(Section):
    """How extraction runs. No key here may change a feature, so none is part of a recipe."""

    device: str = "auto"  # auto | cpu | cuda | cuda:1 ... | all: every GPU of this machine
    workers: Annotated[int, Field(ge=1)] = 2  # decoding processes
    stall_seconds: Annotated[float, Field(gt=0)] = 120.0  # a decoder that makes no progress for this long is ended
    work_cache: str = ".cache/features"

    @property
    def probes(self) -> Path:
        """The cache of what was found in the files of data sets; it lies beside the work cache."""
        return Path(self.work_cache).parent / "probes.sqlite"
