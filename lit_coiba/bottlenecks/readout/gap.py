"""How far predicted ratios are from the best ones: the amortization gap, on a few fixed images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lit_coiba.bottlenecks.readout.noised import SampleNoise
from lit_coiba.bottlenecks.readout.position_readout import BOUND, START
from lit_coiba.bottlenecks.readout.reading import Reading
from lit_coiba.bottlenecks.readout.site import PositionSite
from lit_coiba.core.network import State
from lit_coiba.core.targets import Resolved

STEPS, LR = 100, 0.3  # of the fit of each image's own ratios
DRAWS = 4  # of noise, by which both losses are measured
_SEED = 7919  # of that noise: nothing was fitted to it


class OptimalLoss:
    """Losses of ratios that were fitted to each of the first images that come along, kept.

    Args:
        count: Number of images at most.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._known: dict[str, Tensor] = {}  # name of a sample -> its loss, scalar

    def gap(
        self, site: PositionSite, state: State, targets: Resolved, reading: Reading, alpha: Tensor, keys: Sequence[str]
    ) -> Tensor | None:
        """Mean over the images of this batch that are kept of their loss at `alpha` less that of fitted ratios.

        Args:
            site: Where in the model.
            state: State of the images below the first bottleneck layer.
            targets: A row for each image.
            reading: What is known of the images.
            alpha: Predicted logits of the ratios ``(B, positions)``.
            keys: Names of the samples.

        Returns:
            None where none of them is kept.
        """
        rows = [i for i, key in enumerate(keys) if key in self._known]
        room = self.count - len(self._known)
        rows = rows or list(range(min(room, len(keys))))
        if not rows:
            return None
        some = slice(rows[0], rows[-1] + 1)  # the first images of the first batch
        state, targets, names = state.rows(some), targets.take(some).recounted(), list(keys[some])
        squared = reading.squared[some]
        if names[0] not in self._known:
            fitted = fit_ratios(site, state, targets, squared, names)
            self._known |= dict(zip(names, measured(site, state, targets, squared, fitted, names)))
        best = torch.stack([self._known[name] for name in names])
        return (measured(site, state, targets, squared, alpha[some], names) - best).mean()


def fit_ratios(
    site: PositionSite,
    state: State,
    targets: Resolved,
    squared: Tensor,
    keys: Sequence[str],
    steps: int = STEPS,
    lr: float = LR,
) -> Tensor:
    """Logits ``(B, positions)`` fitted to each image on its own, by the loss that a readout is trained with."""
    free = torch.full_like(squared, START).requires_grad_(True)
    optimizer = torch.optim.Adam([free], lr=lr)
    for step in range(steps):
        noise = SampleNoise(site.prior, site.about.seed, step, keys)
        loss = site.loss(state, targets, squared, BOUND * torch.tanh(free / BOUND), noise).sum()
        (free.grad,) = torch.autograd.grad(loss, free)
        optimizer.step()
    return BOUND * torch.tanh(free.detach() / BOUND)


@torch.no_grad()
def measured(
    site: PositionSite, state: State, targets: Resolved, squared: Tensor, alpha: Tensor, keys: Sequence[str]
) -> Tensor:
    """Loss of each image at `alpha`, ``(B,)``, mean over draws of noise that nothing was fitted to."""
    draws = [
        site.loss(state, targets, squared, alpha, SampleNoise(site.prior, _SEED, draw, keys)) for draw in range(DRAWS)
    ]
    return torch.stack(draws).mean(0)
