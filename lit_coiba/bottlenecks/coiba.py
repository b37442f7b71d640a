"""CoIBA: one damping ratio per position, shared by several layers at once, fitted for one image and one class.

Hong, Kim, Jeon and Lee, "Comprehensive Information Bottleneck for Unveiling Universal Attribution to Interpret Vision
Transformers", 2025 (arXiv 2507.04388).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor

from lit_coiba.bottlenecks.fitting import cross_entropy_of_copies, fit, unchanged
from lit_coiba.bottlenecks.leak import choose_layers
from lit_coiba.bottlenecks.method import BottleneckMethod
from lit_coiba.bottlenecks.prior import NoisePrior, PriorSettings, PriorSlot
from lit_coiba.bottlenecks.statistics import ActivationStatistics, StatisticsSlot
from lit_coiba.core.batched_evaluator import BatchedEvaluator, Chunk
from lit_coiba.core.errors import InputError, check_count
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.frozen import frozen
from lit_coiba.core.grid import Grid
from lit_coiba.core.images import check_images, class_targets
from lit_coiba.core.method import Card
from lit_coiba.core.network import Network
from lit_coiba.functional import (
    BITS_PER_NAT,
    information,
    information_gradient,
    information_of_ratio,
    resize_ratio,
)


class CoIBA(BottleneckMethod):
    """Comprehensive information bottleneck attribution, batched over images, exact.

    Noise replaces part of the activations of all targeted layers; the loss of an image is the mean cross-entropy of
    its noise copies plus `beta` times the information that passes the first target. Only the network above the first
    target is run again; the information and its gradient are in closed form; the pass whose result is not used is left
    out. The map is in bits per position of the first target, prefix tokens left out.

    Args:
        layers: Targeted layers. None: the model's default, moved earlier by the leak test of `prepare`.
        statistics: File made by ``lit-coiba statistics``. None: call `prepare`.
        steps: Forward passes of the original procedure; `steps` - 1 updates shape the map.
        copies: Noise copies per image and step.
        beta: Weight of the information; larger concentrates the map, smaller orders the pixels better.
        lr: Learning rate of Adam. Belongs together with `steps` and `alpha_init`.
        alpha_init: First logit of every damping ratio.
        min_std: Floor of the standard deviations.
        information: Count the information of the ``first`` target (the paper), or the ``mean`` over all targets.
        grids: ``same`` refuses targets on different grids; ``resize`` (our extension) resizes one ratio to all of them.
        antithetic: Draw noise in pairs of opposite sign: fewer copies for the same variance.
        chunk: Noise copies at once; ``auto`` = as many as are fast, halved where memory runs out.
        seed: Of the noise; all images of a run share it.

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
        information: Literal["first", "mean"] = "first",
        grids: Literal["same", "resize"] = "same",
        antithetic: bool = False,
        chunk: Chunk = "auto",
        seed: int = 0,
    ) -> None:
        check_count(2, steps=steps)
        check_count(copies=copies)
        if isinstance(layers, str):
            raise InputError(f"layers is the text {layers!r}: give a list, [{layers!r}]")
        if min_std <= 0 or beta < 0 or lr <= 0:
            raise InputError(f"CoIBA needs min_std > 0, beta >= 0 and lr > 0, not {min_std}, {beta} and {lr}")
        if information not in ("first", "mean") or grids not in ("same", "resize"):
            raise InputError(
                f"information is first or mean, grids is same or resize; not {information!r} and {grids!r}"
            )
        self.layers = layers
        self.statistics = statistics
        self.steps = steps
        self.copies = copies
        self.beta = beta
        self.lr = lr
        self.alpha_init = alpha_init
        self.min_std = min_std
        self.information = information
        self.grids = grids
        self.antithetic = antithetic
        self.chunk = chunk
        self.seed = seed
        self._copies = BatchedEvaluator(chunk)
        self._slot = StatisticsSlot(statistics)
        self._priors = PriorSlot()

    def statistics_layers(self, model: Network) -> list[str]:
        """The targets, or the candidates of the leak test.

        Raises:
            InputError: The targets lie on different grids, or one of them on none.
        """
        if self.layers:
            self._check_grids([model.grid(layer) for layer in self.layers])
        return self.layers or model.candidate_layers()

    def set_statistics(
        self, model: Network, statistics: ActivationStatistics, images: Iterable[Tensor]
    ) -> ActivationStatistics:
        """Use `statistics`; if they carry no leak test yet, run it on batches of `images` and add the result."""
        self._slot.fill(model, statistics)
        if statistics.leak is None:
            found = choose_layers(model, statistics, images, self._choices(model), self.min_std, self.seed)
            self._slot.replace(statistics.with_leak(found))
        return self._slot.of(model)

    def explain(self, model: Network, images: Tensor, targets: Tensor | int | None = None) -> Explanation:
        """Explain `images` ``(B, 3, H, W)`` for `targets` ``(B,)``, or one for all; None: the predicted class."""
        check_images(model, images)
        statistics = self._slot.of(model)
        layers = self._targeted(statistics)
        with frozen(model):
            path = model.split(layers)
            self._check_grids(path.grids)
            prior = self._prior(statistics, path.layers)
            state = path.lower(images)
            classes = class_targets(targets, images, model.num_classes, lambda: path.upper(state, unchanged))
            first, squared = path.grids[0], prior.standardise(0, state.activation).square()
            squared = first.over_channels(squared).detach()
            alpha, entropies, count_all = torch.full_like(squared, self.alpha_init), [], self.information == "mean"
            share = self.beta / (len(path.layers) if count_all else 1)

            def gradient(step: int) -> Tensor:
                """Of the loss, summed over images, with respect to alpha."""

                def through_network(some: slice, rows: slice) -> Tensor:
                    """What some copies add to the gradient and to the cross-entropy, ``(r, positions + 1)``."""
                    leaf, count = alpha[rows].clone().requires_grad_(True), some.stop - some.start
                    bottleneck = _Bottleneck(leaf, path.grids, prior, step, some, count_all)
                    logits = path.upper(state.rows(rows).repeat(count), bottleneck)
                    entropy = cross_entropy_of_copies(logits, classes[rows], count)
                    loss = (count / self.copies) * (entropy + share * bottleneck.later_information())
                    (slope,) = torch.autograd.grad(loss.sum(), leaf)
                    return torch.cat([slope, (count / self.copies) * entropy.detach().unsqueeze(1).to(slope)], 1)

                found = self._copies.accumulate(images, self.copies, through_network)
                entropies.append(found[:, -1])
                return found[:, :-1] + share / first.positions * information_gradient(alpha, squared)

            fit(alpha, gradient, self.steps, self.lr)
            bits = first.channels * BITS_PER_NAT * information(alpha, squared)
        extras = {"bits": bits.sum(-1), "cross_entropy_start": entropies[0], "cross_entropy": entropies[-1]}
        return Explanation(first.to_map(bits), extras)

    def _choices(self, model: Network) -> list[list[str]]:
        """The given targets; or the model's default, then the same with an earlier and earlier start."""
        if self.layers:
            return [self.layers]
        candidates = model.candidate_layers()
        return [candidates[start:] for start in range(candidates.index(model.default_layers()[0]), -1, -1)]

    def _targeted(self, statistics: ActivationStatistics) -> list[str]:
        layers = self.layers or (list(statistics.leak.layers) if statistics.leak else statistics.layers)
        statistics.require(layers)
        return layers

    def _check_grids(self, grids: list[Grid]) -> None:
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
                f"the targeted layers lie on different grids ({listed}): choose layers of one grid, or set grids=resize"
            )
        if len({g.num_prefix_tokens for g in grids}) > 1:
            raise InputError(
                f"grids=resize cannot share a ratio between layers with different prefix tokens ({listed})"
            )

    def _prior(self, statistics: ActivationStatistics, layers: list[str]) -> NoisePrior:
        return self._priors.of(
            PriorSettings(statistics, tuple(layers), self.copies, self.min_std, self.antithetic, self.seed)
        )


