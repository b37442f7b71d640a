"""MACO: images whose phases are optimized while the magnitude of each frequency stays that of natural images.

Fel et al., "Unlocking Feature Visualization for Deeper Networks with MAgnitude Constrained Optimization", 2023 (arXiv
2306.06805).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_coiba.core.batched_evaluator import Chunk
from lit_coiba.feature_visualization.phase_images import PhaseImages
from lit_coiba.feature_visualization.spectrum import parse_spectrum
from lit_coiba.feature_visualization.visualizer import FeatureVisualizer


class MACO(FeatureVisualizer):
    """Feature visualization with a fixed magnitude spectrum, and which pixels mattered, of the same gradients.

    The spectrum is held in decorrelated colors, up to one factor; the mixing of the colors and the sigmoid, which bring
    the image into its range, change it afterwards.

    The other arguments are those of `FeatureVisualizer`. A preset for CPUs is ``canvas=320, steps=128, crops=4``.

    Args:
        spectrum: ``shipped``; ``folder:PATH``, measured on 200 images below it; ``power:-1.3,cutoff=.3``; or a file
            that `MagnitudeSpectrum.save` wrote, or the array that the authors publish.
        tied: Whether opposite frequencies of one column have opposite phases, without which the magnitudes of one or
            two columns are not held. False, with `standardize`, without `decay` and with an `lr` of 1, is the published
            code.
        standardize: Whether phases are brought to mean 0 and standard deviation 1 at each step.

    Raises:
        InputError: An argument is out of its range, or there is no such spectrum.

    Example:
        >>> from lit_coiba.backbones import Backbone
        >>> maco = MACO(steps=2, canvas=64, crops=2, spectrum="power:-1.3")
        >>> found = maco.visualize(Backbone("resnet10t", num_classes=5, image_size=32), [1, 4])
        >>> found.images.shape, found.alpha.shape
        (torch.Size([2, 3, 64, 64]), torch.Size([2, 64, 64]))
    """

    def __init__(
        self,
        steps: int = 256,
        canvas: int | tuple[int, int] = 512,
        crops: int = 32,
        lr: float = 0.3,  # ours: between 0.1 and 1, which short runs do not tell apart
        decay: bool = True,
        seed: int = 0,
        spectrum: str = "shipped",
        tied: bool = True,
        standardize: bool = False,
        center_std: float = 0.15,
        crop_side: float | None = None,
        noise: float = 0.04,
        chunk: Chunk = "auto",
        progress: bool = True,
    ) -> None:
        super().__init__(steps, canvas, crops, lr, decay, seed, center_std, crop_side, noise, chunk, progress)
        self.spectrum, self.tied, self.standardize = spectrum, tied, standardize
        self._spectrum = parse_spectrum(spectrum)

    def identity(self) -> dict[str, Any]:
        """The arguments that decide the images, and the content of the spectrum in the place of its name."""
        return {**super().identity(), "spectrum": self._spectrum.digest()}

    def _begin(self, size: tuple[int, int], count: int, like: Tensor) -> PhaseImages:
        magnitude = self._spectrum.on_canvas(*size).to(like)
        return PhaseImages(magnitude, size[1], count, self.seed, self.tied, self.standardize)

    def _optimizer(self, variable: Tensor) -> torch.optim.Optimizer:
        return torch.optim.NAdam([variable], self.lr)
