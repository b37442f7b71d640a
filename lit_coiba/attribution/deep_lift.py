"""DeepLIFT with the rescale rule: differences from a reference, handed back layer by layer.

Shrikumar, Greenside and Kundaje, "Learning Important Features Through Propagating Activation Differences", 2017 (arXiv
1704.02685); Captum's implementation, with rules for all elementwise activations and for overlapping pools.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from captum.attr import DeepLift as CaptumDeepLift
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lit_coiba.backbones.probe import like
from lit_coiba.core.errors import InputError, Unsupported, check_choice
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import AttributionMethod, Card
from lit_coiba.core.network import Network
from lit_coiba.core.printable import a_kind
from lit_coiba.core.targets import Resolved
from lit_coiba.functional import working_dtype
from lit_coiba.functional.channels import Reduce, over_colours
from lit_coiba.perturbation.baselines import Baseline, baseline_images
from lit_coiba.propagation import operations as kinds
from lit_coiba.propagation.in_place import check_out_of_place, out_of_place
from lit_coiba.propagation.max_pools import shared_among_ties, windows_of
from lit_coiba.propagation.operations import is_activation, operation_name

POOLS = kinds.MAX_POOLS.modules
# Neither linear nor elementwise. What else has no rule counts as linear, and a warning reports how much that misses.
WITHOUT_RULE = kinds.INPUT_NORMS | kinds.SOFTMAX | kinds.FUSED_ATTENTION | kinds.MULTI_HEAD_ATTENTION
MISSING = 0.1  # share of the difference in logits beyond which the user is warned


class DeepLift(AttributionMethod):
    """What each pixel's difference from a reference image contributes to the difference in the target's logit; signed.

    Every activation passes back the ratio of its differences instead of its slope, so a saturated unit does not hide
    what it saw. Two inputs through the model beside its own forward, and on most CNNs close to `IntegratedGradients`.

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
        "3 forwards, 2 backwards",
        ("gradients", "modules"),
        families=("CNN",),
    )
    advice = "take IntegratedGradients"

    def __init__(self, baseline: Baseline = "zero", reduce: Reduce = "sum", seed: int = 0) -> None:
        self.baseline: Baseline = check_choice(baseline, Baseline, "baseline")
        self.reduce: Reduce = check_choice(reduce, Reduce, "reduce")
        self.seed = seed
        self._told = False

    def _explain(self, model: Network, images: Tensor, targets: Resolved) -> Explanation:
        with torch.no_grad():
            logits = model(images.clone())
        references = baseline_images(self.baseline, images, model, self.seed)
        with _explainable(model, targets) as network, _OperationsWithRule():
            values = RescaleRule(network).attribute(images.requires_grad_(), references)
        check_out_of_place(network.logits[: len(images)], logits)
        difference = network.scores[: len(images)] - network.scores[len(images) :]
        total = values.flatten(1).sum(1, dtype=working_dtype(values))
        self._tell((total - difference).abs().sum() / difference.abs().sum())
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