class _Bottleneck:
    """The edit of one step, for some copies: targets mixed with noise by the one ratio that all of them share."""

    def __init__(
        self, alpha: Tensor, grids: list[Grid], prior: NoisePrior, step: int, some: slice, count_all: bool
    ) -> None:
        self.alpha = alpha
        self.grids = grids
        self.prior = prior
        self.step = step
        self.some = some  # of the copies
        self.count_all = count_all
        self.ratio = torch.sigmoid(alpha)
        self.later: list[Tensor] = []  # per later target (B,): nats, mean over copies, positions and channels

    def __call__(self, index: int, activation: Tensor) -> Tensor:
        noised = self.prior.draw(self.step, index, activation)[self.some]
        copies = activation.unflatten(0, (len(noised), -1)).to(noised.dtype)
        ratio = self._on_grid(self.ratio, self.grids[index])
        if self.count_all and index > 0:
            self.later.append(self._information(index, activation, ratio))
        mixed = torch.lerp(noised.unsqueeze(1), copies, self.grids[index].spread(ratio))
        return mixed.flatten(0, 1).to(activation.dtype)

    def later_information(self) -> Tensor:
        """Information of all targets but the first, summed over targets, ``(B,)``; zeros where it does not count."""
        return torch.stack(self.later).sum(0) if self.later else self.alpha.new_zeros(len(self.alpha))

    def _information(self, index: int, activation: Tensor, ratio: Tensor) -> Tensor:
        grid = self.grids[index]
        squared = grid.over_channels(self.prior.standardise(index, activation).square())
        squared = squared.unflatten(0, (-1, len(self.alpha)))
        noise = self._on_grid(torch.sigmoid(-self.alpha), grid)
        exact = (grid.height, grid.width) == (self.grids[0].height, self.grids[0].width)
        nats = information(self.alpha, squared) if exact else information_of_ratio(ratio, noise, squared)
        return nats.mean((0, -1))

    def _on_grid(self, ratio: Tensor, grid: Grid) -> Tensor:
        first = self.grids[0]
        if (grid.height, grid.width) == (first.height, first.width):
            return ratio
        places = resize_ratio(first.to_map(ratio), (grid.height, grid.width)).flatten(1)
        return torch.cat([ratio[:, : first.num_prefix_tokens], places], 1)
