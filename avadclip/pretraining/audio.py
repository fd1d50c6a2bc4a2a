"""Sound and picture at the same time -> a Wav2CLIP. Without labels: the frozen image tower is the teacher.

Ho-Hsiang Wu, Prem Seetharaman, Kundan Kumar, Juan Pablo Bello: Wav2CLIP: Learning Robust Audio Representations From
CLIP. ICASSP 2022.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from avadclip.encoders.wav2clip import Wav2Clip
from avadclip.pretraining.contrast import contrastive_loss, partners
from avadclip.pretraining.loop import Settings, fit

TEMPERATURE = 0.07  # at the start; learned
MAX_SHIFT = 6  # spectrogram frames, 0.13 s
MASK_SHARE = 0.15  # of the bins, and of the frames, at most


class _Pupil(nn.Module):
    """The network with its learned temperature."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.network = Wav2Clip(width)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / TEMPERATURE)))


def train_wav2clip(
    width: int,
    spectrograms: NDArray[np.floating],
    image_features: NDArray[np.floating],
    settings: Settings,
    device: torch.device,
) -> Wav2Clip:
    """Train an audio tower to give the features of the image tower at the same time.

    Parameters
    ----------
    width : channels of the first stage; 64 is the published network.
    spectrograms : floating [n, 257, frames], from :func:`avadclip.encoders.spectrogram.spectrogram`.
    image_features : floating [n, 512], CLIP's at the same times.

    Raises
    ------
    TrainingError : as :func:`avadclip.pretraining.loop.fit`.
    """
    torch.manual_seed(settings.seed)
    pupil = _Pupil(width).to(device)
    sounds, pictures = torch.from_numpy(spectrograms), torch.from_numpy(image_features)

    def loss_of(indices: Tensor) -> Tensor:
        heard = pupil.network(augment(sounds[indices].to(device).float()).unsqueeze(1))
        seen = pictures[indices].to(device).float()
        # Ranking alone leaves the features in a cone of their own; the cosine brings them to the image tower's.
        distance = 1 - functional.cosine_similarity(heard, seen).mean()
        return contrastive_loss(heard, seen, pupil.log_scale, partners(len(indices), device)) + distance

    fit(pupil, len(spectrograms), loss_of, settings)
    return pupil.network.cpu()


def augment(spectrograms: Tensor) -> Tensor:
    """Roll in time, and silence a band of bins and a span of frames: floating [n, bins, frames] -> the same shape."""
    rolled = spectrograms.roll(int(torch.randint(-MAX_SHIFT, MAX_SHIFT + 1, ())), dims=2)
    for dim in (1, 2):
        rolled = rolled.masked_fill(_band(rolled, dim), 0.0)  # the mean of a standardised spectrogram
    return rolled


def _band(spectrograms: Tensor, dim: int) -> Tensor:
    """A random band for each spectrogram: bool [n, bins, 1] or [n, 1, frames]."""
    n, length = len(spectrograms), spectrograms.shape[dim]
    first = torch.randint(0, length, (n, 1))
    after = first + torch.randint(0, round(MASK_SHARE * length) + 1, (n, 1))
    places = torch.arange(length)
    band = (first <= places) & (places < after)
    return (band[:, :, None] if dim == 1 else band[:, None, :]).to(spectrograms.device)
