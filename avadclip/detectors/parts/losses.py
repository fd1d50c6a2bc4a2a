"""Every loss term of the paper (sec. III-E, III-F), as a pure function of a detector's output. All in float32.

n_snippets int64 [b] is the number of valid snippets of each video, C the number of classes, class 0 is `normal`.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from avadclip.detectors.parts.branches import BranchOutput

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


def binary_of_logits(anomaly_logits: Tensor, labels: Tensor, n_snippets: Tensor) -> Tensor:
    """As :func:`binary`, but the mean is over the top-k *logits* (HL-Net)."""
    logits = top_k_mean(anomaly_logits.float(), n_snippets)
    return functional.binary_cross_entropy_with_logits(logits, 1.0 - labels[:, 0])


def nce(class_logits: Tensor, labels: Tensor, n_snippets: Tensor) -> Tensor:
    """L_nce: cross entropy of the alignment map [b, n, C] against labels [b, C] normalised to sum 1."""
    return _class_terms(class_logits, labels, n_snippets)[1].mean()


def align(class_logits: Tensor, labels: Tensor, n_snippets: Tensor, focal_weights: Tensor | None) -> Tensor:
    """L_align = (L_nce + L_focal) / 2; focal_weights [C] are the learned alpha of the focal loss. Without: L_nce."""
    share, cross_entropy, hit = _class_terms(class_logits, labels, n_snippets)
    if focal_weights is None:
        return cross_entropy.mean()
    focal = (share * focal_weights).sum(dim=1) * (1.0 - hit) ** FOCUS * cross_entropy
    return (cross_entropy.mean() + focal.mean()) / 2


def _class_terms(class_logits: Tensor, labels: Tensor, n_snippets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For each video: labels that sum to 1 [b, C], cross entropy [b], and the probability of its labels [b]."""
    share = labels / labels.sum(dim=1, keepdim=True)
    log_probabilities = top_k_mean(class_logits.float(), n_snippets).log_softmax(dim=1)
    cross_entropy = -(share * log_probabilities).sum(dim=1)
    return share, cross_entropy, (share * log_probabilities.exp()).sum(dim=1)


def text(class_embeddings: Tensor) -> Tensor:
    """L_text: mean over the anomaly classes of ``|cos|`` to class `normal`; class_embeddings [C, d]."""
    normal, anomalies = class_embeddings[:1].float(), class_embeddings[1:].float()
    return functional.cosine_similarity(normal, anomalies, dim=1).abs().mean()


def of_branches(
    output: "BranchOutput", labels: Tensor, n_snippets: Tensor, focal_weights: Tensor | None
) -> dict[str, Tensor]:
    """The terms that AVadCLIP's detectors learn from labels: `binary`, `align`, `text`."""
    return {
        "binary": binary(output.anomaly_logits, labels, n_snippets),
        "align": align(output.class_logits, labels, n_snippets, focal_weights),
        "text": text(output.class_embeddings),
    }


def ukd(teacher: Tensor, student: Tensor, log_variance: Tensor, counted: Tensor) -> Tensor:
    """L_ukd (eq. 11, released form): squared error under a predicted variance; features [b, n, d], counted [b, n]."""
    theta = log_variance.float()
    error = (teacher.float() - student.float()) ** 2
    return _mean(error / (1e-6 + 2.0 * theta.exp()) + theta, counted)


def mse(teacher: Tensor, student: Tensor, counted: Tensor) -> Tensor:
    """Plain distillation: squared error of features [b, n, d] over the counted positions [b, n]."""
    return _mean((teacher.float() - student.float()) ** 2, counted)


def teacher_scores(teacher: "BranchOutput", student: "BranchOutput", counted: Tensor) -> Tensor:
    """Cross entropy of the student's confidence in each counted snippet [b, n] against the teacher's."""
    wanted = teacher.anomaly_logits.float().sigmoid()
    errors = functional.binary_cross_entropy_with_logits(student.anomaly_logits.float(), wanted, reduction="none")
    return _mean(errors[..., None], counted)


