"""Explain a dataset: a model and a method, run by ``Trainer.explain`` block by block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

import torch
from torch import Tensor

from lit_coiba.backbones import Backbone
from lit_coiba.core.batch import Batch, Failure
from lit_coiba.core.errors import InputError
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.frozen import frozen
from lit_coiba.core.method import AttributionMethod, Start
from lit_coiba.core.printable import a_kind
from lit_coiba.core.targets import Resolved, Target, parse_target
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.heads.head import Head
from lit_coiba.lipschitz.certificate import Certificate
from lit_coiba.lipschitz.certifying import RADIUS, precise_logits
from lit_coiba.modules.block_module import BlockModule
from lit_coiba.store import BlockRecord
from lit_coiba.store.records import PREDICTION

_REMEDY = "check the weights and the normalization"


class Explainer(BlockModule):
    """A model and the method that explains it, for the Trainer's `explain` and `statistics`.

    Args:
        backbone: The model.
        method: The attribution method.
        targets: What to explain: ``predicted``, ``label``, ``runner_up``, the number or the name of a class, or
            ``top3`` for the three most probable classes (any number); or a `Target`.
        weights: File with the weights of a trained classifier, a Lightning checkpoint or safetensors; they replace the
            backbone's, and the head that they were trained with is attached.
        head: Class of that head, if it is one of your own: a file never imports a class.
        certify: Whether each explanation has the extra ``radius``, the certified radius of the model's decision: no
            change of the image's pixels of a smaller L2 norm, pixels from 0 to 1, makes it predict another class. It is
            that of the predicted class, whatever class is explained. True = the model has to be 1-Lipschitz; None = it
            is certified if it is a 1-Lipschitz network of layers whose constants are known; False = never.

    Raises:
        InputError: The model does not have the target.
    """

    target: Target
    certificate: Certificate | None  # of this run's decisions; set by `Trainer.explain`
    names: Sequence[str]  # of the model's classes, where the data know them; set by `check`

    def __init__(
        self,
        backbone: Backbone,
        method: AttributionMethod,
        targets: Target | str | int = "predicted",
        weights: str | None = None,
        head: type[Head] | None = None,
        certify: bool | None = None,
    ) -> None:
        _check_method(method)
        super().__init__(backbone, weights, head)
        self.check_classes()
        self.method = method
        self.target = parse_target(targets)
        self.target.check(backbone.num_classes)
        self.names = ()
        self.certify = certify
        self.certificate = None

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(B, K)``."""
        return self.network(images)

    def check(self, images: ImageDataset) -> None:
        """Refuse images that lack the labels or class names which the target asks for, and learn the names."""
        if self.target.uses_labels and (unknown := self.unknown_classes(images)):
            raise InputError(
                f"targets is label, but {unknown}: give data of its classes, or explain the predicted class"
            )
        super().check(images)
        if (behavior := self.network.behavior) is not None:
            behavior.refuse_needs(type(self.method).__name__, self.method.card.needs)
        known, count = self.knows_classes(images), self.network.num_classes
        if self.target.uses_labels and max(images.labels) < 0:
            raise InputError("targets is label, but no image has a label: explain the predicted class, or give labels")
        if self.target.uses_labels and not known:
            raise InputError(
                f"targets is label, but the data have {len(images.classes)} classes and the model has {count}: give the"
                " model's class names, in the model's order, as data.classes, or explain the predicted class"
            )
        self.names = tuple(images.classes) if known else ()
        if self.target.uses_names:
            self.names = self._names_with_target(count)
        self.target.check(count, self.names)

    def _names_with_target(self, count: int) -> Sequence[str]:
        """The model's own class names, or those of the data if only they have the target."""
        own: Sequence[str] = getattr(self.network, "class_names", None) or ()
        for names in (own, self.names):
            with suppress(InputError):
                self.target.check(count, names)
                return names
        return own or self.names

    def predict_step(self, batch: Batch) -> BlockRecord:
        """Explain one block: rows image by image, in the order of ranks; a failure for each image without."""
        images = self.network.ordered(batch.images)
        if not len(images):
            return _without_rows(batch)
        started = self.method.begin(self.network, images) if self.certificate is None else None
        logits = self._clean_logits(images) if started is None else started.out.detach().float()
        resolved = self.target.resolve(logits, batch.labels, self.names)
        if not len(resolved):
            return _without_rows(batch, resolved.reasons)
        explanation = self._explain(images, resolved, started)
        extras = {**_predicted(logits, resolved, self.target), **explanation.extras}
        if self.certificate is not None:
            extras |= self._radius(self.certificate.radius(logits)[resolved.image], extras)
        finite = explanation.maps.flatten(1).abs().amax(1).isfinite()
        index, rows = resolved.image[finite], resolved.index[finite]
        failed = dict.fromkeys(resolved.image[~finite].tolist(), f"its map is not finite: {_REMEDY}")
        return BlockRecord(
            block=batch.block,
            ids=tuple(batch.ids[i] for i in index.tolist()),
            targets=rows.cpu(),
            labels=batch.labels.to(index.device)[index].cpu(),
            probabilities=logits.softmax(-1)[index, rows].cpu(),
            maps=explanation.maps[finite].cpu(),
            extras={name: value[finite].cpu() for name, value in extras.items()},
            failures=(*batch.failures, *_failures(batch, {**resolved.reasons, **failed})),
            places=explanation.places,
        )

    def _clean_logits(self, images: Tensor) -> Tensor:
        """Logits ``(B, K)`` of the model's own forward, as exact as a certificate needs them where there is one."""
        with frozen(self.network), torch.no_grad():
            return self.network(images).float() if self.certificate is None else precise_logits(self.network, images)

    def _radius(self, radii: Tensor, extras: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The certified radius of the decision for the image of each row, ``(R,)``, as an extra.

        Raises:
            InputError: The method has an extra of this name.
        """
        if RADIUS in extras:
            raise InputError(
                f"{type(self.method).__name__} gives an extra called {RADIUS}, which is the certified radius of a"
                " decision here: give it another name, or set certify to false"
            )
        return {RADIUS: radii}

    def _explain(self, images: Tensor, resolved: Resolved, started: Start | None = None) -> Explanation:
        """Maps and extras of all rows ``(R, ...)``, in their order.

        Rank by rank, the k-th row of each image in one call: memory does not grow with the number of rows of an image.

        Args:
            images: The images.
            resolved: The rows.
            started: What the method has begun with for all images: the first rank goes on from it.
        """
        ranks = _by_rank(resolved.image)
        found = [self._explain_rows(images, resolved.take(ranks[0]), started)]
        found += [self._explain_rows(images, resolved.take(rows)) for rows in ranks[1:]]
        order = torch.cat(ranks).argsort()
        extras = {name: torch.cat([one.extras[name] for one in found])[order] for name in found[0].extras}
        return Explanation(torch.cat([one.maps for one in found])[order], extras, found[0].places)

    def _explain_rows(self, images: Tensor, rows: Resolved, started: Start | None = None) -> Explanation:
        """What the method says of some rows, at most one for each image."""
        if rows.image.tolist() != list(range(len(images))):
            images, started = images[rows.image], None
        return self.method.explain_cells(self.network, images, rows.recounted(), started)


def _predicted(logits: Tensor, rows: Resolved, target: Target) -> dict[str, Tensor]:
    """What the model predicts for the image of each row, ``(R,)``, where that is not what is explained anyway."""
    if target.identity() in ("predicted", "top1"):
        return {}
    probability, index = logits.softmax(-1)[rows.image].max(-1)
    return dict(zip(PREDICTION, (index, probability)))


def _check_method(method: AttributionMethod) -> None:
    """Refuse what is no instance of a method.

    Raises:
        InputError: It is not.
    """
    if isinstance(method, type):
        raise InputError(f"method is the class {method.__name__}: give an instance, {method.__name__}()")
    if not isinstance(method, AttributionMethod):
        given = f"the text {method!r}" if isinstance(method, str) else a_kind(method)
        raise InputError(f"method is {given}: give an instance of a method, such as lit_coiba.attribution.GradCAM()")


def _by_rank(image: Tensor) -> list[Tensor]:
    """Positions of the first rows of all images, of the second ones, and so on.

    Example:
        >>> _by_rank(torch.tensor([0, 0, 2]))
        [tensor([0, 2]), tensor([1])]
    """
    ranks: list[list[int]] = []
    seen: dict[int, int] = {}
    for row, number in enumerate(image.tolist()):
        rank = seen[number] = seen.get(number, -1) + 1
        if rank == len(ranks):
            ranks.append([])
        ranks[rank].append(row)
    return [torch.tensor(rows, device=image.device) for rows in ranks]


def _without_rows(batch: Batch, reasons: Mapping[int, str] | None = None) -> BlockRecord:
    """The record of a block without an explanation."""
    nothing = torch.empty(0, dtype=torch.long)
    return BlockRecord(
        block=batch.block,
        ids=(),
        targets=nothing,
        labels=nothing,
        probabilities=torch.empty(0),
        maps=torch.empty(0, 1, 1),
        extras={},
        failures=(*batch.failures, *_failures(batch, reasons or {})),
    )


def _failures(batch: Batch, reasons: Mapping[int, str]) -> list[Failure]:
    """A failure for each image that has a reason, in the order of the images."""
    return [Failure(batch.ids[i], reason) for i, reason in sorted(reasons.items())]
