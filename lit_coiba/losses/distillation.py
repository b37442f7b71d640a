"""What a student learns from a teacher's logits beside the labels.

Hinton et al., Distilling the Knowledge in a Neural Network, 2015 (arXiv 1503.02531), in the form of Gomez et al.,
BR-NPA, 2021 (arXiv 2106.02566).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div


def distillation_loss(
    student: Tensor,
    teacher: Tensor,
    targets: Tensor,
    temperature: float,
    alpha: float,
    weight: float = 1.0,
    label_smoothing: float = 0.0,
) -> Tensor:
    """weight [alpha T^2 KL(softmax(z_t / T) || softmax(z_s / T)) + (1 - alpha) CE(z_s, y)], in nats, a scalar.

    Both terms are means over the batch, in float32 at least. T^2 keeps the size of the gradient where T changes.

    Args:
        student: Logits z_s, ``(B, K)``.
        teacher: Logits z_t, ``(B, K)``; no gradient flows into them.
        targets: y, classes ``(B,)`` or probabilities ``(B, K)``.
        temperature: T, above 0; large values give small probabilities more weight.
        alpha: Share of the teacher, 0 to 1.
        weight: Factor on the whole loss.
        label_smoothing: Share of each target that is spread over all classes.

    Example:
        >>> logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
        >>> distillation_loss(logits, logits, torch.tensor([0, 1]), temperature=6.0, alpha=1.0)
        tensor(0.)
    """
    dtype = torch.promote_types(student.dtype, torch.float32)
    student, teacher = student.to(dtype), teacher.detach().to(dtype)
    mine, its = ((logits / temperature).log_softmax(1) for logits in (student, teacher))
    divergence = kl_div(mine, its, reduction="batchmean", log_target=True)
    hard = cross_entropy(student, targets, label_smoothing=label_smoothing)
    return weight * (alpha * temperature**2 * divergence + (1 - alpha) * hard)