def class_map(teacher: "BranchOutput", student: "BranchOutput", counted: Tensor) -> Tensor:
    """Cross entropy of the student's class probabilities in each counted snippet [b, n] against the teacher's."""
    errors = -(teacher.class_probabilities * student.class_logits.float().log_softmax(dim=-1)).sum(dim=-1)
    return _mean(errors[..., None], counted)


def relations(teacher: Tensor, student: Tensor, counted: Tensor) -> Tensor:
    """Squared error of the cosines between all counted snippets of a video (Tung and Mori, ICCV 2019); [b, n, d]."""
    wanted, found = (
        rows @ rows.transpose(1, 2) for rows in (functional.normalize(x.float(), dim=-1) for x in (teacher, student))
    )
    both = (counted[:, :, None] & counted[:, None, :]).flatten(1)
    return _mean((wanted - found).square().flatten(1)[..., None], both)


def _mean(elements: Tensor, counted: Tensor) -> Tensor:
    """Mean of elements [b, n, d] over the positions [b, n] that count."""
    weights = counted.to(elements.dtype)
    return torch.einsum("bnd,bn->", elements, weights) / (weights.sum().clamp(min=1.0) * elements.shape[-1])


def segments(confidences: Tensor, anomalous_share: Tensor, valid: Tensor) -> Tensor:
    """Cross entropy of confidences [b, n, k] against the share of each snippet that is in a segment [b, n].

    Summed over k, averaged over the snippets of a video, and then over all b videos, where those without segments
    (with share -1) count 0. So with weight 1, a video with segments counts as much by them as by its label.
    """
    known = (valid & (anomalous_share >= 0))[..., None]
    said, wanted = confidences.float().masked_fill(~known, 0.0), anomalous_share[..., None].masked_fill(~known, 0.0)
    errors = functional.binary_cross_entropy(said, wanted.expand_as(said), reduction="none")  # 0 against 0 gives 0
    return (errors.sum(dim=(1, 2)) / valid.sum(dim=1)).mean()


def rank(confidence: Tensor, is_anomalous: Tensor, valid: Tensor) -> Tensor:
    """Hinge between the highest confidence [b, n] of each normal and each anomalous video (DeepMIL, eq. 6).

    Summed over the anomalous videos and averaged over the normal ones, as in the authors' code; 0 if one sort is
    missing.
    """
    highest = confidence.masked_fill(~valid, -torch.inf).amax(dim=1)
    margins = functional.relu(1.0 - highest[is_anomalous][None, :] + highest[~is_anomalous][:, None])
    return margins.sum() / max(1, margins.shape[0])


def sparse(confidence: Tensor, valid: Tensor) -> Tensor:
    """Sum of all confidences [b, n] of valid snippets."""
    return (confidence * valid).sum()


def smooth(confidence: Tensor, valid: Tensor) -> Tensor:
    """Sum of the squared steps between neighbouring valid snippets of each video; confidence [b, n]."""
    both_valid = valid[:, 1:] & valid[:, :-1]
    return ((confidence[:, 1:] - confidence[:, :-1]).square() * both_valid).sum()


def magnitude(lengths: Tensor, is_anomalous: Tensor, margin: float) -> Tensor:
    """Squared sum of the distance of an anomalous video from the margin and of a normal one from zero (RTFM).

    `lengths` [b, views] are the lengths of the mean feature of each video. The first anomalous video is paired with the
    first normal one, and so on; 0 if one sort is missing.
    """
    anomalous, normal = lengths[is_anomalous], lengths[~is_anomalous]
    n = min(len(anomalous), len(normal))
    distances = (margin - anomalous[:n]).abs() + normal[:n]
    return distances.square().sum() / max(1, distances.numel())


def sparse_norm(confidence: Tensor, valid: Tensor) -> Tensor:
    """Euclidean norm of all confidences [b, n] of valid snippets together (RTFM)."""
    norm: Tensor = (confidence * valid).norm()
    return norm
