"""IBA, per sample: one damping ratio per unit of one layer, fitted for one image and one class.

Schulz, Sixt, Tombari and Landgraf, "Restricting the Flow: Information Bottlenecks for Attribution", 2020 (arXiv
2001.00396).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from torch import Tensor

from lit_coiba.bottlenecks.fitting import PerImageAdam
from lit_coiba.bottlenecks.method import BottleneckMethod
from lit_coiba.bottlenecks.one_layer import chosen_layer, first_layers, prefix_leak_test
from lit_coiba.bottlenecks.statistics import ActivationStatistics, LeakTest
from lit_coiba.bottlenecks.unit_bottleneck import UnitBottleneck
from lit_coiba.core.batched_evaluator import Chunk
from lit_coiba.core.errors import InputError, check_count, check_not_negative, check_positive
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.grid import Grid
from lit_coiba.core.method import Card
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved
from lit_coiba.functional import gaussian_kernel, smooth


class IBA(BottleneckMethod):
    """Information bottleneck attribution at one layer, batched over images: the bits that have to pass for the class.

    Noise replaces part of each unit's activation; the loss of an image is the mean cross-entropy of its noise copies
    plus `beta` times the mean information per unit. The map is in bits per place of the layer, summed over channels,
    never negative: where it is zero the layer can be noise, and the model still predicts the class. It is as coarse as
    the layer, and prefix tokens are left out. Look at `cross_entropy`: where it is large the class did not pass, and
    `beta` is too high.

    Args:
        layer: Bottleneck layer, at its output. None (a project choice): for a ViT the block at a third of the depth, or
            an earlier one if by then CLS alone knows the class (leak test of `prepare`); otherwise the first of the
            model's default layers.
        statistics: File written by ``lit-coiba statistics``. None: call `prepare`.
        steps: Number of forward passes of the original procedure, which makes `steps` - 1 updates.
        copies: Number of noise copies per image and step.
        beta: Weight of the mean information per unit ("10/k" in the paper).
        lr: Learning rate of Adam, chosen together with `steps` and `alpha_init`.
        alpha_init: Initial logit of every damping ratio.
        min_std: Lower bound of the standard deviations.
        smoothing: Standard deviation in cells of the Gaussian that smooths the ratios of each channel; 0 = off. None: 1
            (the paper) for feature maps, off for tokens, which mix over the whole image at once (a project choice).
            Prefix tokens have no neighbors and are left as they are.
        active_threshold: Share of the estimation samples in which a unit has to be non-zero; units at or below it are
            closed.
        relu: Whether to clamp the noised activations at zero, for a layer that is the output of a ReLU.
        antithetic: Whether to draw the noise in pairs of opposite sign.
        chunk: Number of noise copies evaluated at once; ``auto`` = as many as are fast, halved when memory runs out.
        seed: Seed of the noise; all images of a run share it.

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
        super().__init__(statistics, min_std, chunk, seed)
        check_count(2, steps=steps)
        check_count(copies=copies)
        check_not_negative(beta=beta, smoothing=smoothing or 0)
        check_positive(lr=lr)
        self.layer = layer
        self.steps = steps
        self.copies = copies
        self.beta = beta
        self.lr = lr
        self.alpha_init = alpha_init
        self.smoothing = smoothing
        self.active_threshold = active_threshold
        self.relu = relu
        self.antithetic = antithetic

    def statistics_layers(self, model: Network) -> list[str]:
        """The bottleneck layer, or the candidates of the leak test, earliest first.

        Raises:
            InputError: One of them has no grid, or one that is too small to smooth.
        """
        layers = [self.layer] if self.layer else first_layers(model)
        for layer in layers:
            self._check_grid(model.grid(layer))
        return layers

    def _leak_test(self, model: Network, statistics: ActivationStatistics, images: Iterable[Tensor]) -> LeakTest | None:
        candidates = self.statistics_layers(model)
        return prefix_leak_test(model, statistics, candidates, images, self.min_std, self.seed)

    def _explain(self, model: Network, images: Tensor, targets: Resolved) -> Explanation:
        statistics = self._slot.of(model)
        layer = chosen_layer(self.statistics_layers(model), statistics)
        split = model.split([layer])
        grid, prior = split.grids[0], self._prior(statistics, [layer], self.copies, self.antithetic)
        active = statistics.active[layer] > self.active_threshold
        state = split.lower(images)
        bottleneck = UnitBottleneck(split, state, targets, prior, active, self.beta, self.smoother(grid), self.relu)
        adam = PerImageAdam(self.steps - 1, self.lr, self.copies, self._evaluator)
        with split.cast_weights():
            fitted = adam.fit(bottleneck.start(self.alpha_init), images, bottleneck)
        bits = grid.over_channels(bottleneck.bits(fitted.alpha)) * grid.channels
        return Explanation(grid.to_map(bits), {"bits": bits.sum(-1), **fitted.extras()}, grid.places)

    def smoother(self, grid: Grid) -> Callable[[Tensor], Tensor] | None:
        """What smooths ratios of units of a layer over its places; None where they are left as they are."""
        return partial(self._smoothed, grid=grid) if self.sigma(grid) else None

    def _smoothed(self, values: Tensor, grid: Grid) -> Tensor:
        """Values per unit, each channel smoothed over the places of the grid."""
        return grid.with_spatial(values, smooth(grid.to_spatial(values), self.sigma(grid)))

    def sigma(self, grid: Grid) -> float:
        """Standard deviation in cells of the Gaussian that smooths ratios on `grid`; 0 = none does."""
        if self.smoothing is None:
            return 0.0 if grid.layout == "tokens" else 1.0
        return self.smoothing

    def _check_grid(self, grid: Grid) -> None:
        """Refuse a grid whose reflected border cannot carry the kernel.

        Raises:
            InputError: It has too few cells.
        """
        sigma = self.sigma(grid)
        radius = len(gaussian_kernel(sigma)) // 2 if sigma else 0
        if radius >= min(grid.height, grid.width):
            raise InputError(
                f"smoothing={sigma} needs more than {radius} cells per side, and layer {grid.layer} has"
                f" {grid.height}x{grid.width}: choose an earlier layer or less smoothing (0 = off)"
            )
