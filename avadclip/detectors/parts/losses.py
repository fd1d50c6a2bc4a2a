"""Every loss term of the paper (sec. III-E, III-F), as a pure function of what a detector gives. All in float32.

n_snippets int64 [b] is the number of valid snippets of each video, C the number of classes, class 0 is `normal`.
"""

import torch
from torch import Tensor
from torch.nn import functional

FOCUS = 2.0  # gamma of the focal loss


def top_k_mean(values: Tensor, n_snippets: Tensor) -> Tensor:
    """Mean over the k = floor(n / 16) + 1 largest of the n valid values of a video: [b, positions, ...] -> [b, ...]."""
    valid = torch.arange(values.shape[1], device=values.device) < n_snippets[:, None]
    k = n_snippets // 16 + 1
    trailing = (1,) * (values.dim() - 2)
    descending = values.masked_fill(~valid.view(*valid.shape, *trailing), -torch.inf).topk(int(k.max()), dim=1).values
    taken = torch.arange(descending.shape[1], device=values.device) < k[:, None]
    return descending.masked_fill(~taken.view(*taken.shape, *trailing), 0.0).sum(dim=1) / k.view(-1, *trailing)


def binary(anomaly_logits: Tensor, labels: Tensor, n_snippets: Tensor) -> Tensor:
    """L_bce: top-k mean of the confidences [b, n] against "is any anomaly in this video"; labels [b, C]."""
    confidence = top_k_mean(anomaly_logits.float().sigmoid(), n_snippets)
    return functional.binary_cross_entropy(confidence, 1.0 - labels[:, 0])


def align(class_logits: Tensor, labels: Tensor, n_snippets: Tensor, focal_weights: Tensor) -> Tensor:
    """L_align = (L_nce + L_focal) / 2 of the alignment map [b, n, C] against labels [b, C] normalised to sum 1.

    focal_weights [C] are the learned alpha of the focal loss.
    """
    share = labels / labels.sum(dim=1, keepdim=True)
    log_probabilities = top_k_mean(class_logits.float(), n_snippets).log_softmax(dim=1)
    cross_entropy = -(share * log_probabilities).sum(dim=1)
    hit = (share * log_probabilities.exp()).sum(dim=1)
    focal = (share * focal_weights).sum(dim=1) * (1.0 - hit) ** FOCUS * cross_entropy
    return (cross_entropy.mean() + focal.mean()) / 2


def text(class_embeddings: Tensor) -> Tensor:
    """L_text: mean over the anomaly classes of |cos| to class `normal`; class_embeddings [C, d]."""
    normal, anomalies = class_embeddings[:1].float(), class_embeddings[1:].float()
    return functional.cosine_similarity(normal, anomalies, dim=1).abs().mean()


def ukd(teacher: Tensor, student: Tensor, log_variance: Tensor, counted: Tensor) -> Tensor:
    """L_ukd (eq. 11, released form): squared error under a predicted variance; features [b, n, d], counted [b, n]."""
    theta = log_variance.float()
    error = (teacher.float() - student.float()) ** 2
    return _mean(error / (1e-6 + 2.0 * theta.exp()) + theta, counted)


def mse(teacher: Tensor, student: Tensor, counted: Tensor) -> Tensor:
    """Plain distillation: squared error of features [b, n, d] over the counted positions [b, n]."""
    return _mean((teacher.float() - student.float()) ** 2, counted)


def _mean(elements: Tensor, counted: Tensor) -> Tensor:
    """Mean of elements [b, n, d] over the positions [b, n] that count."""
    weights = counted.to(elements.dtype)
    return torch.einsum("bnd,bn->", elements, weights) / (weights.sum().clamp(min=1.0) * elements.shape[-1])
