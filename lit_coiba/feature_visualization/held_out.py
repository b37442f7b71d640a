"""How a model sees optimized images through crops that they were not optimized on: our check that they generalize."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.core.frozen import frozen
from lit_coiba.core.targets import Class
from lit_coiba.feature_visualization.crops import cropped
from lit_coiba.feature_visualization.objectives.objective import Objective
from lit_coiba.feature_visualization.objectives.target_score import TargetScore
from lit_coiba.feature_visualization.seen import Seen
from lit_coiba.functional import noise, uniform, working_dtype

COUNT = 16  # crops of an image
LEAST, MOST = 0.6, 1.0  # side of a crop, as a share of the image's shorter side: larger than those of most steps
SPREAD = 0.15  # standard deviation of the centers, as a share of the image
_DRAW = 4  # number of these draws; crops and noise of the optimization have others


class Seeing(NamedTuple):
    """What a model makes of images, averaged over held-out crops."""

    scores: Tensor  # (B,) of each image's own objective
    features: Tensor | None  # (B, C) averaged over space; None = the model has none


def held_out_crops(images: Tensor, size: tuple[int, int], count: int = COUNT) -> Tensor:
    """The crops, bilinear, ``(B * count, 3, h, w)``: always the same ones, every second one mirrored, without noise.

    Args:
        images: Images ``(B, 3, H, W)``.
        size: Height and width of the crops in pixels.
        count: Number of crops of each image.
    """
    drawn = noise(0, 0, _DRAW, (count, 3))
    sides = LEAST + (MOST - LEAST) * uniform(drawn[:, 2:])
    centers = (0.5 + SPREAD * drawn[:, :2]).clamp(sides / 2, 1 - sides / 2)
    found = cropped(images, torch.cat([centers, sides], 1).to(images.device), size).unflatten(0, (len(images), count))
    mirrored = (torch.arange(count, device=images.device) % 2 == 1).view(1, -1, 1, 1, 1)
    return torch.where(mirrored, found.flip(-1), found).flatten(0, 1)


def see(model: Any, images: Tensor, objectives: Sequence[Objective], count: int = COUNT) -> Seeing:
    """Mean score of the objective of each image, and mean features, over the held-out crops.

    Args:
        model: The model, left as it was.
        images: RGB images ``(B, 3, H, W)`` in [0, 1], on the model's device.
        objectives: An objective for each.
        count: Number of crops of each image.
    """
    scores, features = [], []
    with frozen(model), torch.no_grad():
        for image, objective in zip(images, objectives):
            crops = _model_input(model, image, count)
            seen = Seen(model, crops, objective.layers)
            scores.append(_mean_score(model, objective, seen, crops))
            try:
                features.append(seen.features.to(scores[-1]).mean(0))
            except InputError:  # a model without a grid
                continue
    return Seeing(torch.stack(scores), torch.stack(features) if len(features) == len(scores) else None)


def transferred(model: Any, images: Tensor, classes: Sequence[int]) -> list[tuple[float, float]]:
    """Transferability: mean logit and mean probability of each image's class under another model, over the same crops.

    Args:
        model: The other model, left as it was; it needs the same classes.
        images: RGB images ``(B, 3, H, W)`` in [0, 1], on its device.
        classes: Number of the class of each.
    """
    found = []
    with frozen(model), torch.no_grad():
        for image, cls in zip(images, classes):
            crops = _model_input(model, image, COUNT)
            seen = Seen(model, crops)
            kinds = (TargetScore(Class(cls, score="logit")), TargetScore(Class(cls, score="prob")))
            logit, probability = (float(_mean_score(model, kind, seen, crops)) for kind in kinds)
            found.append((logit, probability))
    return found


def _mean_score(model: Any, objective: Objective, seen: Seen, crops: Tensor) -> Tensor:
    """Mean of an objective over the crops; what it has to choose, it chooses on the first."""
    score = objective.bind(model, Seen(model, crops[:1], objective.layers))(seen, slice(0, len(crops)))
    return score.to(working_dtype(score)).mean()


def _model_input(model: Any, image: Tensor, count: int) -> Tensor:
    """The crops of an image ``(3, H, W)`` as the model takes them."""
    weights = next((one for one in model.parameters() if one.is_floating_point()), image)
    crops: Tensor = model.preprocessing.normalize(held_out_crops(image[None], model.preprocessing.size, count))
    return crops.to(weights.dtype)
