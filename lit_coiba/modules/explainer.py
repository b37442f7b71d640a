"""Explain a dataset: a model and a method, run by ``Trainer.explain`` block by block."""

from __future__ import annotations

import re

import torch
from lightning import LightningModule
from torch import Tensor

from lit_coiba.backbones import Backbone
from lit_coiba.backbones.trained import load_trained
from lit_coiba.core.batch import Batch, Failure
from lit_coiba.core.errors import InputError
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.frozen import frozen
from lit_coiba.core.method import AttributionMethod
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.heads.head import Head
from lit_coiba.store import BlockRecord

_REMEDY = "check the weights and the normalisation"


class Explainer(LightningModule):
    """One model explained by one method.

    Args:
        backbone: The model.
        method: The attribution method.
        targets: Which classes to explain: ``predicted``, ``label``, the number of a class, or ``top3`` for the three
            most probable ones (any number).
        weights: Weights of a trained classifier, a Lightning checkpoint or safetensors; they replace the
            backbone's, and bring the head that they were trained with.
        head: The class of that head, where it is one of your own: a file never imports a class.
    """

    def __init__(
        self,
        backbone: Backbone,
        method: AttributionMethod,
        targets: str | int = "predicted",
        weights: str | None = None,
        head: type[Head] | None = None,
    ) -> None:
        super().__init__()
        if weights is not None:
            load_trained(backbone, weights, head)
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
        """Explain one block: rows image by image, in the order of ranks; a failure for each image without."""
        images = self.network.ordered(batch.images)
        probabilities = self._probabilities(images)
        targets, reasons = self._targets(probabilities, batch.labels)
        kept = [i for i in range(len(batch.ids)) if i not in reasons]
        targets = targets[kept]
        explanation = self._explain(images[kept], targets)
        finite = explanation.maps.flatten(1).isfinite().all(1)
        index = torch.tensor(kept, dtype=torch.long, device=finite.device).repeat_interleave(targets.shape[1])
        reasons |= dict.fromkeys(index[~finite].tolist(), f"its map is not finite: {_REMEDY}")
        index, rows = index[finite], targets.flatten()[finite]
        return BlockRecord(
            block=batch.block,
            ids=tuple(batch.ids[i] for i in index.tolist()),
            targets=rows.cpu(),
            labels=batch.labels.to(index.device)[index].cpu(),
            probabilities=probabilities[index, rows].cpu(),
            maps=explanation.maps[finite].cpu(),
            extras={name: value[finite].cpu() for name, value in explanation.extras.items()},
            failures=(*batch.failures, *(Failure(batch.ids[i], reason) for i, reason in sorted(reasons.items()))),
        )

    def _probabilities(self, images: Tensor) -> Tensor:
        """Clean probabilities ``(B, K)``."""
        if not len(images):
            return images.new_empty(0, self.network.num_classes)
        with frozen(self.network), torch.no_grad():
            return self.network(images).float().softmax(-1)

    def _targets(self, probabilities: Tensor, labels: Tensor) -> tuple[Tensor, dict[int, str]]:
        """Classes to explain, ``(B, ranks)``, and why an image has none, by its position."""
        count = self.network.num_classes
        reasons = {
            i: f"the model's output is not finite: {_REMEDY}"
            for i in (~probabilities.isfinite().all(1)).nonzero().flatten().tolist()
        }
        if self._class is not None:
            return torch.full((len(probabilities), 1), self._class, device=probabilities.device), reasons
        if self._ranks:
            return probabilities.topk(self._ranks, -1).indices, reasons
        for i, label in enumerate(labels.tolist()):
            if not 0 <= label < count:
                reasons[i] = "it has no label" if label < 0 else _outside(label, count)
        return labels.to(probabilities.device)[:, None], reasons

    def _explain(self, images: Tensor, targets: Tensor) -> Explanation:
        """Maps and extras of images ``(B, ...)`` for targets ``(B, ranks)``, rank by rank, as ``(B * ranks, ...)``."""
        if not len(images):
            return Explanation(images.new_zeros(0, 1, 1), {})
        with frozen(self.network):  # so that a user's own method has gradients without asking for them
            ranks = [self.method.explain(self.network, images, rank) for rank in targets.unbind(1)]
        extras = {name: _interleaved([one.extras[name] for one in ranks]) for name in ranks[0].extras}
        return Explanation(_interleaved([one.maps for one in ranks]), extras)


def _interleaved(ranks: list[Tensor]) -> Tensor:
    """For each rank ``(B, ...)``, all ranks of the first image, then of the second: ``(B * ranks, ...)``."""
    return torch.stack(ranks, 1).flatten(0, 1)


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
