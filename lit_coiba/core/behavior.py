"""How a model behaves on two images of noise, and what follows for those who explain it."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from lit_coiba.core.errors import InputError

TWO_LOGITS = (
    "wrap a module that returns the log odds z of two classes as two logits, torch.cat([-z / 2, z / 2], 1), whose"
    " softmax is the sigmoid of z"
)


@dataclass(frozen=True)
class Behavior:
    """What a few forwards of two images have shown; `Backbone.report` has it.

    Attributes:
        title: Name of the model.
        outputs: Number of outputs for an image.
        classifies: Whether these are classes: a model without a classifier returns features.
        dtype: Type of its weights.
        writes_input: Whether the model writes into the tensor that it is given.
        batch: How far the outputs of an image depend on the other images of its batch, relative to what distinguishes
            two images; 0 = within rounding.
        chance: How far two runs on the same images differ, likewise.
        scale: What the outputs are: ``logits``, or probabilities already: ``softmax`` or ``sigmoid``.
        gradients: Whether gradients of the outputs reach the images.
        opaque: Whether its parts cannot be seen, as those of a script.
        around: What is around or inside the model: ``torch.compile``, ``TorchScript``, ``quantized layers``, ...
    """

    title: str
    outputs: int
    classifies: bool
    dtype: str
    writes_input: bool
    batch: float
    chance: float
    scale: Literal["logits", "softmax", "sigmoid"]
    gradients: bool
    around: tuple[str, ...] = ()
    opaque: bool = False

    def warn(self) -> None:
        """Say what changes the meaning of all numbers without making them impossible."""
        if self.scale != "logits":
            returns = (
                "a softmax of its logits" if self.scale == "softmax" else "numbers between 0 and 1, as of a sigmoid"
            )
            warnings.warn(
                f"{self.title} returns {returns}, but lit-coiba takes outputs for logits: probabilities would be a"
                " softmax of probabilities. Wrap a module that returns the logits, without the last activation",
                stacklevel=3,
            )
        if self.chance:
            warnings.warn(
                f"{self.title} returns other numbers when it runs again on the same images (they differ by"
                f" {self.chance:.0%} of what distinguishes two images), so its maps do not repeat: remove what is"
                " random in evaluation mode, such as dropout without training=self.training",
                stacklevel=3,
            )

    def refuse_batches(self) -> None:
        """Refuse a model whose outputs depend on who else is in the batch.

        Raises:
            InputError: It is one.
        """
        if self.batch:
            raise InputError(
                f"{self.title} lets the images of a batch see one another: the outputs of an image alone and beside"
                f" another one differ by {self.batch:.0%} of what distinguishes the two, so a map would depend on the"
                " batch. Use norms with running statistics (track_running_stats=True) in evaluation mode"
            )

    def refuse_needs(self, asker: str, needs: Collection[str]) -> None:
        """Refuse `asker`, which needs what the model does not have.

        Args:
            asker: Name of the method.
            needs: What its card says.

        Raises:
            InputError: Something of it is not there.
        """
        if "gradients" in needs:
            self.refuse_without_gradients(asker)
        if self.opaque and not {"attention", "layer", "modules", "statistics", "head"}.isdisjoint(needs):
            raise InputError(
                f"{asker} needs the layers of a network, and {self.title} shows none: wrap the module that it was made"
                " of, or use a method that needs only scores, such as RISE, Sobol or Occlusion"
            )

    def refuse_without_gradients(self, asker: str) -> None:
        """Refuse `asker`, which needs gradients, where none flow.

        Raises:
            InputError: None flow.
        """
        if not self.gradients:
            why = f" ({', '.join(self.around)})" if self.around and not self.opaque else ""
            raise InputError(
                f"{asker} needs gradients, and none flow through {self.title}{why}: use the model as it was before, or"
                " a method that needs only scores, such as RISE, Sobol or Occlusion"
            )

    def lines(self) -> list[str]:
        """What `print(model.report)` shows."""
        kind = "classes" if self.classifies else "features, no classes"
        batch = f"depend on one another ({self.batch:.0%})" if self.batch else "are independent"
        return [
            f"outputs          {self.outputs} {kind}; {self.scale}; {self.dtype}",
            f"around the model {', '.join(self.around) or 'nothing'}",
            f"its input        {'is written into, so it gets a copy' if self.writes_input else 'is left as it is'}",
            f"images           {batch}" + (f"; chance changes outputs by {self.chance:.0%}" if self.chance else ""),
            f"gradients        {'reach the images' if self.gradients else 'do not reach the images'}",
        ]


def behavior_of(model: Any) -> Behavior | None:
    """What is known of a model; None = nothing, as of a plain function."""
    found = getattr(model, "behavior", None)
    return found if isinstance(found, Behavior) else None


def refuse_one_logit(count: int, asker: str) -> None:
    """Refuse a softmax over a single output, which is 1 whatever the image shows.

    Raises:
        InputError: `count` is 1.
    """
    if count == 1:
        raise InputError(f"the model has a single output, so {asker} always 1: explain the logit, or {TWO_LOGITS}")


def refuse_without_classes(model: Any) -> None:
    """Refuse a model that has no classifier.

    Raises:
        InputError: It returns features.
    """
    if getattr(model, "num_classes", None) == 0:
        raise InputError(
            "the model has no classifier (num_classes is 0), so there is no class to explain: give num_classes, weights"
            " with a classifier, or new_head"
        )
