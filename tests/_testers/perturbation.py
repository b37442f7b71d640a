"""Insertion and deletion as slow loops over single pixels, written from their definition."""

from __future__ import annotations

import copy
import itertools
import math

import torch
from torch import Tensor, nn


def slow_curve(
    model: nn.Module, image: Tensor, target: int, map: Tensor, step: int, baseline: Tensor, inserts: bool
) -> list[float]:
    """Softmax probabilities of `target` while `step` pixels at a time are exchanged, one image a forward.

    Args:
        model: Classifier; a copy of it runs in evaluation mode.
        image: ``(C, H, W)``.
        target: Class.
        map: ``(H, W)``.
        step: Pixels.
        baseline: ``(C, H, W)``.
        inserts: From the baseline to the image, else the other way.
    """
    model = copy.deepcopy(model).eval()
    height, width = map.shape
    places = [(row, column) for row in range(height) for column in range(width)]
    places.sort(key=lambda place: -float(map[place]))  # Python's sort is stable
    current, source = (baseline.clone(), image) if inserts else (image.clone(), baseline)
    scores = [probability(model, current, target)]
    for first in range(0, len(places), step):
        for row, column in places[first : first + step]:
            for channel in range(len(image)):
                current[channel, row, column] = source[channel, row, column]
        scores.append(probability(model, current, target))
    return scores


def probability(model: nn.Module, image: Tensor, target: int) -> float:
    """Softmax, written out."""
    with torch.no_grad():
        logits = model(image[None])[0].tolist()
    return math.exp(logits[target]) / sum(math.exp(logit) for logit in logits)


def trapezoid(scores: list[float]) -> float:
    """(1 / K) * sum of (s_k + s_{k+1}) / 2."""
    return sum((a + b) / 2 for a, b in itertools.pairwise(scores)) / (len(scores) - 1)


def class_scores(logits: Tensor, targets: Tensor, output: str = "logit") -> Tensor:
    """Score of each row's class, row by row: ``(N, K)``, ``(N,)`` -> ``(N,)``."""
    values = logits.softmax(-1) if output == "prob" else logits
    return torch.stack([row[int(target)] for row, target in zip(values, targets)])
