"""DeepLIFT with the rescale rule: differences from a reference, handed back layer by layer.

Shrikumar, Greenside and Kundaje, "Learning Important Features Through Propagating Activation Differences", 2017 (arXiv
1704.02685), with rules for all elementwise activations and for overlapping pools, which Captum's lacks.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lit_coiba.core.errors import InputError, Unsupported, check_choice
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import AttributionMethod, Card, Start, from_start
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved
from lit_coiba.functional import working_dtype
from lit_coiba.functional.channels import Reduce, over_colours
from lit_coiba.perturbation.baselines import Baseline, baseline_images
from lit_coiba.propagation import operations as kinds
from lit_coiba.propagation.in_place import check_out_of_place, out_of_place
from lit_coiba.propagation.operations import operation_name
from lit_coiba.propagation.rescale_rule import recorded_references, rescaled

# Neither linear nor elementwise. What else has no rule counts as linear, and a warning reports how much that misses.
WITHOUT_RULE = kinds.INPUT_NORMS | kinds.SOFTMAX | kinds.FUSED_ATTENTION | kinds.MULTI_HEAD_ATTENTION
MISSING = 0.1  # share of the difference in logits beyond which the user is warned


class DeepLift(AttributionMethod):
    """What each pixel's difference from a reference image contributes to the difference in the target's logit; signed.

    Every activation passes back the ratio of its differences instead of its slope, so a saturated unit does not hide
    what it saw. Reference and image run through the model, and on most CNNs it is close to `IntegratedGradients`.

    Trust it where the extra ``attribution_sum`` is near the extra ``score_difference``, the logit at the image minus
    that at the reference. They agree up to rounding for convolutions, batch norm, elementwise activations (torch's and
    timm's) and max pools that are modules, as in timm's ResNet, DenseNet and EfficientNet-Lite; torchvision's ResNets
    run one ReLU several times and are refused. What else is not linear, such as the products of squeeze-and-excitation
    or an activation called as a function, has no rule and counts as linear: a warning reports when more than a tenth is
    missing. Attention and norms over the input itself are refused. The logit is explained, or the target's own score;
    that of a probability has no rule either.

    Args:
        baseline: The reference: ``zero`` = zeros of model input, the mean color of the training data (Captum's
            default); ``black``; ``mean`` = the image's own mean color; ``blur``; ``noise`` = the image with Gaussian
            noise; ``uniform`` = random pixels; ``opposite`` = black or white, whichever is farther.
        reduce: Reduction over the colors; ``sum`` keeps the sum of a map.
        seed: Seed of the random baselines, which all images share.

    Raises:
        InputError: A value that is not among its choices; a model with attention, layer norm, an activation module
            that is run twice, or one that writes into what is used again.
    """

    card = Card(
        "Shrikumar, Greenside and Kundaje, 2017 (arXiv 1704.02685)",
        "2 forwards, 1 backward; a reference that all images share runs once a batch",
        ("gradients", "modules"),
        families=("CNN",),
    )
    advice = "take IntegratedGradients"

    def __init__(self, baseline: Baseline = "zero", reduce: Reduce = "sum", seed: int = 0) -> None:
        self.baseline: Baseline = check_choice(baseline, Baseline, "baseline")
        self.reduce: Reduce = check_choice(reduce, Reduce, "reduce")
        self.seed = seed
        self._told = False

    _explain = from_start

    def _start(self, model: Network, images: Tensor) -> Start:
        """As `AttributionMethod` says; the reference runs first.

        Raises:
            InputError: It is no torch module.
            Unsupported: The model has operations that the rescale rule does not cover.
        """
        references = baseline_images(self.baseline, images, model, self.seed)
        if (references == references[:1]).all():
            references = references[:1]
        network = _explainable(model)
        with out_of_place(network):
            with torch.no_grad(), _OperationsWithRule(), recorded_references(network) as kept:
                clean = model(references)
            with rescaled(kept, 1e-10 if images.dtype == torch.float64 else 1e-7):
                logits = model(images.requires_grad_())
        check_out_of_place(network, images, logits)
        return Start(logits, (images, references, clean))

    def _explain_started(self, model: Network, images: Tensor, targets: Resolved, started: Start) -> Explanation:
        pixels, references, clean = started.state
        scores = targets.score(started.out)
        (multipliers,) = torch.autograd.grad(scores.sum(), pixels)
        values = (multipliers * (pixels - references)).detach()
        difference = (scores - targets.score(clean.expand_as(started.out))).detach()
        total = values.flatten(1).sum(1, dtype=working_dtype(values))
        rounding = 10 * torch.finfo(clean.dtype).eps * scores.detach().abs().sum()
        self._tell(((total - difference).abs().sum() - rounding) / difference.abs().sum())
        return Explanation(
            over_colours(values, self.reduce), {"attribution_sum": total, "score_difference": difference}
        )

    def _tell(self, missing: Tensor) -> None:
        if missing > MISSING and not self._told:
            self._told = True
            warnings.warn(
                f"DeepLift: {float(missing):.0%} of the differences in logits are not in the maps, since the model has"
                " operations without a rescale rule, such as products (squeeze-and-excitation) or activations that are"
                " not modules: compare attribution_sum with score_difference, or take IntegratedGradients",
                stacklevel=3,
            )


class _OperationsWithRule(TorchFunctionMode):
    """Refuses norms and attention that a model computes by functions, and not by modules."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """One operation of the model."""
        name = operation_name(func)
        flat = name in kinds.SOFTMAX.names and isinstance(args[0], Tensor) and args[0].ndim < 3  # a softmax of classes
        if name in WITHOUT_RULE.names and not flat:
            raise Unsupported(f"torch's {name}")
        return func(*args, **(kwargs or {}))


def _explainable(model: Network) -> nn.Module:
    """The model, if it has no modules that the rescale rule does not cover.

    Raises:
        InputError: It is no torch module.
        Unsupported: It has such a module.
    """
    if not isinstance(model, nn.Module):
        raise InputError("DeepLift needs the modules of a model: give a torch module, such as a Backbone")
    for name, module in model.named_modules():
        if isinstance(module, WITHOUT_RULE.modules) or isinstance(getattr(module, "fused_attn", None), bool):
            raise Unsupported(type(module).__name__, name)
    return model
