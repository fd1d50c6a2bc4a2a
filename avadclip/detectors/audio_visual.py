"""AVadCLIP: both modalities fused, or a baseline with one of them, trained from video labels (paper, fig. 2).

Temporal model over vision, convolutions over audio, fusion, two branches. With one modality there is no fusion, and the
temporal model runs over that one. Defaults are the released ones.
"""

from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from avadclip.config.features import Modality
from avadclip.detectors.parts import losses
from avadclip.detectors.parts.branches import BranchDetector, Branches, BranchOutput, BranchSettings
from avadclip.detectors.parts.fusion import FUSIONS
from avadclip.detectors.parts.temporal_convolutions import AudioModel
from avadclip.detectors.parts.text import TextTower
from avadclip.detectors.protocol import Batch, Dimensions, Needs, Scores, Targets
from avadclip.detectors.settings import Count, Positive, Share


class AudioVisualSettings(BranchSettings):
    """Switches, see docs/method.md."""

    modalities: Annotated[tuple[Modality, ...], Field(min_length=1, max_length=2)] = ("visual", "audio")
    fusion: Literal["adaptive", "add", "concat_linear", "cross_attention", "none"] = "adaptive"
    focal: bool = True  # the focal loss, as half of L_align
    local_layers: Count = 2
    audio_levels: Count = 3  # dilations 1, 2, 4 ... of the temporal convolutions over the audio features
    audio_dropout: Share = 0.1
    # Audio features are multiplied by this before fusion. Encoders differ in the length of their features; if audio
    # features are short, the detector memorises the pictures of its training videos instead.
    audio_gain: Positive = 1.0

    @model_validator(mode="after")
    def _fusion_fits_the_modalities(self) -> Self:
        if len(set(self.modalities)) != len(self.modalities):
            raise ValueError("`modalities` names a modality twice")
        if (self.fusion == "none") != (len(self.modalities) == 1):
            raise ValueError("`fusion: none` is for one modality; two modalities need a fusion")
        return self


class AudioVisualDetector(BranchDetector):
    """The audio-visual detector, or a baseline with one modality."""

    Settings = AudioVisualSettings
    settings: AudioVisualSettings

    def __init__(self, settings: AudioVisualSettings, dimensions: Dimensions, tower: TextTower | None = None) -> None:
        super().__init__(settings, dimensions, tower)
        width, fusion = dimensions.embedding_width, settings.fusion
        self.temporal = self.temporal_model(settings.modalities[0] if fusion == "none" else "visual")
        self.fusion = None if fusion == "none" else FUSIONS[fusion](width)
        if self.fusion is not None:
            levels, dropout = settings.audio_levels, settings.audio_dropout
            self.audio = AudioModel(dimensions.widths["audio"], width, levels, dropout)
        self.branches = Branches(settings, dimensions, tower, settings.focal)

    @classmethod
    def needs(cls, settings: Any) -> Needs:
        """The modalities of the settings, and CLIP's text tower."""
        return Needs(settings.modalities, text_tower=True)

    def forward(self, batch: Batch) -> BranchOutput:
        attendable = self.attendable(batch)
        x = self.temporal(self.snippets(batch, self.seen), batch.valid, attendable)
        if self.fusion is not None:
            audible = self.audible(batch)
            sound = self.audio(self.settings.audio_gain * self.snippets(batch, "audio"))
            fused = self.fusion(x, sound, audible)
            x = torch.where(audible[:, :, None], fused, x)
        output: BranchOutput = self.branches(x, attendable)
        return output

    def losses(self, output: BranchOutput, batch: Batch, targets: Targets) -> dict[str, Tensor]:
        """Terms of sec. III-E: `binary`, `align`, `text`."""
        return losses.of_branches(output, targets.labels, batch.n_snippets, self.branches.focal_weights)

    def scores(self, output: BranchOutput, batch: Batch) -> Scores:
        return output.scores()