class RescaleRule(CaptumDeepLift):
    """Captum's DeepLift with more rules, and blind to what else an activation's input is used for.

    Captum's rule for max pools loses contributions where windows overlap; its hook on an activation takes the gradient
    before the rule of a pool right behind it, and replaces what other users of the activation's input send back.
    """

    def __init__(self, model: Recorder) -> None:
        super().__init__(model, eps=1e-10 if model.dtype == torch.float64 else 1e-7)

    def attribute(self, inputs: Tensor, baselines: Tensor) -> Tensor:
        """Contributions of `inputs`, ``(B, 3, H, W)``, to the scores that the recorder gives."""
        rows = torch.arange(len(inputs), device=inputs.device)  # copied along with the inputs
        before = [(module, dict(module.__dict__)) for module in self.model.modules() if self._is_non_linear(module)]
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Setting forward, backward hooks")
                values: Tensor = super().attribute(inputs, baselines, additional_forward_args=rows)
                return values.detach()
        finally:
            for module, attributes in before:
                for name in ("input", "output"):
                    if name in attributes:
                        module.__dict__[name] = attributes[name]
                    else:
                        module.__dict__.pop(name, None)

    def _is_non_linear(self, module: nn.Module) -> bool:
        return is_activation(module) or isinstance(module, POOLS)

    def _register_hooks(self, module: nn.Module, attribute_to_layer_input: bool = True) -> None:
        if self._is_non_linear(module):  # a tensor of its own, which nobody else uses
            self.forward_handles.append(module.register_forward_pre_hook(lambda _, inputs: (inputs[0].clone(),)))
        super()._register_hooks(module, attribute_to_layer_input)

    def _forward_hook(self, module: nn.Module, inputs: Any, outputs: Any) -> None:
        if "output" in module.__dict__:
            name = next(name for name, other in self.model.named_modules() if other is module)
            name = name.removeprefix("network.").removeprefix("model.")
            raise Unsupported(
                f"{a_kind(module)} that runs twice in one forward, as in torchvision's ResNets",
                name,
                "give each use a module of its own, as timm's ResNets do",
            )
        super()._forward_hook(module, inputs, outputs)

    def _backward_hook(self, module: nn.Module, grad_input: Tensor, grad_output: Tensor) -> Tensor:
        rule = pooled if isinstance(module, POOLS) else rescaled
        return rule(module, module.input, module.output, grad_input, grad_output, self.eps)  # type: ignore[arg-type]


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


class Recorder(nn.Module):
    """The scores of targets by a network, which keeps its last logits and scores."""

    def __init__(self, network: nn.Module, targets: Resolved) -> None:
        super().__init__()
        self.network = network
        self.targets = targets
        self.logits = self.scores = torch.empty(0)
        self.dtype = like(network).dtype

    def forward(self, images: Tensor, rows: Tensor) -> Tensor:
        """Score of each image's row of the targets, ``(N,)``."""
        logits = self.network(images)
        scores = self.targets.take(rows).score(logits)
        self.logits, self.scores = logits.detach(), scores.detach()
        return scores


def rescaled(_: nn.Module, inputs: Tensor, outputs: Tensor, slope: Tensor, gradient: Tensor, eps: float) -> Tensor:
    """Gradient of the outputs times the ratio of differences; the slope where the inputs do not differ."""
    change, effect = difference(inputs), difference(outputs)
    same = change.abs() < eps
    return torch.where(same, slope, gradient * effect / change.masked_fill(same, 1))


def pooled(pool: nn.Module, inputs: Tensor, outputs: Tensor, _: Tensor, gradient: Tensor, eps: float) -> Tensor:
    """The rule of a max pool: a rise belongs to the winner in the image, a fall to the winner in the reference.

    Winners of the same height share: in a constant reference they are all places of a window. Contributions of
    overlapping windows to the same place add up.
    """
    image, reference = outputs.chunk(2)
    highest = torch.maximum(image, reference)
    effects = gradient * torch.cat([highest - reference, image - highest])
    share = partial(shared_among_ties, partial(type(pool).forward, pool), windows_of(pool), inputs.detach(), outputs)
    contributions, change = torch.stack(share(effects).chunk(2)).sum(0), difference(inputs.detach())
    same, slope = change.abs() < eps, share(gradient)
    return torch.where(same, slope, torch.cat([contributions, contributions]) / change.masked_fill(same, 1))


def difference(values: Tensor) -> Tensor:
    """Image minus reference, for both halves of ``(2 * B, ...)``."""
    image, reference = values.chunk(2)
    return torch.cat([image - reference] * 2)


@contextmanager
def _explainable(model: Network, targets: Resolved) -> Iterator[Recorder]:
    """The model, with activations that leave their inputs alone; on leaving they are as they were.

    Raises:
        InputError: It is no torch module.
        Unsupported: It has modules that the rescale rule does not cover.
    """
    if not isinstance(model, nn.Module):
        raise InputError("DeepLift needs the modules of a model: give a torch module, such as a Backbone")
    for name, module in model.named_modules():
        if isinstance(module, WITHOUT_RULE.modules) or isinstance(getattr(module, "fused_attn", None), bool):
            raise Unsupported(type(module).__name__, name)
    with out_of_place(model):
        yield Recorder(model, targets)
