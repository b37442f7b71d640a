"""What an interpretable head itself says about its decision."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError, check_count
from lit_coiba.core.explanation import Explanation, HeadExplanation
from lit_coiba.core.method import AttributionMethod, Card
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved
from lit_coiba.heads.head import Head
from lit_coiba.prototypes import Prototypes


class HeadAttribution(AttributionMethod):
    """The map of the evidence for the target by the head of an interpretable classifier, and its strongest units.

    Beside the map there are ``units`` ``(B, top)``, the strongest first, their share of the logit ``contributions``
    ``(B, top)``, where they are ``unit_maps`` ``(B, top, h, w)``, and ``total``, ``bias`` ``(B,)``: total is the sum
    over all units, total + bias the logit. With prototypes ``looks_like`` ``(B, top, patches)`` has the rows of their
    table that each unit looks like: those of its negative side where it is negative here; -1 = there is none.

    Args:
        top: Units to keep; all where there are fewer.
        prototypes: Folder that ``lit-coiba prototypes`` made for this classifier; ``explain`` then draws decisions.
        patches: Prototypes to name for each unit.

    Raises:
        InputError: No units or patches; the prototypes cannot be read.
    """

    card = Card("the head's own: InfoDisent, BR-NPA, EPIC or a linear one", "1 forward", ("head",))

    def __init__(self, top: int = 8, prototypes: str | None = None, patches: int = 4) -> None:
        check_count(top=top, patches=patches)
        self.top = top
        self.prototypes = prototypes
        self.patches = patches
        if prototypes is not None:
            _ = self._loaded  # refuses a wrong folder now

    def prepare(self, model: Network, loader: Iterable[Any]) -> None:
        """See that the prototypes are those of this classifier.

        Raises:
            InputError: They are not.
        """
        if self.prototypes is not None and self._loaded.manifest.identity.get("model") != model.digest():
            raise InputError(
                f"the prototypes in {self.prototypes} belong to another classifier: "
                "run lit-coiba prototypes with this one"
            )

    def identity(self) -> dict[str, Any]:
        """The arguments, the content of the prototypes in place of their folder."""
        digest = None if self.prototypes is None else self._loaded.digest()
        return {**self.arguments(), "prototypes": digest}

    @torch.no_grad()
    def _explain(self, model: Network, images: Tensor, targets: Resolved) -> Explanation:
        """As `AttributionMethod` says.

        Raises:
            InputError: The model has no head that explains itself, or one of another number of units.
        """
        head = getattr(model, "head", None)
        if not isinstance(head, Head):
            raise InputError(
                "HeadAttribution explains a classifier by its own head, and this model has none: train one "
                "(model.head of fit) and give its weights"
            )
        classes = targets.classes("HeadAttribution")
        found = head.explain(model.features(images), classes, self.top)
        extras = {
            "units": found.units,
            "contributions": found.contributions.gather(1, found.units),
            "unit_maps": found.unit_maps,
            "total": found.contributions.sum(1),
            "bias": head.bias_of(classes),
        }
        if self.prototypes is not None:
            extras["looks_like"] = self._looks_like(head, found, classes)
        return Explanation(found.maps, extras, model.places())

    def _looks_like(self, head: Head, found: HeadExplanation, classes: Tensor) -> Tensor:
        """Rows of the prototypes of each unit, on the side that it has here, ``(B, top, patches)``."""
        if self._loaded.units != head.units:
            raise InputError(
                f"the prototypes in {self.prototypes} belong to a head with {self._loaded.units} units, but this one "
                f"has {head.units}: run lit-coiba prototypes with this classifier"
            )
        negative, weights = torch.zeros_like(found.units), head.unit_weights()
        if weights is not None:
            signs = found.contributions.gather(1, found.units) * weights[classes].gather(1, found.units)
            negative = (signs < 0).long()
        return self._rows.to(found.units.device)[negative, found.units]

    @cached_property
    def _rows(self) -> Tensor:
        """Rows of the table for each side and unit, ``(2, U, patches)``; a unit without a side has none of it."""
        units = range(self._loaded.units)
        rows = [[self._loaded.rows(unit, side)[: self.patches] for unit in units] for side in (1, -1)]
        return torch.tensor([[row + [-1] * (self.patches - len(row)) for row in side] for side in rows])

    @cached_property
    def _loaded(self) -> Prototypes:
        assert self.prototypes is not None
        return Prototypes(self.prototypes)
