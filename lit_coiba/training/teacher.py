"""A trained classifier that another one learns from; it is never trained itself, and no part of the other."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from lit_coiba.backbones import Backbone
from lit_coiba.backbones.trained import load_trained
from lit_coiba.core.class_identity import class_identity, is_ours, named_class
from lit_coiba.core.errors import InputError
from lit_coiba.heads.head import Head
from lit_coiba.losses import distillation_loss


class Teacher:
    """Knowledge distillation from the logits of a frozen network in evaluation mode; see `losses.distillation_loss`.

    The network gets exactly the images of the student, mixed and normalized. Its file is read when a fit begins and is
    not needed to validate, test or explain the student. The student's checkpoints contain none of its weights.

    Args:
        backbone: The teacher's network; it is frozen. A dictionary of its arguments works too.
        weights: File with the weights of a trained classifier, a Lightning checkpoint or safetensors; they replace the
            backbone's, and the head that they were trained with is attached. None = the backbone's own weights.
        temperature: T, above 0; the paper of BR-NPA searches 1, 6, 11, 16 and 21.
        alpha: Share of the teacher in the loss, 0 to 1; the labels have the rest.
        weight: Factor on the whole loss.
        head: Class of the head in `weights`, if it is one of your own: a file never imports a class.

    Raises:
        InputError: A number is out of range.
    """

    def __init__(
        self,
        backbone: Backbone,
        weights: str | None = None,
        temperature: float = 6.0,
        alpha: float = 0.5,
        weight: float = 1.0,
        head: type[Head] | None = None,
    ) -> None:
        if temperature <= 0 or not 0 <= alpha <= 1 or weight <= 0:
            raise InputError(
                f"teacher: temperature is {temperature}, alpha {alpha} and weight {weight}: give a temperature and a"
                " weight above 0 and a share alpha of 0 to 1"
            )
        self.backbone = backbone
        self.weights, self.temperature, self.alpha, self.weight = weights, temperature, alpha, weight
        self.head = head

    def arguments(self) -> dict[str, Any] | None:
        """The constructor's arguments as plain values, and the class where it is not one of this package.

        None where the backbone was not built from plain values. The class of a head is left out: who loads what holds
        these arguments has to name it.
        """
        backbone = self.backbone if isinstance(self.backbone, dict) else self.backbone.arguments
        own = {} if is_ours(type(self)) else {"class": class_identity(type(self))}
        names = [name for name in signature(type(self)).parameters if name not in ("backbone", "head")]
        return {**own, "backbone": backbone, **{name: getattr(self, name) for name in names}} if backbone else None

    def prepare(self, student: Backbone, device: torch.device) -> None:
        """Get the network and its weights, frozen, to a device.

        Raises:
            InputError: The file cannot be read, or this is no teacher for `student`: other classes, other input.
        """
        if isinstance(self.backbone, dict):
            self.backbone = Backbone(**self.backbone)
        if self.weights is not None:
            load_trained(self.backbone, self.weights, self.head, "model.teacher.head")
        if self.backbone.num_classes != student.num_classes:
            raise InputError(
                f"the teacher has {self.backbone.num_classes} classes and the student has {student.num_classes}: set"
                " model.teacher.backbone.num_classes, or give the weights of a teacher of the same classes"
            )
        mine, its = self.backbone.preprocessing, student.preprocessing
        for name in ("size", "mean", "std"):
            if getattr(mine, name) != getattr(its, name):
                raise InputError(
                    f"the teacher gets the student's images, but its {name} is {getattr(mine, name)} and theirs"
                    f" {getattr(its, name)}: give both backbones the same image_size, mean and std"
                )
        self.backbone.requires_grad_(False).eval().to(device)

    def logits(self, images: Tensor) -> Tensor:
        """Logits ``(B, K)`` of normalized images ``(B, 3, H, W)``, without gradient."""
        with torch.no_grad():
            return self.backbone(images)

    def loss(self, images: Tensor, logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Distillation loss of the student's `logits` ``(B, K)``, a scalar; targets as in `distillation_loss`."""
        taught = self.logits(images)
        return distillation_loss(logits, taught, targets, self.temperature, self.alpha, self.weight, label_smoothing)


def teacher_class(told: Mapping[str, Any], named: Any, file: str) -> type[Teacher]:
    """The class of the teacher that a file describes; one outside this package only if it is `named`.

    Raises:
        InputError: It is not; the message says what to add.
    """
    kind = named if isinstance(named, type) else None
    return named_class(
        told.get("class", Teacher.__name__), Teacher, SimpleNamespace(Teacher=Teacher), kind, file, "model.teacher"
    )
