"""Grad-CAM: feature maps weighted by their mean gradient.

Selvaraju, Cogswell, Das, Vedantam, Parikh and Batra, "Grad-CAM", 2016 (arXiv 1610.02391); Captum's implementation.
"""

from __future__ import annotations

from captum.attr import LayerGradCam
from torch import Tensor

from lit_coiba.backbones.spatial_tail import SpatialTail
from lit_coiba.core.errors import check_choice
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.frozen import frozen
from lit_coiba.core.images import Output, check_images, class_scores
from lit_coiba.core.method import AttributionMethod, Card
from lit_coiba.core.network import Network
from lit_coiba.functional import precise


class GradCAM(AttributionMethod):
    """Sum over the channels of one layer, each weighted by the mean gradient of the target's score over its places.

    The map has the layer's grid. It is the cheapest method that separates classes on a CNN that ends in global average
    pooling, where it is the class activation map itself. On other networks the mean over places mixes what lies where,
    and on transformers it is often poor: HiResCAM and LayerCAM keep the places apart.

    Args:
        layer: Layer on a grid, by its name in the model. None: the last with at least 4 x 4 cells; of a ViT the first
            norm of the last block, after which patches are not read any more.
        relu: Keep positive evidence only (the paper).
        output: Score that is differentiated: logit, or softmax probability.
    """

    card = Card(
        "Selvaraju, Cogswell, Das, Vedantam, Parikh and Batra, 2016 (arXiv 1610.02391)",
        "1 forward, 1 backward above the layer",
        ("gradients", "layer"),
    )

    def __init__(self, layer: str | None = None, relu: bool = True, output: Output = "logit") -> None:
        self.layer = layer
        self.relu = relu
        self.output = check_choice(output, Output, "output")

    def explain(self, model: Network, images: Tensor, targets: Tensor | int | None = None) -> Explanation:
        """Explain `images` ``(B, 3, H, W)`` for `targets` ``(B,)``, or one for all; None: the predicted class.

        Raises:
            InputError: The layer lies on no grid.
        """
        check_images(model, images)
        with frozen(model):
            tail = SpatialTail(model, self.layer, images)
            classes = tail.classes(targets)
            explainer = LayerGradCam(lambda inputs: class_scores(tail(inputs), classes, self.output), tail.spatial)
            maps = explainer.attribute(tail.activation.requires_grad_(True), relu_attributions=self.relu)
        maps = maps.detach().squeeze(1)
        return Explanation(precise(maps), {})
