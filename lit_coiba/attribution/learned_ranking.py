"""Learned ranking: a trained network says at once in which order cells should be removed.

Learn to Rank, 2026 (arXiv 2604.05819). The features of the explained model, and a map for each class, are ours.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lit_coiba.bottlenecks.readout.method import ReadoutMethod
from lit_coiba.bottlenecks.readout.position_readout import PositionReadout
from lit_coiba.bottlenecks.readout.site import PositionSite
from lit_coiba.bottlenecks.readout.trained_readout import ReadoutHeader
from lit_coiba.bottlenecks.statistics import ActivationStatistics
from lit_coiba.core.errors import check_count, check_positive
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import Card, Start
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved
from lit_coiba.losses.soft_ranking import SoftRanking, ranking_loss


class LearnedRanking(ReadoutMethod[PositionSite]):
    """A map whose order of cells was trained to be that of insertion and deletion, in one forward and one backward.

    `RankingReadout` trains it once for a model, on images without labels; the file that the fit leaves is for that
    model and its preprocessing, and for no other. Values have no unit and no zero: only their order counts. It was
    trained on the area between removal curves, so that a good SRG is no evidence for it; judge it by where it points
    and by metrics that it never saw.

    Args:
        readout: File of the readout, which its fit has left.
        refine: Number of gradient steps on each map, by the same loss; each costs 32 forwards and backwards.
        lr: Step size of Adam for these steps, in standard deviations of each map.
        seed: Seed of the grids and of the noise of these steps.

    Raises:
        InputError: The readout is of another model, preprocessing or kind; or the target is no function of logits.
    """

    card = Card(
        "Learn to Rank, 2026 (arXiv 2604.05819)",
        "1 forward, 1 backward above the first layer; refine x 32 more of both (0)",
        ("gradients", "layer", "statistics"),
    )

    kind = "ranking"

    def __init__(self, readout: str, refine: int = 0, lr: float = 0.1, seed: int = 0) -> None:
        super().__init__(readout)
        if refine:
            check_count(refine=refine)
        check_positive(lr=lr)
        self.refine = refine
        self.lr = lr
        self.seed = seed

    def _site(self, model: Network, about: ReadoutHeader, statistics: ActivationStatistics) -> PositionSite:
        return PositionSite(model, about, statistics)

    def _network(self, site: PositionSite) -> PositionReadout:
        return site.network(bound=False)

    def _explain_started(self, model: Network, images: Tensor, targets: Resolved, started: Start) -> Explanation:
        site, network = self._slot.of(model)
        reading = site.reader.read(started.state, targets)
        grid = site.reader.first
        with torch.no_grad():
            maps = grid.to_map(network(reading.features, reading.directions))
        return Explanation(self._refined(model, images, targets, maps), {}, grid.places)

    def _refined(self, model: Network, images: Tensor, targets: Resolved, maps: Tensor) -> Tensor:
        """The maps after `refine` steps of a private Adam."""
        if not self.refine:
            return maps
        scale = maps.flatten(1).std(1).clamp_min(torch.finfo(maps.dtype).tiny).reshape(-1, 1, 1)
        free = maps / scale
        optimizer = torch.optim.Adam([free], lr=self.lr)
        for step in range(self.refine):
            leaf = free.detach().clone().requires_grad_(True)
            loss = ranking_loss(SoftRanking(seed=self.seed, step=step), model, leaf * scale, images, targets)
            (free.grad,) = torch.autograd.grad(loss.sum(), leaf)
            optimizer.step()
        return free * scale
