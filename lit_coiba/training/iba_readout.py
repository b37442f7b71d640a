"""Train Readout IBA: ratios of all units of one layer, read out of the features of several.

Schulz, Sixt, Tombari and Landgraf, "Restricting the Flow: Information Bottlenecks for Attribution", 2020 (arXiv
2001.00396).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lit_coiba.backbones import Backbone
from lit_coiba.bottlenecks.iba import IBA
from lit_coiba.bottlenecks.method import BottleneckMethod
from lit_coiba.bottlenecks.one_layer import chosen_layer
from lit_coiba.bottlenecks.readout.noised import SampleNoise
from lit_coiba.bottlenecks.readout.read_layers import read_layers
from lit_coiba.bottlenecks.readout.trained_readout import ReadoutHeader
from lit_coiba.bottlenecks.readout.unit_readout import UnitReadout, Variant
from lit_coiba.bottlenecks.readout.unit_site import UnitSite
from lit_coiba.bottlenecks.statistics import ActivationStatistics
from lit_coiba.core.errors import check_choice, check_not_negative
from lit_coiba.functional import BITS_PER_NAT
from lit_coiba.training.readout import HELD_OUT, Readout


class IBAReadout(Readout):
    """Readout IBA in training: the loss is that of IBA, for the predicted class, with one noise copy of each image.

    Images need no labels. The first thing that a fit does is to estimate activation statistics. The loggers get ``lr``
    and, of ``train`` and ``val``, ``loss``, ``cross_entropy`` (nats), ``information`` (nats a unit) and ``bits`` (an
    image); TensorBoard also shows the maps of a few held-out images after each validation. ::

        module = IBAReadout(backbone)
        Trainer(max_epochs=10, callbacks=[ExportReadout("iba.safetensors")]).fit(module, datamodule=data)
        ReadoutIBA("iba.safetensors").attribute(backbone, images)

    The other arguments are those of `Readout`.

    Args:
        backbone: The model, which stays as it is.
        layer: Bottleneck layer, at its output; None = that of `IBA`.
        read: Layers that are read beside the logits, the bottleneck layer first; None = see `read_layers`.
        variant: Widths of the readout: ``B`` of the authors' library, ``A`` of the paper's code; see `UnitReadout`.
        beta: Weight of the mean information per unit.
        smoothing: Standard deviation in cells of the Gaussian that smooths the ratios; None = that of `IBA`.
        active_threshold: Share of the estimation samples in which a unit has to be non-zero.
        min_std: Lower bound of the standard deviations.
        lr: Peak learning rate of AdamW; the authors' Adam has 1e-5 for 10 epochs of ImageNet.
        weight_decay: Weight decay of matrices.

    Raises:
        InputError: The model has no classes or no layer on a grid, or a number is outside its range.
    """

    def __init__(
        self,
        backbone: Backbone,
        layer: str | None = None,
        read: list[str] | None = None,
        variant: Variant = "B",
        beta: float = 10.0,
        smoothing: float | None = None,
        active_threshold: float = 0.01,
        min_std: float = 0.01,
        lr: float = 1e-4,
        weight_decay: float = 0.0,
        **readout: Any,
    ) -> None:
        super().__init__(backbone, lr=lr, weight_decay=weight_decay, **readout)
        check_not_negative(beta=beta, smoothing=smoothing or 0, active_threshold=active_threshold)
        self.layer, self.read, self.beta, self.smoothing = layer, read, beta, smoothing
        self.variant: Variant = check_choice(variant, Variant, "variant")
        self.active_threshold, self.min_std = active_threshold, min_std

    def _method(self) -> IBA:
        return IBA(self.layer, self.statistics, beta=self.beta, min_std=self.min_std, smoothing=self.smoothing)

    def _layers(self, method: BottleneckMethod) -> list[str]:
        known = super()._layers(method)
        return list(dict.fromkeys([*known, *(name for layer in known for name in self._read_with(layer))]))

    def _read_with(self, layer: str) -> list[str]:
        return self.read or read_layers(self.backbone, [layer])

    def _describe(self, statistics: ActivationStatistics) -> ReadoutHeader:
        method = self._method()
        layer = chosen_layer(method.statistics_layers(self.backbone), statistics)
        return self._header(
            "iba",
            [layer],
            self._read_with(layer),
            min_std=self.min_std,
            beta=self.beta,
            gradient=False,
            variant=self.variant,
            smoothing=method.sigma(self.backbone.grid(layer)),
            active_threshold=self.active_threshold,
        )

    def _build(self, about: ReadoutHeader, statistics: ActivationStatistics) -> UnitReadout:
        self._site = UnitSite(self.backbone, about, statistics)
        return self._site.network()

    def _losses(self, images: Tensor, keys: list[str], step: int) -> dict[str, Tensor]:
        site = self._site
        clean = site.reader.forward(images)
        targets = self._targets(clean.out, keys, HELD_OUT)  # always the predicted class
        assert self.readout is not None
        alpha = site.ratios(self.readout(site.features(clean)))
        fidelity, nats = site.losses(clean, targets, alpha, SampleNoise(site.prior, self.seed, step, keys))
        loss = fidelity + self.beta * nats
        bits = nats.detach() * BITS_PER_NAT * site.grid.positions * site.grid.channels
        losses = {"loss": loss, "cross_entropy": fidelity, "information": nats, "bits": bits}
        found = {name: values.mean() for name, values in losses.items()}
        if step == HELD_OUT:
            found["maps"] = site.map(clean, targets, alpha)
        return found
