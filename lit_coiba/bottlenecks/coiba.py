"""CoIBA: one damping ratio per position, shared by several layers at once, fitted for one image and one class.

Hong, Kim, Jeon and Lee, "Comprehensive Information Bottleneck for Unveiling Universal Attribution to Interpret Vision
Transformers", 2025 (arXiv 2507.04388).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from torch import Tensor

from lit_coiba.bottlenecks.fitting import PerImageAdam
from lit_coiba.bottlenecks.leak import choose_layers
from lit_coiba.bottlenecks.method import BottleneckMethod
from lit_coiba.bottlenecks.position_bottleneck import PositionBottleneck
from lit_coiba.bottlenecks.statistics import ActivationStatistics, LeakTest
from lit_coiba.bottlenecks.warm_start import gradient_start
from lit_coiba.core.batched_evaluator import Chunk
from lit_coiba.core.errors import InputError, check_choice, check_count, check_not_negative, check_positive
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.grid import Grid
from lit_coiba.core.method import Card
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved

Information = Literal["first", "mean"]
Grids = Literal["same", "resize"]
Start = Literal["open", "gradient"]


class CoIBA(BottleneckMethod):
    """Comprehensive information bottleneck attribution (CoIBA), exact and batched over images.

    Noise replaces part of the activations of all bottleneck layers; the loss of an image is the mean cross-entropy of
    its noise copies plus `beta` times the information that passes the first layer. Only the network above the first
    layer is run again; the information and its gradient are in closed form; the pass whose result is not used is left
    out. The map is in bits per position of the first layer, without prefix tokens.

    Args:
        layers: Bottleneck layers. None: the model's default layers, moved earlier by the leak test of `prepare` if
            needed.
        statistics: File written by ``lit-coiba statistics``. None: call `prepare`.
        steps: Number of forward passes of the original procedure, which makes `steps` - 1 updates.
        copies: Number of noise copies per image and step.
        beta: Weight of the information; a larger one concentrates the map, a smaller one orders the pixels better.
        lr: Learning rate of Adam, chosen together with `steps` and `alpha_init`.
        alpha_init: Initial logit of every damping ratio, where all start alike.
        start: Start of the fit: ``open`` = every position at `alpha_init` (the paper); ``gradient`` (ours) = high where
            the gradient of the clean score says so, for one more forward and backward, after which half as many steps
            are enough.
        min_std: Lower bound of the standard deviations.
        information: Information in the loss: that of the ``first`` bottleneck layer (the paper), or the ``mean`` over
            all of them.
        grids: Handling of layers of different resolution: ``same`` refuses them; ``resize`` (our extension) shares one
            map of ratios, resized to each.
        antithetic: Whether to draw the noise in pairs of opposite sign, which needs fewer copies for the same variance.
        chunk: Number of noise copies evaluated at once; ``auto`` = as many as are fast, halved when memory runs out.
        seed: Seed of the noise; all images of a run share it.

    Extras of the explanation, per image: ``bits`` (all positions), ``cross_entropy_start`` and ``cross_entropy`` in
    nats (noised, at the first and the last pass).
    """

    card = Card(
        "Hong, Kim, Jeon and Lee, 2025 (arXiv 2507.04388)",
        "(steps - 1) x copies forwards and backwards above the first layer (90)",
        ("gradients", "layer", "statistics"),
    )

    def __init__(
        self,
        layers: list[str] | None = None,
        statistics: str | None = None,
        steps: int = 10,
        copies: int = 10,
        beta: float = 1.0,
        lr: float = 1.0,
        alpha_init: float = 5.0,
        min_std: float = 0.01,
        information: Information = "first",
        grids: Grids = "same",
        antithetic: bool = False,
        chunk: Chunk = "auto",
        seed: int = 0,
        start: Start = "open",
    ) -> None:
        super().__init__(statistics, min_std, chunk, seed)
        check_count(2, steps=steps)
        check_count(copies=copies)
        check_not_negative(beta=beta)
        check_positive(lr=lr)
        if isinstance(layers, str):
            raise InputError(f"layers is the string {layers!r}: give a list, [{layers!r}]")
        self.layers = layers
        self.steps = steps
        self.copies = copies
        self.beta = beta
        self.lr = lr
        self.alpha_init = alpha_init
        self.information: Information = check_choice(information, Information, "information")
        self.grids: Grids = check_choice(grids, Grids, "grids")
        self.antithetic = antithetic
        self.start: Start = check_choice(start, Start, "start")

    def statistics_layers(self, model: Network) -> list[str]:
        """The bottleneck layers, or the candidates of the leak test.

        Raises:
            InputError: The layers lie on different grids, or one of them on none.
        """
        if self.layers:
            self._check_grids([model.grid(layer) for layer in self.layers])
        return self.layers or model.candidate_layers()

    def chosen_layers(self, statistics: ActivationStatistics) -> list[str]:
        """The given layers, else those that the leak test has chosen, else all that the statistics have.

        Raises:
            InputError: The statistics lack one of them.
        """
        layers = self.layers or (list(statistics.leak.layers) if statistics.leak else statistics.layers)
        statistics.require(layers)
        return layers

    def _explain(self, model: Network, images: Tensor, targets: Resolved) -> Explanation:
        statistics = self._slot.of(model)
        split = model.split(self.chosen_layers(statistics))
        self._check_grids(split.grids)
        prior = self._prior(statistics, split.layers, self.copies, self.antithetic)
        all_layers = self.information == "mean"
        state = split.lower(images)
        bottleneck = PositionBottleneck(split, state, targets, prior, self.beta, all_layers)
        alpha = bottleneck.start(self.alpha_init)
        if self.start == "gradient":
            alpha = gradient_start(split, state, targets, prior, images, self._evaluator)
        adam = PerImageAdam(self.steps - 1, self.lr, self.copies, self._evaluator)
        with split.cast_weights():
            fitted = adam.fit(alpha, images, bottleneck)
        bits = bottleneck.bits(fitted.alpha)
        grid = split.grids[0]
        return Explanation(grid.to_map(bits), {"bits": bits.sum(-1), **fitted.extras()}, grid.places)

    def _leak_test(self, model: Network, statistics: ActivationStatistics, images: Iterable[Tensor]) -> LeakTest:
        """Test the given layers; else the model's default, then the same with an earlier and earlier start."""
        if self.layers:
            choices = [self.layers]
        else:
            candidates = model.candidate_layers()
            default = candidates.index(model.default_layers()[0])
            choices = [candidates[start:] for start in range(default, -1, -1)]
        return choose_layers(model, statistics, images, choices, self.min_std, self.seed)

    def _check_grids(self, grids: list[Grid]) -> None:
        """Refuse layers that cannot share a ratio per position.

        Raises:
            InputError: The grids differ in a way that `grids` does not allow.
        """
        sizes = {(g.num_prefix_tokens, g.height, g.width) for g in grids}
        if len(sizes) == 1:
            return
        listed = ", ".join(
            f"{g.layer} {g.height}x{g.width}"
            + (f" with {g.num_prefix_tokens} prefix tokens" if g.num_prefix_tokens else "")
            for g in grids
        )
        if self.grids == "same":
            raise InputError(
                f"the bottleneck layers have different grids ({listed}): choose layers of one grid, or set grids=resize"
            )
        if len({g.num_prefix_tokens for g in grids}) > 1:
            raise InputError(
                f"grids=resize cannot share a ratio between layers with different prefix tokens ({listed}): choose"
                " layers with the same ones"
            )
