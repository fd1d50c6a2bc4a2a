"""Images and their captions -> a CLIP of any size; and zero-shot recognition by the names of classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from avadclip.encoders.images import normalise
from avadclip.pretraining.contrast import contrastive_loss
from avadclip.pretraining.loop import Settings, fit

SHIFT = 4  # pixels, at most, in each direction
LIGHT = 0.3  # relative, at most: brightness and contrast


def train_clip(
    architecture: dict[str, Any],
    images: NDArray[np.uint8],
    captions: Sequence[tuple[str, ...]],
    settings: Settings,
    device: torch.device,
) -> open_clip.CLIP:
    """Train both towers from scratch.

    Parameters
    ----------
    architecture : constructor arguments of ``open_clip.CLIP``.
    images : uint8 [n, size, size, 3].
    captions : n times the wordings that fit; images with the same wordings are each other's partners.

    Raises
    ------
    TrainingError : as :func:`avadclip.pretraining.loop.fit`.
    """
    torch.manual_seed(settings.seed)
    model = open_clip.CLIP(**architecture).to(device)
    kinds = {wordings: number for number, wordings in enumerate(dict.fromkeys(captions))}
    kind_of = torch.tensor([kinds[wordings] for wordings in captions])
    tokens = [open_clip.tokenize(list(wordings), model.context_length) for wordings in kinds]
    pixels = torch.from_numpy(images)

    def loss_of(indices: Tensor) -> Tensor:
        batch = augment(pixels[indices].to(device).permute(0, 3, 1, 2).float() / 255)
        present, kind = torch.unique(kind_of[indices], return_inverse=True)
        # A wording is drawn for each image; a caption that is in the batch twice is encoded once.
        drawn = torch.stack([tokens[k][torch.randint(len(tokens[k]), ())] for k in present.tolist()])
        positives = kind[:, None] == torch.arange(len(present))
        return contrastive_loss(
            model.encode_image(normalise(batch)),
            model.encode_text(drawn.to(device)),
            model.logit_scale,
            positives.to(device),
        )

    fit(model, len(images), loss_of, settings)
    return model.cpu()


def augment(images: Tensor) -> Tensor:
    """Mirror, shift, and change brightness and contrast: floating [n, 3, size, size] in 0..1 -> the same shape."""
    n, size = len(images), images.shape[-1]
    mirrored = torch.rand(n, 1, 1, 1) < 0.5
    images = torch.where(mirrored.to(images.device), images.flip(-1), images)
    top, left = torch.randint(0, 2 * SHIFT + 1, (2,)).tolist()  # one shift for the batch
    images = functional.pad(images, [SHIFT] * 4, mode="reflect")[..., top : top + size, left : left + size]
    contrast, brightness = (1 + LIGHT * (2 * torch.rand(2, n, 1, 1, 1) - 1)).to(images.device)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return torch.clamp((images - mean) * contrast + mean * brightness, 0, 1)


@dataclass(frozen=True)
class ZeroShot:
    """Shares of samples whose class name is the nearest text."""

    recall: NDArray[np.float64]  # [C], NaN for a class without samples
    n_samples: NDArray[np.int64]  # [C]

    @property
    def balanced(self) -> float:
        """Mean over the classes that have samples; chance is 1 / C."""
        return float(np.nanmean(self.recall))


def zero_shot(features: NDArray[np.floating], texts: NDArray[np.floating], classes: NDArray[np.int64]) -> ZeroShot:
    """Nearest class by cosine: features [n, d], texts [C, d] and the true classes [n]."""
    texts = texts / np.linalg.norm(texts, axis=1, keepdims=True)
    nearest = (features.astype(np.float32) @ texts.T).argmax(axis=1)  # the norm of a feature does not matter
    counts = np.bincount(classes, minlength=len(texts))
    hits = np.bincount(classes[nearest == classes], minlength=len(texts))
    recall = np.divide(hits, counts, out=np.full(len(texts), np.nan), where=counts > 0)
    return ZeroShot(recall, counts)


@torch.inference_mode()
def text_features(model: open_clip.CLIP, wordings: Sequence[tuple[str, ...]]) -> NDArray[np.float32]:
    """One feature per class, the mean over its wordings: float32 [C, d], normalised."""
    features = []
    for words in wordings:
        tokens = open_clip.tokenize(list(words), model.context_length)
        features.append(functional.normalize(model.encode_text(tokens), dim=1).mean(dim=0))
    return functional.normalize(torch.stack(features), dim=1).numpy()
