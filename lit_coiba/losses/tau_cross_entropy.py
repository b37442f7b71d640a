"""Cross-entropy with a temperature, the simplest strong baseline for 1-Lipschitz networks.

Bethune et al., Pay attention to your loss, 2022 (arXiv 2104.05097): logits of a network that cannot scale them need a
scale, and it decides between accuracy (large) and robustness (small).
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy


def tau_cross_entropy(logits: Tensor, targets: Tensor, tau: float = 1.0, label_smoothing: float = 0.0) -> Tensor:
    """``CE(tau f, y) / tau``, a scalar; the division keeps the size of the gradient where tau changes.

    Args:
        logits: f, ``(B, K)``.
        targets: Classes ``(B,)``, or probabilities ``(B, K)``.
        tau: Scale of the logits, above 0.
        label_smoothing: Share of each target that is spread over all classes.
    """
    return cross_entropy(tau * logits, targets, label_smoothing=label_smoothing) / tau
