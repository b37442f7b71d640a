"""Which class a readout is trained to explain in an image: mostly the predicted one, sometimes one of the next."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lit_coiba.functional import keyed_noise
from lit_coiba.functional.noise import uniform

PREDICTED = 0.7  # share of the images whose predicted class is explained
OTHERS = 4  # classes that follow it by their logits, one of which is explained in the other images


def training_classes(logits: Tensor, keys: Sequence[str], seed: int, step: int) -> Tensor:
    """Classes ``(B,)``, each a function of seed, step, and the name of its sample.

    Args:
        logits: ``(B, K)``.
        keys: Names of the samples.
        seed: Seed of the choice.
        step: Step of the training.
    """
    drawn = uniform(keyed_noise(seed, keys, f"readout targets/{step}", (2,)))
    others = min(OTHERS, logits.shape[1] - 1)
    rank = (1 + (drawn[:, 1] * others).long()).clamp(max=others)
    rank = torch.where(drawn[:, 0] < PREDICTED, 0, rank)
    ranked: Tensor = logits.topk(1 + others, -1).indices
    return ranked.gather(1, rank.to(logits.device).unsqueeze(1)).squeeze(1)
