"""The concepts of one class, and all that is measured of them: what `Trainer.concepts` does for each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from lit_coiba.concepts.additive_head import AdditiveHead
from lit_coiba.concepts.class_report import COLORS, ClassReport, ConceptReport, Effect
from lit_coiba.concepts.concepts import Concepts
from lit_coiba.concepts.craft import CRAFT, Collected
from lit_coiba.concepts.effects import Effects, concept_effects
from lit_coiba.concepts.importance import Importance, class_importance, image_importance
from lit_coiba.concepts.lowered import Lowered
from lit_coiba.concepts.masked_concepts import MaskedConcepts
from lit_coiba.concepts.plane import plane
from lit_coiba.concepts.quality import match_concepts
from lit_coiba.core.batched_evaluator import BatchedEvaluator
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Class
from lit_coiba.functional.intervals import Interval, bootstrap_interval, paired_intervals

_IMAGES = 16  # at once
_CLOSEST = 5  # classes


class Points(NamedTuple):
    """What concepts are in n images of the class, and what they do for its logit."""

    contributions: Tensor  # (n, r) to the logit
    coefficients: Tensor  # (n, r) means over places
    logits: Tensor  # (n,) of the class
    probabilities: Tensor  # (n,) of the class


class Measured(NamedTuple):
    """Of some of the images."""

    rows: list[int]  # which
    importance: Importance
    effects: Effects


@dataclass(frozen=True)
class ClassStudy:
    """How the concepts of a class are found and measured.

    Args:
        craft: The search for concepts.
        layer: Its layer.
        measured: Number of images at most, evenly spaced, that effects and importance are means over.
        n_samples: Points of the Sobol designs; see `Concepts.importance`.
        seed: Seed of designs, intervals and planes.
        halves: Whether stability is measured, by searching in each half of the images too.
    """

    craft: CRAFT
    layer: str
    measured: int
    n_samples: int
    seed: int
    halves: bool

    def found(self, model: Network, collected: Collected) -> Concepts:
        """The concepts; see `CRAFT.factorize`."""
        return self.craft.factorize(model, collected, self.layer)

    def stability(self, model: Network, collected: Collected, concepts: Concepts) -> Tensor | None:
        """Cosine ``(r,)`` of each concept with its partner among those of half of the images, the mean of both halves.

        None where it is not asked for, or a half has too few rows.
        """
        numbers = collected.rows[self.layer].images
        order = numbers.unique(return_inverse=True)[1]
        halves = [(order % 2 == half).nonzero().flatten() for half in (0, 1)]
        if not self.halves or min(map(len, halves)) < len(concepts):
            return None
        found = [self.craft.factorize(model, collected, self.layer, half).dictionary for half in halves]
        return torch.stack([match_concepts(concepts.dictionary, other).cosines for other in found]).mean(0)

    def points(self, model: Network, concepts: Concepts, images: Tensor) -> tuple[Points, Measured]:
        """What the concepts do in images ``(n, 3, H, W)`` that the model gives the class; the model is frozen."""
        network, cls, evaluator = concepts.network(model), concepts.about.cls, BatchedEvaluator()
        count = min(self.measured, len(images))
        chosen = [i * len(images) // count for i in range(count)]
        device = network.dictionary.device
        told: list[tuple[Tensor, ...]] = []
        measured: list[tuple[Tensor, ...]] = []
        for start in range(0, len(images), _IMAGES):
            lowered = Lowered.of(network, images[start : start + _IMAGES].to(device))
            logits = lowered.logits(evaluator).float()
            masked = MaskedConcepts(lowered, Class(cls).resolve(logits), evaluator)
            small, means = masked.derivatives(), lowered.coefficients.mean((2, 3))
            one = (small.masks, means, logits[:, cls], logits.softmax(-1)[:, cls])
            told.append(tuple(part.float().cpu() for part in one))
            rows = torch.tensor([i - start for i in chosen if start <= i < start + len(lowered)])
            if not len(rows):
                continue
            some, targets = lowered.take(rows.to(device)), Class(cls).resolve(logits[rows.to(device)])
            importance = image_importance(
                MaskedConcepts(some, targets, evaluator).score,
                small.masks[rows.to(device)],
                self.n_samples,
                seed=self.seed,
                numbers=[start + row for row in rows.tolist()],
            )
            parts = (importance.total, small.coefficients.cpu()[rows], small.masks.cpu()[rows], importance.additive)
            measured.append((*parts, *concept_effects(some, targets, evaluator)))
        columns = [torch.cat(column) for column in zip(*measured)]
        found = Points(*(torch.cat(column) for column in zip(*told)))
        return found, Measured(chosen, class_importance(*columns[:4]), Effects(*columns[4:]))

    def report(
        self,
        concepts: Concepts,
        name: str,
        predicted: int,
        points: Points,
        measured: Measured,
        stability: Tensor | None,
        head: AdditiveHead | None,
    ) -> ClassReport:
        """All of it as plain values.

        Args:
            concepts: The concepts.
            name: Name of the class.
            predicted: Number of images that the model gives the class.
            points: See `points`.
            measured: See `points`.
            stability: See `stability`.
            head: The linear classifier above the layer, if there is one.
        """
        about, importance, effects = concepts.about, measured.importance, measured.effects
        rows = torch.tensor(measured.rows)
        contributions = self._effects(points.contributions[rows])
        changed = [self._effects(part) for part in effects]
        tops = points.contributions.argmax(1).bincount(minlength=len(concepts))
        places = plane(torch.nn.functional.normalize(concepts.dictionary, dim=1), self.seed)
        closest = _closest_classes(concepts.dictionary, head)
        bias = None if head is None else float(head.bias[about.cls])
        logit = float(points.logits[rows].mean())
        explained = float(points.contributions[rows].sum(1).mean())
        each = tuple(
            ConceptReport(
                importance=float(importance.total[k]),
                standard_error=_number(float(importance.standard_error[k])),
                sign=(contributions[k].mean > 0) - (contributions[k].mean < 0),  # type: ignore[arg-type]
                share=float(importance.share[k]),
                contribution=contributions[k],
                deletion=changed[0][k],
                keep_only=changed[1][k],
                raised=changed[2][k],
                top_of=int(tops[k]),
                color=COLORS[k % len(COLORS)],
                xy=(float(places[k, 0]), float(places[k, 1])),
                closest_classes=closest[k],
                stability=None if stability is None else float(stability[k]),
            )
            for k in range(len(concepts))
        )
        return ClassReport(
            cls=about.cls,
            name=name,
            layer=about.layer,
            predicted=predicted,
            used=about.used,
            measured=len(rows),
            crop_size=about.crop_size,
            rows=len(concepts.coefficients),
            error=about.error,
            sparsity=float((concepts.coefficients == 0).float().mean()),
            logit=logit,
            bias=bias,
            residual=None if bias is None else logit - bias - explained,
            exact=importance.exact,
            stability=None if stability is None else float(stability.mean()),
            top_deletion=self._margin(importance, points.contributions[rows], effects.deletion),
            concepts=each,
        )

    def _effects(self, values: Tensor) -> list[Effect]:
        return [_effect(found) for found in paired_intervals(values, seed=self.seed)]

    def _margin(self, importance: Importance, contributions: Tensor, deletion: Tensor) -> Effect | None:
        """How much more deleting the most important concept that raises the logit lowers it than deleting another one.

        None where no concept raises it, or there is only one.
        """
        raising = contributions.mean(0) > 0
        if deletion.shape[1] < 2 or not raising.any():
            return None
        best = int(importance.total.masked_fill(~raising, -1.0).argmax())
        others = (deletion.sum(1) - deletion[:, best]) / (deletion.shape[1] - 1)
        return _effect(bootstrap_interval(deletion[:, best] - others, seed=self.seed))


def without_concepts(cls: int, name: str, layer: str, predicted: int, reason: str) -> ClassReport:
    """What is known of a class that has no concepts."""
    none = {
        "used": 0,
        "measured": 0,
        "crop_size": 0,
        "rows": 0,
        "error": 0.0,
        "sparsity": 0.0,
        "logit": 0.0,
        "exact": 0.0,
    }
    return ClassReport(
        cls=cls,
        name=name,
        layer=layer,
        predicted=predicted,
        reason=reason,
        concepts=(),
        bias=None,
        residual=None,
        stability=None,
        top_deletion=None,
        **none,  # type: ignore[arg-type]
    )


def _effect(found: Interval) -> Effect:
    return Effect(found.mean, found.low, found.high)


def _number(value: float) -> float | None:
    """The value, None where it is none."""
    return value if value == value else None


def _closest_classes(dictionary: Tensor, head: AdditiveHead | None) -> Sequence[tuple[tuple[int, float], ...]]:
    """For each concept the classes whose weights it has the largest cosines with."""
    if head is None:
        return [()] * len(dictionary)
    cosines = cosine_similarity(dictionary[:, None], head.weights.T[None], dim=-1)
    found = cosines.topk(min(_CLOSEST, cosines.shape[1]))
    return [tuple(zip(classes, values)) for classes, values in zip(found.indices.tolist(), found.values.tolist())]
