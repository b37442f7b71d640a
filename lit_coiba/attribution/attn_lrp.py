"""AttnLRP and CP-LRP: layer-wise relevance propagation for transformers, in one backward pass.

Achtibat et al., "AttnLRP: Attention-Aware Layer-Wise Relevance Propagation for Transformers", 2024 (arXiv 2402.05602);
CP-LRP: Ali et al., "XAI for Transformers: Better Explanations through Conservative Propagation", 2022 (arXiv
2202.07304).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lit_coiba.core.errors import InputError, check_choice
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import AttributionMethod, Card
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved
from lit_coiba.functional.channels import Reduce, over_colours
from lit_coiba.propagation.relevance import relevance_rules


class AttnLRP(AttributionMethod):
    """Relevance of each pixel for the logit: input times a gradient modified inside norms, activations and attention.

    The standard deviations of norms, the ratios of activations and gates count as constants; the two products of
    attention share relevance evenly, and the softmax keeps its gradient. Rules are those of torch's operations, so
    attention is covered however a transformer writes it down. Signed, at pixel resolution, about the cost of one
    backward pass. Single pixels are noisy, since the patch embedding has no rule of its own: look at sums over patches.
    The model computes what it did, fused attention step by step.

    The LRP family is patented: its authors allow personal and scientific use; ask them before any other use.

    Args:
        conserving: Whether to use CP-LRP: attention weights count as constants. Without biases relevance then sums to
            the logit exactly, which AttnLRP's softmax prevents; evidence that attention itself carries is not seen.
        reduce: Reduction over the colors; ``sum`` keeps the sum of a map.
    """

    card = Card(
        "Achtibat et al., AttnLRP, 2024 (arXiv 2402.05602); CP-LRP: Ali et al., 2022 (arXiv 2202.07304)",
        "1 forward, 1 backward",
        ("gradients", "attention"),
        families=("ViT", "Swin"),
    )
    advice = "take InputXGradient or RISE"

    def __init__(self, conserving: bool = False, reduce: Reduce = "sum") -> None:
        self.conserving = conserving
        self.reduce = check_choice(reduce, Reduce, "reduce")

    def _explain(self, model: Network, images: Tensor, targets: Resolved) -> Explanation:
        """As `AttributionMethod` says.

        Raises:
            InputError: The model has no attention, or runs an operation that has no rule.
        """
        if not isinstance(model, nn.Module):
            raise InputError("AttnLRP changes gradients inside a model: give a torch module, such as a Backbone")
        pixels = images.requires_grad_()
        with relevance_rules(model, self.conserving) as rules:
            out = model(pixels)
        if not rules.attended:
            raise InputError("AttnLRP has rules for transformers, and this model has no attention: take CompositeLRP")
        scores = targets.score(out)  # with its own gradient: the rules are for what the model does
        values = pixels.detach() * torch.autograd.grad(scores.sum(), pixels)[0]
        return Explanation(over_colours(values, self.reduce), {})
