"""IBA, per sample: one damping ratio per unit of one layer, fitted for one image and one class.

Schulz, Sixt, Tombari and Landgraf, "Restricting the Flow: Information Bottlenecks for Attribution", 2020 (arXiv
2001.00396).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from torch import Tensor

from lit_coiba.bottlenecks.fitting import unchanged
from lit_coiba.bottlenecks.method import BottleneckMethod
from lit_coiba.bottlenecks.one_layer import choose_layer, chosen_layer, first_layers
from lit_coiba.bottlenecks.prior import NoisePrior, PriorSettings, PriorSlot
from lit_coiba.bottlenecks.statistics import ActivationStatistics, StatisticsSlot
from lit_coiba.bottlenecks.unit_bottleneck import UnitBottleneck
from lit_coiba.core.batched_evaluator import BatchedEvaluator, Chunk
from lit_coiba.core.errors import InputError, check_count
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.frozen import frozen
from lit_coiba.core.grid import Grid
from lit_coiba.core.images import check_images, class_targets
from lit_coiba.core.method import Card
from lit_coiba.core.network import Network
from lit_coiba.functional import gaussian_kernel, smooth


class IBA(BottleneckMethod):
    """Information bottleneck attribution at one layer, batched over images: the bits that have to pass for the class.

    Noise replaces part of each unit's activation; the loss of an image is the mean cross-entropy of its noise copies
    plus `beta` times the mean information per unit. The map is in bits per place of the layer, summed over channels,
    never negative: where it is zero the layer can be noise, and the model still predicts the class. It is as coarse as
    the layer, and prefix tokens are left out. Look at `cross_entropy`: where it is large the class did not pass, and
    `beta` is too high.

    Args:
        layer: Targeted layer, at its output. None (a project choice): for a ViT the block at a third of the depth, or
            an earlier one if by then CLS alone knows the class (leak test of `prepare`); otherwise the first of the
            model's default layers.
        statistics: File made by ``lit-coiba statistics``. None: call `prepare`.
        steps: Forward passes of the original procedure; `steps` - 1 updates shape the map.
        copies: Noise copies per image and step.
        beta: Weight of the mean information per unit (the paper's "10/k").
        lr: Learning rate of Adam. Belongs together with `steps` and `alpha_init`.
        alpha_init: First logit of every damping ratio.
        min_std: Floor of the standard deviations.
        smoothing: Standard deviation in cells of the Gaussian that smooths the ratios of each channel; 0 = off. None: 1
            (the paper) for feature maps, off for tokens, which mix over the whole image at once (a project choice).
            Prefix tokens have no neighbours and are left as they are.
        active_threshold: Units that are non-zero in no more than this share of the estimation samples are closed.
        relu: Clamp the noised activations at zero, for a target that is the output of a ReLU.
        antithetic: Draw noise in pairs of opposite sign.
        chunk: Noise copies at once; ``auto`` = as many as are fast, halved where memory runs out.
        seed: Of the noise; all images of a run share it.

    Extras of the explanation, per image: ``bits`` (all units), ``cross_entropy_start`` and ``cross_entropy`` in nats
    (noised, at the first and the last pass).
    """

    card = Card(
        "Schulz, Sixt, Tombari and Landgraf, 2020 (arXiv 2001.00396)",
        "(steps - 1) x copies forwards and backwards above the layer (90)",
        ("gradients", "layer", "statistics"),
    )

    def __init__(
        self,
        layer: str | None = None,
        statistics: str | None = None,
        steps: int = 10,
        copies: int = 10,
        beta: float = 10.0,
        lr: float = 1.0,
        alpha_init: float = 5.0,
        min_std: float = 0.01,
        smoothing: float | None = None,
        active_threshold: float = 0.01,
        relu: bool = False,
        antithetic: bool = False,
        chunk: Chunk = "auto",
        seed: int = 0,
    ) -> None:
        check_count(2, steps=steps)
        check_count(copies=copies)
        if min_std <= 0 or beta < 0 or lr <= 0 or (smoothing or 0) < 0:
            raise InputError(
                f"IBA needs min_std > 0, beta, smoothing >= 0 and lr > 0, not {min_std}, {beta}, {smoothing} and {lr}"
            )
        self.layer = layer
        self.statistics = statistics
        self.steps = steps
        self.copies = copies
        self.beta = beta
        self.lr = lr
        self.alpha_init = alpha_init
        self.min_std = min_std
        self.smoothing = smoothing
        self.active_threshold = active_threshold
        self.relu = relu
        self.antithetic = antithetic
        self.chunk = chunk
        self.seed = seed
        self._copies = BatchedEvaluator(chunk)
        self._slot = StatisticsSlot(statistics)
        self._priors = PriorSlot()

    def statistics_layers(self, model: Network) -> list[str]:
        """The target, or the candidates of the leak test, earliest first.

        Raises:
            InputError: It lies on no grid, or on one too small to smooth.
        """
        layers = [self.layer] if self.layer else first_layers(model)
        for layer in layers:
            self._check_smoothing(model.grid(layer))
        return layers

    def set_statistics(
        self, model: Network, statistics: ActivationStatistics, images: Iterable[Tensor]
    ) -> ActivationStatistics:
        """Use `statistics`; where tokens lie outside the map, test on batches of `images` what these know alone."""
        layers = self.statistics_layers(model)
        return choose_layer(self._slot, model, statistics, images, layers, self.min_std, self.seed)

    def explain(self, model: Network, images: Tensor, targets: Tensor | int | None = None) -> Explanation:
        """Explain `images` ``(B, 3, H, W)`` for `targets` ``(B,)``, or one for all; None: the predicted class."""
        check_images(model, images)
        statistics = self._slot.of(model)
        layer = chosen_layer(self.statistics_layers(model), statistics)
        with frozen(model):
            path = model.split([layer])
            grid, prior = path.grids[0], self._prior(statistics, layer)
            state = path.lower(images)
            classes = class_targets(targets, images, model.num_classes, lambda: path.upper(state, unchanged))
            smoothed = partial(self._smoothed, grid=grid) if self._sigma(grid) else None
            active = statistics.active[layer] > self.active_threshold
            capacity = UnitBottleneck(path, state, classes, prior, active, self.beta, smoothed, self.relu)
            found = capacity.fit(self.steps, self.lr, self.alpha_init, self._copies, images)
        bits = grid.over_channels(found.bits) * grid.channels
        extras = {**found._asdict(), "bits": bits.sum(-1)}
        return Explanation(grid.to_map(bits), extras)

    def _smoothed(self, values: Tensor, grid: Grid) -> Tensor:
        """Values per unit, each channel smoothed over the places of the grid."""
        return grid.with_spatial(values, smooth(grid.to_spatial(values), self._sigma(grid)))

    def _sigma(self, grid: Grid) -> float:
        """Cells that the ratios on `grid` are smoothed over."""
        if self.smoothing is None:
            return 0.0 if grid.layout == "tokens" else 1.0
        return self.smoothing

    def _check_smoothing(self, grid: Grid) -> None:
        """Refuse a kernel that a reflected border cannot carry."""
        sigma = self._sigma(grid)
        radius = len(gaussian_kernel(sigma)) // 2 if sigma else 0
        if radius >= min(grid.height, grid.width):
            raise InputError(
                f"smoothing={sigma} needs more than {radius} cells a side, and layer {grid.layer} has"
                f" {grid.height}x{grid.width}: choose an earlier layer or less smoothing (0 = off)"
            )

    def _prior(self, statistics: ActivationStatistics, layer: str) -> NoisePrior:
        return self._priors.of(
            PriorSettings(statistics, (layer,), self.copies, self.min_std, self.antithetic, self.seed)
        )
