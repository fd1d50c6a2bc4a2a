"""Changes to a training batch, so that a detector does not memorise a few videos (`recipe.augment`).

They are applied in the order of the functions here, only to features that the detector uses, and never to padding or
to snippets without sound. A teacher is given the same batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from avadclip.config.features import Modality
from avadclip.detectors.protocol import Batch, LabelledBatch
from avadclip.detectors.settings import Augment


def augmented(
    data: LabelledBatch, augment: Augment, modalities: Sequence[Modality], random: np.random.Generator
) -> LabelledBatch:
    """A batch on the CPU, augmented; if `augment` has no effect, the same batch, and no random number is drawn.

    Parameters
    ----------
    modalities : those of the detector; a batch may also have those of its teacher.
    """
    batch = data.batch
    if augment.mix_normal > 0:
        batch = mix_normal(batch, data.labels[:, 0] > 0, augment.mix_normal, random)
    if augment.feature_noise > 0:
        batch = _with(batch, {m: noisy(*_features(batch, m), augment.feature_noise, random) for m in modalities})
    if augment.feature_dropout > 0:
        batch = _with(batch, {m: thinned(_features(batch, m)[0], augment.feature_dropout, random) for m in modalities})
    if augment.modality_dropout > 0 and len(modalities) > 1:
        batch = drop_modality(batch, augment.modality_dropout, random)
    return replace(data, batch=batch)


def mix_normal(batch: Batch, is_normal: Tensor, probability: float, random: np.random.Generator) -> Batch:
    """Overwrite, with `probability`, a run of each normal video [b] by a run of another normal video of the batch.

    All runs are copied from the original batch, so the order of the videos does not matter. All views of a video get
    the same run.
    """
    changed = {name: getattr(batch, name) for name in ("visual", "audio", "audio_valid")}
    changed = {name: (x, x.clone()) for name, x in changed.items() if x is not None}
    normal = [row for row in range(0, len(is_normal), batch.n_views) if is_normal[row]]
    for row in normal:
        others = [other for other in normal if other != row]
        if random.random() >= probability or not others:
            continue
        other = others[random.integers(len(others))]
        n, n_other = int(batch.n_snippets[row]), int(batch.n_snippets[other])
        length = random.integers(1, min(n, n_other) + 1)
        to, come_from = random.integers(n - length + 1), random.integers(n_other - length + 1)
        for view in range(batch.n_views):
            for before, after in changed.values():
                after[row + view, to : to + length] = before[other + view, come_from : come_from + length]
    return replace(batch, **{name: after for name, (_, after) in changed.items()})


def noisy(features: Tensor, counted: Tensor, strength: float, random: np.random.Generator) -> Tensor:
    """Features [b, n, d] with Gaussian noise of `strength` times their root mean square, where `counted` [b, n]."""
    noise = torch.from_numpy(random.standard_normal(features.shape, np.float32))
    root_mean_square = (
        features[counted].square().mean().nan_to_num().sqrt()
    )  # a batch without sound has no counted snippets
    return features + strength * root_mean_square * noise * counted[:, :, None]


def thinned(features: Tensor, probability: float, random: np.random.Generator) -> Tensor:
    """Features [b, n, d] of which some are set to zero; the others are scaled up, so that the mean stays."""
    kept = torch.from_numpy(random.random(features.shape, np.float32) >= probability)
    return features * kept / (1 - probability)


def drop_modality(batch: Batch, probability: float, random: np.random.Generator) -> Batch:
    """Remove, with `probability`, one modality from each video that has both. Without sound, pictures stay."""
    assert batch.visual is not None
    assert batch.audio is not None
    assert batch.audio_valid is not None
    n_videos = len(batch.n_snippets) // batch.n_views
    dropped, is_visual = random.random(n_videos) < probability, random.random(n_videos) < 0.5
    rows = torch.from_numpy(np.stack([dropped & is_visual, dropped & ~is_visual])).repeat_interleave(batch.n_views, 1)
    without_visual, without_audio = rows & batch.audio_valid.any(dim=1)
    audio_valid = batch.audio_valid & ~without_audio[:, None]
    return replace(
        batch,
        visual=batch.visual * ~without_visual[:, None, None],
        audio=batch.audio * ~without_audio[:, None, None],
        audio_valid=audio_valid,
    )


def _features(batch: Batch, modality: Modality) -> tuple[Tensor, Tensor]:
    """Features [b, n, d] of one modality, and which snippets [b, n] have features."""
    features = batch.visual if modality == "visual" else batch.audio
    counted = batch.valid if modality == "visual" else batch.audio_valid
    assert features is not None
    assert counted is not None
    return features, counted


def _with(batch: Batch, features: Mapping[Modality, Tensor]) -> Batch:
    return replace(batch, visual=features.get("visual", batch.visual), audio=features.get("audio", batch.audio))
