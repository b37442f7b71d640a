"""Explain a dataset: a model and a method, run by ``Trainer.explain`` block by block."""

from __future__ import annotations

import re

import torch
from lightning import LightningModule
from torch import Tensor

from lit_coiba.backbones import Backbone
from lit_coiba.backbones.weights import load_weights
from lit_coiba.contracts import AttributionMethod, Batch, Explanation, Failure, InputError, Preprocessing
from lit_coiba.store import BlockRecord


class Explainer(LightningModule):
    """One model explained by one method.

    Args:
        backbone: The model.
        method: The attribution method.
        targets: Which classes to explain: ``predicted``, ``label``, the number of a class, or ``top3`` for the three
            most probable ones (any number).
        weights: Weights of a trained classifier, a Lightning checkpoint or safetensors; they replace the backbone's.
    """

    def __init__(
        self,
        backbone: Backbone,
        method: AttributionMethod,
        targets: str | int = "predicted",
        weights: str | None = None,
    ) -> None:
        super().__init__()
        if weights is not None:
            load_weights(backbone.model, weights)
        self.network = backbone
        self.method = method
        self.targets = targets
        self._ranks, self._class = _parse_targets(targets, backbone.num_classes)

    @property
    def preprocessing(self) -> Preprocessing:
        """How the data module has to prepare images."""
        return self.network.preprocessing

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(B, K)``."""
        return self.network(images)

    def predict_step(self, batch: Batch) -> BlockRecord:
        """Explain one block: a row for each image and target, a failure for each image that has none."""
        with torch.no_grad():
            probabilities = self._probabilities(batch.images)
        targets, failures = self._targets(probabilities, batch)
        rows = targets.flatten()
        usable = rows >= 0
        index = torch.arange(len(batch.ids), device=rows.device).repeat_interleave(max(targets.shape[1], 1))[usable]
        rows = rows[usable]
        explanation = self._explain(batch.images[index], rows)
        finite = explanation.maps.flatten(1).isfinite().all(1)
        for i in index[~finite].unique().tolist():
            failures.append(Failure(batch.ids[i], "the map is not finite: check the weights and the normalisation"))
        index, rows = index[finite], rows[finite]
        return BlockRecord(
            block=batch.block,
            ids=tuple(batch.ids[i] for i in index.tolist()),
            targets=rows.cpu(),
            labels=batch.labels.to(index.device)[index].cpu(),
            probabilities=probabilities[index, rows].cpu(),
            maps=explanation.maps[finite].cpu(),
            extras={name: value[finite].cpu() for name, value in explanation.extras.items()},
            failures=(*batch.failures, *failures),
        )

    def _probabilities(self, images: Tensor) -> Tensor:
        """Clean probabilities ``(B, K)``."""
        return (
            self.network(images).float().softmax(-1) if len(images) else images.new_empty(0, self.network.num_classes)
        )

    def _targets(self, probabilities: Tensor, batch: Batch) -> tuple[Tensor, list[Failure]]:
        """Classes to explain, ``(B, ranks)``; -1 and a failure where there is none."""
        if not batch.ids:
            return probabilities.new_empty((0, 1), dtype=torch.long), []
        if self._class is not None:
            return torch.full((len(probabilities), 1), self._class, device=probabilities.device), []
        if self._ranks:
            return probabilities.topk(self._ranks, -1).indices, []
        labels, count = batch.labels.to(probabilities.device), probabilities.shape[1]
        usable = (labels >= 0) & (labels < count)
        failures = [
            Failure(batch.ids[i], "it has no label" if (label := int(labels[i])) < 0 else _outside(label, count))
            for i in (~usable).nonzero().flatten().tolist()
        ]
        return torch.where(usable, labels, -1)[:, None], failures

    def _explain(self, images: Tensor, targets: Tensor) -> Explanation:
        if not len(images):
            return Explanation(images.new_zeros(0, 1, 1), {})
        return self.method.explain(self.network, images, targets)


def _parse_targets(targets: str | int, num_classes: int) -> tuple[int, int | None]:
    """Number of most probable classes (0 = the label), and the class where one is given."""
    text = str(targets)
    if text == "predicted":
        return 1, None
    if text == "label":
        return 0, None
    if match := re.fullmatch(r"top-?(\d+)", text):
        ranks = int(match[1])
        if not 1 <= ranks <= num_classes:
            raise InputError(f"targets: {text} asks for {ranks} classes, the model has {num_classes}")
        return ranks, None
    if not re.fullmatch(r"-?\d+", text):
        raise InputError(f"targets: {text!r} is none of predicted, label, top3 (any number), or the number of a class")
    if not 0 <= int(text) < num_classes:
        raise InputError(f"targets: {_outside(int(text), num_classes)}")
    return 0, int(text)


def _outside(label: int, num_classes: int) -> str:
    return f"class {label} is outside the model's range 0 to {num_classes - 1}"
