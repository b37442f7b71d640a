"""Evaluate explanations by the parts of objects: a model and a method, run by ``Trainer.parts`` block by block."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from torchvision.transforms.v2.functional import to_pil_image

from lit_coiba.backbones import Backbone
from lit_coiba.core.batch import Batch
from lit_coiba.core.batched_evaluator import BatchedEvaluator, Chunk
from lit_coiba.core.errors import InputError
from lit_coiba.core.frozen import frozen
from lit_coiba.core.method import AttributionMethod
from lit_coiba.core.targets.class_target import class_rows
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.subset import Subset
from lit_coiba.data.synthetic.part_samples import PartSamples, has_parts
from lit_coiba.data.transforms import Transform
from lit_coiba.functional import resize_map
from lit_coiba.functional.part_evaluation import (
    deletion_check,
    distractibility,
    important_parts,
    irrelevant_parts,
    is_predicted,
    part_importance,
    part_thresholds,
    preservation,
    single_deletion,
    sufficient_overlap,
    target_sensitivity,
    tells_sharers_apart,
)
from lit_coiba.functional.part_sets import disjoint_sharers, minimal_sufficient_sets, part_subsets
from lit_coiba.heads.head import Head
from lit_coiba.modules.explainer import Explainer
from lit_coiba.store import BlockRecord

TOGETHER = 512  # pictures with parts removed that are drawn at once


class PartEvaluator(Explainer):
    """A model and the method that explains it, for the Trainer's `parts`: the FunnyBirds protocol.

    Hesse, Schaub-Meyer and Roth, FunnyBirds, 2023 (arXiv 2308.06248), as in the released code: the class of the label
    is explained for all but the preservation and the deletion check, for which it is the predicted one, and target
    sensitivity, for which it is two classes that share two parts each with the object, the four being different.

    Args:
        backbone: The model.
        method: The attribution method; `HeadAttribution` for the explanations of a head itself.
        weights: File with the weights of a trained classifier, a Lightning checkpoint or safetensors; they replace the
            backbone's, and the head that they were trained with is attached.
        head: Class of that head, if it is one of your own: a file never imports a class.
        dilation: Side of the square, in pixels of the model's input and odd, by which the mask of a part is widened.
        chunk: Pictures with parts removed that run at once; ``auto`` = a number for the device.

    Raises:
        InputError: The model has no classes, or the dilation is not odd.
    """

    transform: Transform  # from a picture to model input; set by the Trainer

    def __init__(
        self,
        backbone: Backbone,
        method: AttributionMethod,
        weights: str | None = None,
        head: type[Head] | None = None,
        dilation: int = 5,
        chunk: Chunk = "auto",
    ) -> None:
        super().__init__(backbone, method, "label", weights, head)
        if dilation < 1 or not dilation % 2:
            raise InputError(f"dilation is {dilation}: give an odd number of pixels, such as 5")
        self.dilation = dilation
        self.thresholds = part_thresholds()
        self._evaluator = BatchedEvaluator(chunk)

    def protocol(self) -> dict[str, Any]:
        """What decides the scores beside model, method and data, as plain values."""
        return {"dilation": self.dilation, "thresholds": self.thresholds.tolist()}

    def check(self, images: ImageDataset) -> None:
        """Refuse images whose parts cannot be removed, and learn what tells their classes."""
        super().check(images)
        self._numbers = {name: number for number, name in enumerate(images.ids)}
        while isinstance(images, Subset):
            self._numbers = {name: images.indices[number] for name, number in self._numbers.items()}
            images = images.dataset
        if not has_parts(images):
            raise InputError(
                "the data have no parts that can be removed, which this protocol is about: give SyntheticParts,"
                " AdditiveParts or FunnyBirds with its interventions"
            )
        self._samples: PartSamples = images
        classes = images.class_parts
        if len(classes) != self.network.num_classes:
            raise InputError(
                f"the model has {self.network.num_classes} classes and the data have {len(classes)}: give the model"
                " that was trained on them"
            )
        self._classes = classes
        self._minimal, self._sharers = minimal_sufficient_sets(classes), disjoint_sharers(classes)

    def predict_step(self, batch: Batch) -> BlockRecord:
        """Scores of one block: a row for each image, with scores and what they are made of as extras, and no map."""
        scores = self._scores(batch) if len(batch.images) else {}
        count = len(batch.images)
        return BlockRecord(
            block=batch.block,
            ids=tuple(batch.ids),
            targets=batch.labels.cpu(),
            labels=batch.labels.cpu(),
            probabilities=scores.pop("probabilities", torch.empty(0)),
            maps=torch.empty(count, 0, 0),
            extras=scores,
            failures=tuple(batch.failures),
        )

    def _scores(self, batch: Batch) -> dict[str, Tensor]:
        """Scores of the images of a block, on the CPU."""
        images, labels = self.network.ordered(batch.images), batch.labels.to(batch.images.device)
        masks, exists = self._masks([self._numbers[name] for name in batch.ids])
        masks, exists = masks.to(images.device), exists.to(images.device)
        logits, objects = self._logits(batch, exists)
        whole = logits[:, -1]  # with all parts
        predicted, parts = whole.argmax(-1), self._classes.shape[1]
        sharers = self._sharers.to(labels.device)[labels]
        asked = torch.cat([labels[:, None], predicted[:, None], sharers], 1)  # (B, 4), -1 = none
        importance, totals = self._importance(images, asked, masks)

        score = whole.gather(1, labels[:, None])  # (B, 1)
        single = logits[:, 2**parts - 1 - 2 ** torch.arange(parts, device=logits.device)]  # without one part
        without = torch.cat([single, objects], 1)  # (B, Q, K)
        drops = score - without.gather(2, labels.view(-1, 1, 1).expand(-1, without.shape[1], 1)).squeeze(2)
        irrelevant = irrelevant_parts(drops, score[:, 0]) & exists
        important = important_parts(importance.flatten(0, 1), totals.flatten(), self.thresholds.to(totals.device))
        important = important.unflatten(0, (len(labels), 4))
        known = importance.isfinite().all(-1) & totals.isfinite()  # (B, 4)
        kept = is_predicted(logits, predicted)
        right, count = predicted == labels, exists[:, parts:].sum(1)
        overlap = sufficient_overlap(important[:, 0, :, :parts], self._minimal.to(labels.device)[labels])
        found = {
            "csdc": _only(overlap, known[:, 0] & right),
            "pc": _only(preservation(kept, important[:, 1, :, :parts]), known[:, 1]),
            "dc": _only(deletion_check(kept, important[:, 1, :, :parts]), known[:, 1]),
            "distractibility": _only(distractibility(important[:, 0], irrelevant), known[:, 0]),
            "accuracy": right.float(),
            "background": _only(irrelevant[:, parts:].sum(1) / count.clamp_min(1), count > 0),
            "objects": count.float(),
            "sd": single_deletion(drops[:, :parts], importance[:, 0, :parts]),
            "ts": self._sensitivity(logits, importance[:, 2:, :parts], labels, sharers),
            "sum_not_positive": (totals[:, 0] <= 0).float(),
            "drops": drops[:, :parts],
            "importance": importance[:, 0, :parts],
            "probabilities": whole.softmax(-1).gather(1, labels[:, None])[:, 0],
        }
        return {name: values.float().cpu() for name, values in found.items()}

    def _sensitivity(self, logits: Tensor, importance: Tensor, labels: Tensor, sharers: Tensor) -> Tensor:
        """Target sensitivity ``(B,)``; NaN where there are no such classes, or the model does not tell them apart."""
        classes = self._classes.to(labels.device)
        shared = classes[labels].unsqueeze(1) == classes[sharers]  # (B, 2, P)
        left = ((~shared).long() << torch.arange(shared.shape[-1], device=labels.device)).sum(-1)  # set without them
        rows = torch.arange(len(labels), device=labels.device)[:, None]
        both = sharers.clamp_min(0)
        without = logits[rows, left].gather(2, both.unsqueeze(1).expand(-1, 2, -1))  # (B, set, class)
        fair = tells_sharers_apart(logits[:, -1].gather(1, both), without) & (sharers >= 0).all(1)
        return _only(target_sensitivity(importance, shared), fair)

    def _importance(self, images: Tensor, asked: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Importance ``(B, C, Q)`` of the parts and sum ``(B, C)`` of the maps for classes ``(B, C)``; NaN for -1."""
        image = torch.arange(len(asked), device=asked.device)[:, None].expand_as(asked)
        pairs = torch.stack([image, asked], -1).flatten(0, 1)
        rows, place = torch.unique(pairs, dim=0, return_inverse=True)
        wanted = rows[:, 1] >= 0
        resolved = class_rows(rows[wanted, 1], self.network.num_classes, rows[wanted, 0])
        explained = self._explain(images, resolved)
        maps = resize_map(explained.maps, (masks.shape[-2], masks.shape[-1]), explained.places)
        importance = maps.new_full((len(rows), masks.shape[1]), torch.nan)
        total = maps.new_full((len(rows),), torch.nan)
        importance[wanted] = part_importance(maps, masks[resolved.image], self.dilation)
        total[wanted] = maps.sum((-2, -1))
        return importance[place].view(*asked.shape, -1), total[place].view(asked.shape)

    def _masks(self, numbers: list[int]) -> tuple[Tensor, Tensor]:
        """Masks of parts and things ``(B, Q, H, W)`` at the model's input, and which of them there are ``(B, Q)``."""
        found = [torch.cat([self._samples.masks(n), self._samples.background_masks(n)]) for n in numbers]
        most = max(map(len, found))
        placed = [self._placed(masks) for masks in found]
        exists = torch.tensor([[q < len(masks) for q in range(most)] for masks in found])
        return torch.stack([pad(masks, (0, 0, 0, 0, 0, most - len(masks))) for masks in placed]), exists

    def _placed(self, masks: Tensor) -> Tensor:
        """Masks ``(Q, h, w)`` in pixels of the picture as ``(Q, H, W)`` in pixels of the model's input."""
        if self.transform.keeps(masks.shape[-2], masks.shape[-1]):
            return masks
        return torch.stack([self.transform.region(mask) for mask in masks])

    def _logits(self, batch: Batch, exists: Tensor) -> tuple[Tensor, Tensor]:
        """Logits with each set of parts ``(B, 2^P, K)``, and without each thing ``(B, N, K)``; NaN for none."""
        subsets, found = part_subsets(self._classes.shape[1]), list[Tensor]()
        group = max(1, TOGETHER // (len(subsets) + exists.shape[1]))
        for start in range(0, len(batch.ids), group):
            pictures = []
            for name, image in zip(batch.ids[start : start + group], batch.images[start : start + group]):
                number = self._numbers[name]
                drawn = torch.cat([self._samples.subsets(number, subsets), self._samples.without_each_object(number)])
                pictures.append(self._inputs(drawn).to(image))
                pictures[-1][len(subsets) - 1] = image  # what is explained, as it was read
            logits = self._run(torch.cat(pictures))
            found += logits.split([len(some) for some in pictures])
        most = exists.shape[1] - self._classes.shape[1]
        objects = [one[len(subsets) :] for one in found]
        padded = [pad(one, (0, 0, 0, most - len(one)), value=torch.nan) for one in objects]
        return torch.stack([one[: len(subsets)] for one in found]), torch.stack(padded)

    def _run(self, inputs: Tensor) -> Tensor:
        """Logits ``(S, K)``, never in half precision: what the model does is the same for all rows of a table."""
        inputs = self.network.ordered(inputs)
        with frozen(self.network), torch.no_grad(), torch.autocast(inputs.device.type, enabled=False):
            return self._evaluator.gather(inputs, 1, lambda _, rows: self.network(inputs[rows]).float()[None])[0]

    def _inputs(self, pixels: Tensor) -> Tensor:
        """Pictures ``(S, 3, h, w)`` uint8 as model input."""
        if not self.transform.keeps(pixels.shape[-2], pixels.shape[-1]):
            pixels = torch.stack([self.transform.pixels(to_pil_image(one)) for one in pixels])
        return self.transform.normalize(pixels)


def _only(scores: Tensor, where: Tensor) -> Tensor:
    """Scores ``(B, ...)`` where they are defined, else NaN."""
    return torch.where(where.view(-1, *(1,) * (scores.dim() - 1)), scores, torch.nan)
