"""How well features tell classes by their names alone, without any training on them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from torch.nn import functional


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
    nearest = (features.astype(np.float32) @ texts.T).argmax(axis=1)  # a feature's own norm changes nothing
    counts = np.bincount(classes, minlength=len(texts))
    hits = np.bincount(classes[nearest == classes], minlength=len(texts))
    recall = np.divide(hits, counts, out=np.full(len(texts), np.nan), where=counts > 0)
    return ZeroShot(recall, counts)


@torch.inference_mode()
def text_features(model: open_clip.CLIP, wordings: Sequence[tuple[str, ...]]) -> NDArray[np.float32]:
    """One feature a class, the mean over its wordings: float32 [C, d], normalised."""
    features = []
    for words in wordings:
        tokens = open_clip.tokenize(list(words), model.context_length)
        features.append(functional.normalize(model.encode_text(tokens), dim=1).mean(dim=0))
    return functional.normalize(torch.stack(features), dim=1).numpy()
