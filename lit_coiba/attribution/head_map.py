"""What an interpretable head itself says about its decision."""

from __future__ import annotations

import torch
from torch import Tensor

from lit_coiba.contracts import AttributionMethod, Explanation, InputError, Network
from lit_coiba.frozen import frozen
from lit_coiba.heads.head import Head
from lit_coiba.targets import check_images, class_targets


class HeadMap(AttributionMethod):
    """The map of the evidence for the target by the head of an interpretable classifier, and its strongest units.

    Args:
        top: Units to keep beside the map: ``units`` ``(B, top)``, their share of the logit ``contributions``
            ``(B, top)``, and ``bias``, ``total`` ``(B,)``: total is the sum over all units, total + bias the logit.
    """

    def __init__(self, top: int = 8) -> None:
        if top < 1:
            raise InputError(f"top is {top}: give 1 or more")
        self.top = top

    def explain(self, model: Network, images: Tensor, targets: Tensor | int | None = None) -> Explanation:
        """Explain `images` ``(B, 3, H, W)`` for `targets` ``(B,)``, or one for all; None: the predicted class.

        Raises:
            InputError: The model has no head that explains itself.
        """
        check_images(model, images)
        head = getattr(model, "head", None)
        if not isinstance(head, Head):
            raise InputError(
                "HeadMap explains a classifier by its own head, and this model has none: train one, model.head in fit,"
                " and give its weights"
            )
        with frozen(model), torch.no_grad():
            features = model.features(images)
            classes = class_targets(targets, images, model.num_classes, lambda: head(features))
            found = head.explain(features, classes, self.top)
        extras = {
            "units": found.units,
            "contributions": found.contributions.gather(1, found.units),
            "total": found.contributions.sum(1),
            "bias": head.bias_of(classes),
        }
        return Explanation(found.maps.to(torch.promote_types(found.maps.dtype, torch.float32)), extras)
