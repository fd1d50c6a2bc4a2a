"""The detector that is trained from video labels: both modalities fused, or a baseline with one of them."""

import torch
from torch import Tensor

from avadclip.config.detector import AudioVisual, Modality
from avadclip.detectors.parts.branches import Branches
from avadclip.detectors.parts.fusion import FUSIONS
from avadclip.detectors.parts.temporal import TemporalModel
from avadclip.detectors.parts.temporal_convolutions import AudioModel
from avadclip.detectors.parts.text import TextTower
from avadclip.detectors.protocol import Batch, Detector, DetectorOutput, Dimensions, Targets


class AudioVisualDetector(Detector):
    """Temporal model over vision, convolutions over audio, fusion, two branches (paper, fig. 2).

    With one modality there is no fusion, and the temporal model runs over that one.
    """

    def __init__(self, architecture: AudioVisual, dimensions: Dimensions, tower: TextTower | None) -> None:
        super().__init__(architecture.modalities, dimensions, architecture.mask_padding)
        width, fusion = dimensions.embedding_width, architecture.fusion
        self.main: Modality = architecture.modalities[0] if fusion == "none" else "visual"
        self.temporal = TemporalModel(
            width_in=dimensions.widths[self.main],
            width_out=width,
            max_snippets=dimensions.max_snippets,
            n_layers=architecture.local_layers,
            window=architecture.local_window,
        )
        self.fusion = None if fusion == "none" else FUSIONS[fusion](width)
        self.audio_gain = architecture.audio_gain
        if self.fusion is not None:
            levels, dropout = architecture.audio_levels, architecture.audio_dropout
            self.audio = AudioModel(dimensions.widths["audio"], width, levels, dropout)
        self.branches = Branches(architecture, dimensions, tower)

    def forward(self, batch: Batch) -> DetectorOutput:
        seen = self.seen(batch)
        x = self.temporal(self.snippets(batch, self.main), batch.valid, seen)
        if self.fusion is not None:
            heard = self.heard(batch)
            sound = self.audio(self.audio_gain * self.snippets(batch, "audio"))
            fused = self.fusion(x, sound, heard)
            x = torch.where(heard[:, :, None], fused, x)
        output: DetectorOutput = self.branches(x, seen)
        return output

    def losses(self, output: DetectorOutput, batch: Batch, targets: Targets) -> dict[str, Tensor]:
        return self.branches.losses(output, batch, targets)
