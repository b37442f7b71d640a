"""Train Readout CoIBA: the ratios that all bottleneck layers of a model share, read out of its features."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_coiba.backbones import Backbone
from lit_coiba.bottlenecks.coiba import CoIBA
from lit_coiba.bottlenecks.readout.gap import OptimalLoss
from lit_coiba.bottlenecks.readout.noised import SampleNoise
from lit_coiba.bottlenecks.readout.position_readout import PositionReadout
from lit_coiba.bottlenecks.readout.read_layers import read_layers
from lit_coiba.bottlenecks.readout.site import PositionSite
from lit_coiba.bottlenecks.readout.trained_readout import ReadoutHeader
from lit_coiba.bottlenecks.statistics import ActivationStatistics
from lit_coiba.core.errors import check_count, check_not_negative
from lit_coiba.functional import information
from lit_coiba.training.readout import HELD_OUT, Readout


class CoIBAReadout(Readout):
    """Readout CoIBA in training: the loss is CoIBA's, with one noise copy of each image, fresh in each step.

    Images need no labels: seven of ten are explained for the predicted class, the others for one of the next four. The
    first thing that a fit does is to estimate activation statistics and to test for leaks. The loggers get ``lr`` and,
    of ``train`` and ``val``, ``loss``, ``cross_entropy`` (nats), ``information`` (nats a unit) and ``bits`` (an image);
    ``val/gap`` is how far the loss of a few fixed held-out images is above that of ratios fitted to each of them in 100
    steps. TensorBoard also shows their maps after each validation. ::

        module = CoIBAReadout(backbone)
        Trainer(max_epochs=4, precision="auto", callbacks=[ExportReadout("readout.safetensors")]).fit(
            module, datamodule=ImageFolder("images")
        )
        ReadoutCoIBA("readout.safetensors").attribute(backbone, images)

    The other arguments are those of `Readout`.

    Args:
        backbone: The model, which stays as it is.
        layers: Bottleneck layers; None = the model's default layers, moved earlier by the leak test if needed.
        read: Layers that are read, the first bottleneck layer first; None = see `read_layers`.
        gradient: Whether the gradient of the target's score with respect to the bottleneck layers is read too. Without
            it an explanation costs one forward, and is worse.
        width: Channels inside the readout.
        beta: Weight of the information.
        min_std: Lower bound of the standard deviations.
        gap_images: Number of held-out images whose gap is measured; 0 = none.

    Raises:
        InputError: The model has no classes or no layer on a grid, or a number is outside its range.
    """

    def __init__(
        self,
        backbone: Backbone,
        layers: list[str] | None = None,
        read: list[str] | None = None,
        gradient: bool = True,
        width: int = 128,
        beta: float = 1.0,
        min_std: float = 0.01,
        gap_images: int = 8,
        **readout: Any,
    ) -> None:
        super().__init__(backbone, **readout)
        check_count(width=width)
        check_not_negative(beta=beta, gap_images=gap_images)
        self.layers, self.read, self.gradient, self.width = layers, read, gradient, width
        self.beta, self.min_std, self.gap_images = beta, min_std, gap_images
        self._optimal = OptimalLoss(gap_images)

    def _method(self) -> CoIBA:
        return CoIBA(self.layers, self.statistics, beta=self.beta, min_std=self.min_std, seed=self.seed)

    def _describe(self, statistics: ActivationStatistics) -> ReadoutHeader:
        layers = self.backbone.split(self._method().chosen_layers(statistics)).layers
        return self._header(
            "coiba",
            layers,
            self.read or read_layers(self.backbone, layers),
            min_std=self.min_std,
            beta=self.beta,
            gradient=self.gradient,
            width=self.width,
        )

    def _build(self, about: ReadoutHeader, statistics: ActivationStatistics) -> PositionReadout:
        self._site = PositionSite(self.backbone, about, statistics)
        return self._site.network()

    def _losses(self, images: Tensor, keys: list[str], step: int) -> dict[str, Tensor]:
        site = self._site
        clean = site.reader.forward(images)
        targets = self._targets(clean.out, keys, step)
        reading = site.reader.read(clean, targets)
        assert self.readout is not None
        alpha = self.readout(reading.features, reading.directions)
        fidelity = site.fidelity(clean.state, targets, alpha, SampleNoise(site.prior, self.seed, step, keys))
        nats, bits = information(alpha, reading.squared).mean(-1), site.bits(alpha.detach(), reading)
        loss = fidelity + self.beta * nats
        losses = {"loss": loss, "cross_entropy": fidelity, "information": nats, "bits": bits.sum(-1)}
        found = {name: values.mean() for name, values in losses.items()}
        if step == HELD_OUT:
            found["maps"] = site.reader.first.to_map(bits)
            if not self.trainer.sanity_checking:
                with torch.enable_grad():
                    gap = self._optimal.gap(site, clean.state, targets, reading, alpha.detach(), keys)
                if gap is not None:
                    found["gap"] = gap
        return found
