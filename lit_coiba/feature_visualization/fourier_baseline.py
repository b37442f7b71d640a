"""Feature visualization in plain Fourier space: what MACO is compared with.

Olah, Mordvintsev and Schubert, "Feature Visualization", 2017.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lit_coiba.core.batched_evaluator import Chunk
from lit_coiba.feature_visualization.fourier_images import FourierImages
from lit_coiba.feature_visualization.visualizer import FeatureVisualizer


class FourierBaseline(FeatureVisualizer):
    """Feature visualization with free Fourier coefficients, through the same crops and noise as `MACO`.

    The arguments are those of `FeatureVisualizer`. The optimizer is Adam, as in the lucid family of libraries.

    Example:
        >>> from lit_coiba.backbones import Backbone
        >>> baseline = FourierBaseline(steps=2, canvas=64, crops=2)
        >>> baseline.visualize(Backbone("resnet10t", num_classes=5, image_size=32), 1).scores.shape
        torch.Size([1, 2])
    """

    def __init__(
        self,
        steps: int = 256,
        canvas: int | tuple[int, int] = 512,
        crops: int = 32,
        lr: float = 0.05,
        decay: bool = True,
        seed: int = 0,
        center_std: float = 0.15,
        crop_side: float | None = None,
        noise: float = 0.04,
        chunk: Chunk = "auto",
        progress: bool = True,
    ) -> None:
        super().__init__(steps, canvas, crops, lr, decay, seed, center_std, crop_side, noise, chunk, progress)

    def _begin(self, size: tuple[int, int], count: int, like: Tensor) -> FourierImages:
        return FourierImages(*size, count, self.seed, like)

    def _optimizer(self, variable: Tensor) -> torch.optim.Optimizer:
        return torch.optim.Adam([variable], self.lr)
