"""Readout IBA: the damping ratios of IBA read out of the model's features by a trained network, in one forward.

Schulz, Sixt, Tombari and Landgraf, "Restricting the Flow: Information Bottlenecks for Attribution", 2020 (arXiv
2001.00396).
"""

from __future__ import annotations

import torch
from torch import Tensor

from lit_coiba.bottlenecks.readout.method import ReadoutMethod
from lit_coiba.bottlenecks.readout.trained_readout import ReadoutHeader
from lit_coiba.bottlenecks.readout.unit_readout import UnitReadout
from lit_coiba.bottlenecks.readout.unit_site import UnitSite
from lit_coiba.bottlenecks.statistics import ActivationStatistics
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import Card, Start
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved


class ReadoutIBA(ReadoutMethod[UnitSite]):
    """IBA in one forward: the bits that a trained readout lets pass at each place of a layer, for the predicted class.

    `IBAReadout` trains the readout once for a model, on images without labels; the file that the fit leaves is for that
    model and its preprocessing, and for no other. The map is IBA's, in the same unit. The readout knows the logits but
    not which class is asked for, as in the paper: a map is that of the predicted class whatever the targets say.

    Args:
        readout: File of the readout, which its fit has left.

    Extras of the explanation, per image: ``bits`` (all units).

    Raises:
        InputError: The readout is of another model, preprocessing or kind.
    """

    card = Card(
        "Schulz, Sixt, Tombari and Landgraf, 2020 (arXiv 2001.00396)",
        "1 forward",
        ("layer", "statistics"),
        class_dependent=False,
    )

    kind = "iba"

    def _site(self, model: Network, about: ReadoutHeader, statistics: ActivationStatistics) -> UnitSite:
        return UnitSite(model, about, statistics)

    def _network(self, site: UnitSite) -> UnitReadout:
        return site.network()

    def _explain_started(self, model: Network, images: Tensor, targets: Resolved, started: Start) -> Explanation:
        (site, network), clean = self._slot.of(model), started.state
        with torch.no_grad():
            alpha = site.ratios(network(site.features(clean)))
            maps, bits = site.map(clean, targets, alpha), site.bits(clean, targets, alpha).sum(-1)
        return Explanation(maps, {"bits": bits}, site.grid.places)
