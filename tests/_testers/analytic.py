"""Models small enough that their explanations are known by hand, with as much of `Network` as gradients need."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lit_coiba.core.preprocessing import Preprocessing


class Analytic(nn.Module):
    """A module that says which input it takes, and how many classes it has."""

    num_classes = 5
    preprocessing = Preprocessing(size=(8, 8))


class Linear(Analytic):
    """Two classes; class 1 has logit ``weight . x``, class 0 has none. In fp64."""

    num_classes = 2

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.weight = nn.Parameter(torch.randn(3, 8, 8, generator=generator, dtype=torch.float64))

    def forward(self, images: Tensor) -> Tensor:
        score = (self.weight * images).sum((1, 2, 3))
        return torch.stack([torch.zeros_like(score), score], 1)


class Chain(Analytic):
    """Layers in a row."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits


def network(*layers: nn.Module, seed: int = 0) -> Chain:
    """A `Chain` with random weights, in fp64 and evaluation mode; images of 8 x 8 pixels, 5 classes."""
    chain, generator = Chain(*layers), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in chain.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * max(1, parameter[0].numel()) ** -0.5)
    return chain.double().eval()
