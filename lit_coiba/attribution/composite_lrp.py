"""Layer-wise relevance propagation for CNNs, with a rule for each kind of layer; zennit's rules and composites.

Bach et al., "On Pixel-Wise Explanations for Non-Linear Classifier Decisions by Layer-Wise Relevance Propagation", 2015;
composites: Montavon et al., "Layer-Wise Relevance Propagation: An Overview", 2019; zennit: Anders et al., "Software for
Dataset-wide XAI", 2021 (arXiv 2106.13200).
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, fx, nn

from lit_coiba.backbones.probe import like
from lit_coiba.core.errors import InputError, check_choice
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import AttributionMethod, Card
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved
from lit_coiba.functional import working_dtype
from lit_coiba.functional.channels import Reduce, over_colours
from lit_coiba.propagation.attention import attention_layers, other_attention
from lit_coiba.propagation.operations import CONVOLUTIONS
from lit_coiba.propagation.relevance_graph import relevance_graph

Composite = Literal[
    "epsilon",
    "epsilon_plus",
    "epsilon_plus_flat",
    "epsilon_alpha2_beta1",
    "epsilon_alpha2_beta1_flat",
    "epsilon_gamma_box",
]

OF_PIXELS = ("epsilon_plus_flat", "epsilon_alpha2_beta1_flat", "epsilon_gamma_box")


class CompositeLRP(AttributionMethod):
    """The target's logit, handed back from layer to layer to the pixels, by a rule for each kind of layer.

    Batch norms are put into their convolutions first; sums of branches and averages share relevance by what each number
    adds; activations, batch norms without a convolution in front and constants pass it on, gates leave it to what they
    let through; the standard deviation of a layer or group norm counts as a constant (Ali et al., 2022, arXiv
    2202.07304); equal maxima of a pool share. Signed, at pixel resolution. The plain ``epsilon`` rule is input times
    gradient on networks of ReLUs, as noisy as that; ``plus`` and ``alpha2_beta1`` favor positive contributions and are
    smooth, but hardly know which class they explain; ``gamma`` lies between, and on some networks hardly knows either:
    on EfficientNet-Lite0 the maps of two classes have a rank correlation of .96.

    ``extras["relevance"]`` ``(B,)`` is what is handed back, the logit of a class; ``extras["attribution_sum"]`` is what
    the map sums to. With ``epsilon`` they agree but for what biases hold, which is lost on the way. The z+ rule of
    ``plus`` also loses, or makes, relevance where convolutions end without a ReLU: .07 of the logit on MobileNetV4, .4
    on GhostNet and VoVNet, 1.0 on RepViT, 5.4 on MobileOne.

    Needs the package zennit, under the LGPL: ``pip install 'lit-coiba[lrp]'``. The LRP family is patented: its
    authors allow personal and scientific use; ask them before any other use.

    Args:
        composite: Rules of dense layers, of convolutions and of the first one: ``epsilon`` everywhere;
            ``epsilon_plus`` = epsilon, z+; ``epsilon_plus_flat`` the same with a flat first layer;
            ``epsilon_alpha2_beta1`` = epsilon, alpha 2 and beta 1; ``..._flat`` the same with a flat first layer;
            ``epsilon_gamma_box`` = epsilon, gamma 0.25, and the box rule for pixels (ours).
        epsilon: Stabilizer of quotients; zennit's default.
        reduce: Reduction over the colors; ``sum`` keeps the sum of a map.
    """

    card = Card(
        "Bach et al., 2015; Montavon et al., 2019; Anders et al., 2021 (arXiv 2106.13200)",
        "1 forward, 1 backward",
        ("gradients", "modules", "package"),
        families=("CNN",),
    )
    advice = "take InputXGradient or IntegratedGradients"

    def __init__(
        self, composite: Composite = "epsilon_gamma_box", epsilon: float = 1e-6, reduce: Reduce = "sum"
    ) -> None:
        if not epsilon > 0:
            raise InputError(f"epsilon is {epsilon}: give a positive number")
        self.composite = check_choice(composite, Composite, "composite")
        self.epsilon = epsilon
        self.reduce = check_choice(reduce, Reduce, "reduce")

    def _explain(self, model: Network, images: Tensor, targets: Resolved) -> Explanation:
        """As `AttributionMethod` says. The last layer starts with the score's gradient times what it put out.

        Raises:
            InputError: zennit is missing, the model is no CNN whose steps can be listed, or one of them has no rule
                (convolutions that standardise their weights, norms with an activation inside).
        """
        if not isinstance(model, nn.Module) or attention_layers(model, True) or other_attention(model, True):
            raise InputError("CompositeLRP has rules for CNNs, but none for attention: use AttnLRP for transformers")
        with torch.autocast(images.device.type, enabled=False):
            pixels = images.to(like(model).dtype)
            rules = self._rules(model, pixels)
            network = relevance_graph(model, self.epsilon, self.composite == "epsilon").eval()
            if self.composite in OF_PIXELS and not _reads_pixels(network):
                raise InputError(
                    f"{self.composite} has a rule for the convolution that reads the pixels, and this model"
                    " changes them before: take composite='epsilon_plus'"
                )
            pixels.requires_grad_(True)
            with rules.context(network) as listening:
                out = listening(pixels)
                last = out.detach().requires_grad_()
                start = last.detach() * torch.autograd.grad(targets.score(last).sum(), last)[0]
                values = torch.autograd.grad(out, pixels, start)[0]
        sums = {"attribution_sum": values, "relevance": start}
        return Explanation(
            over_colours(values, self.reduce),
            {name: part.flatten(1).sum(1, dtype=working_dtype(part)) for name, part in sums.items()},
        )

    def _rules(self, model: Network, images: Tensor) -> Any:
        """zennit's composite, for layers."""
        try:
            from zennit import composites, rules, types
        except ImportError as error:
            raise InputError("CompositeLRP needs the package zennit: pip install 'lit-coiba[lrp]'") from error
        if self.composite == "epsilon":
            layers = [(types.Convolution, rules.Epsilon(self.epsilon)), (nn.Linear, rules.Epsilon(self.epsilon))]
            base = composites.layer_map_base(self.epsilon)
            return composites.LayerMapComposite([*base, *layers])
        known: dict[str, Any] = {"epsilon": self.epsilon, "stabilizer": self.epsilon}
        if self.composite == "epsilon_gamma_box":
            black = torch.zeros_like(images)
            known |= {"low": model.preprocessing.normalize(black), "high": model.preprocessing.normalize(black + 1)}
        return composites.COMPOSITES[self.composite](**known)


def _reads_pixels(network: fx.GraphModule) -> bool:
    """Whether the first convolution, for which zennit has a rule of its own, is given the images as they are."""
    first = next((name for name, layer in network.named_modules() if isinstance(layer, CONVOLUTIONS.modules)), None)
    readers = [node for node in network.graph.nodes if node.op == "call_module" and node.target == first]
    return bool(readers) and all(getattr(node.args[0], "op", "") == "placeholder" for node in readers)
