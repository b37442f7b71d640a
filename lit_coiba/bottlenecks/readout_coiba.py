"""Readout CoIBA: the damping ratios of CoIBA read out of the model's features by a small trained network.

Ours: the objective of CoIBA (Hong, Kim, Jeon and Lee, 2025, arXiv 2507.04388), amortized as Readout IBA amortizes that
of IBA (Schulz et al., 2020, arXiv 2001.00396).
"""

from __future__ import annotations

import torch
from torch import Tensor

from lit_coiba.bottlenecks.fitting import PerImageAdam
from lit_coiba.bottlenecks.position_bottleneck import PositionBottleneck
from lit_coiba.bottlenecks.prior import NoisePrior
from lit_coiba.bottlenecks.readout.method import ReadoutMethod
from lit_coiba.bottlenecks.readout.position_readout import PositionReadout
from lit_coiba.bottlenecks.readout.reading import CleanForward
from lit_coiba.bottlenecks.readout.site import PositionSite
from lit_coiba.bottlenecks.readout.trained_readout import ReadoutHeader
from lit_coiba.bottlenecks.statistics import ActivationStatistics
from lit_coiba.core.batched_evaluator import BatchedEvaluator, Chunk
from lit_coiba.core.errors import check_count, check_positive
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import Card, Start
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved

CLOSED = -20.0  # logit of a ratio that passes nothing


class ReadoutCoIBA(ReadoutMethod[PositionSite]):
    """CoIBA in one forward, and one backward where its readout reads the gradient: maps in bits per position.

    `CoIBAReadout` trains the readout once for a model, on images without labels; the file that the fit leaves is for
    that model and its preprocessing, and for no other. The map is CoIBA's, in the same unit; it is smoother, and says
    what a ratio that was predicted would pass, not what one that was fitted does. `refine` takes that many steps of
    CoIBA from there, which brings most of the rest.

    Trust it as far as the fit's gap to CoIBA on held-out images. For a class that is not in the image there is nothing
    to keep open, and the map looks like any other: `verify` tells what the class is worth behind it, and the extra
    ``not_found`` where that is no more than behind pure noise.

    Args:
        readout: File of the readout, which its fit has left.
        refine: Number of steps of CoIBA from the prediction; each costs `copies` forwards and backwards.
        lr: Learning rate of these steps.
        copies: Number of noise copies per image and step.
        antithetic: Whether the noise of these steps is drawn in pairs of opposite sign.
        verify: Whether two noised forwards look what the target is worth: extras ``cross_entropy`` and
            ``cross_entropy_closed`` in nats (noised by the ratios, and with pure noise), and ``not_found``, 1 where the
            first is not below the second.
        chunk: Number of noise copies evaluated at once; ``auto`` = as many as are fast, halved when memory runs out.
        seed: Seed of the noise of these steps, which all images share.

    Extras of the explanation, per image: ``bits`` (all positions); with `refine` also ``cross_entropy_start`` and
    ``cross_entropy`` in nats, at the first and the last step.

    Raises:
        InputError: The readout is of another model, preprocessing or kind; or the target is no function of logits.
    """

    card = Card(
        "lit-coiba, after Hong, Kim, Jeon and Lee, 2025 (arXiv 2507.04388)",
        "1 forward, 1 backward above the first layer; refine x copies more of both (0)",
        ("gradients", "layer", "statistics"),
    )

    kind = "coiba"

    def __init__(
        self,
        readout: str,
        refine: int = 0,
        lr: float = 0.5,
        copies: int = 4,
        antithetic: bool = True,
        verify: bool = False,
        chunk: Chunk = "auto",
        seed: int = 0,
    ) -> None:
        super().__init__(readout)
        if refine:
            check_count(refine=refine)
        check_count(copies=copies)
        check_positive(lr=lr)
        self.refine = refine
        self.lr = lr
        self.copies = copies
        self.antithetic = antithetic
        self.verify = verify
        self.chunk = chunk
        self.seed = seed
        self._evaluator = BatchedEvaluator(chunk)

    def _site(self, model: Network, about: ReadoutHeader, statistics: ActivationStatistics) -> PositionSite:
        return PositionSite(model, about, statistics)

    def _network(self, site: PositionSite) -> PositionReadout:
        return site.network()

    def _explain_started(self, model: Network, images: Tensor, targets: Resolved, started: Start) -> Explanation:
        (site, network), clean = self._slot.of(model), started.state
        reading = site.reader.read(clean, targets)
        with torch.no_grad():
            alpha = network(reading.features, reading.directions)
        alpha, extras = self._refined(site, images, clean, targets, alpha)
        bits = site.bits(alpha, reading)
        grid = site.reader.first
        return Explanation(grid.to_map(bits), {"bits": bits.sum(-1), **extras}, grid.places)

    def _refined(
        self, site: PositionSite, images: Tensor, clean: CleanForward, targets: Resolved, alpha: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The ratios after `refine` steps, and what is known of how the target survives."""
        if not (self.refine or self.verify):
            return alpha, {}
        settings = site.prior.settings._replace(copies=self.copies, antithetic=self.antithetic, seed=self.seed)
        bottleneck = PositionBottleneck(site.split, clean.state, targets, NoisePrior(settings), site.about.beta)
        extras: dict[str, Tensor] = {}
        if self.refine:
            adam = PerImageAdam(self.refine, self.lr, self.copies, self._evaluator)
            with site.split.cast_weights():
                fitted = adam.fit(alpha.clone(), images, bottleneck)
            alpha, extras = fitted.alpha, fitted.extras()
        if self.verify:
            found = [self._fidelity(bottleneck, images, one) for one in (alpha, torch.full_like(alpha, CLOSED))]
            extras |= {"cross_entropy": found[0], "cross_entropy_closed": found[1]}
            extras["not_found"] = (found[0] >= found[1]).float()
        return alpha, extras

    def _fidelity(self, bottleneck: PositionBottleneck, images: Tensor, alpha: Tensor) -> Tensor:
        """Fidelity loss, mean over the noise copies of a step of its own, ``(B,)`` in nats."""

        def measured(copies: slice, rows: slice) -> Tensor:
            share = (copies.stop - copies.start) / self.copies
            with torch.no_grad():
                return share * bottleneck.loss(alpha[rows], self.refine, copies, rows).fidelity

        return self._evaluator.accumulate(images, self.copies, measured)
