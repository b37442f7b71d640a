"""What methods with a trained readout share: its file, the identity that it gives, and their one clean forward."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Generic, TypeVar

from torch import Tensor, nn

from lit_coiba.bottlenecks.readout.reading import Reader
from lit_coiba.bottlenecks.readout.site import PositionSite
from lit_coiba.bottlenecks.readout.slot import ReadoutSlot
from lit_coiba.bottlenecks.readout.trained_readout import Kind, ReadoutHeader, TrainedReadout
from lit_coiba.bottlenecks.readout.unit_site import UnitSite
from lit_coiba.bottlenecks.statistics import ActivationStatistics
from lit_coiba.core.method import AttributionMethod, Start, from_start
from lit_coiba.core.network import Network

Site = TypeVar("Site", PositionSite, UnitSite)


class ReadoutMethod(AttributionMethod, Generic[Site]):
    """A method whose map is read out of the model's features by a small trained network.

    A concrete method says how its site and its network are built, and explains with `_explain_started`, whose start is
    a `CleanForward`.

    Args:
        readout: File of the readout, which its fit has left.
    """

    kind: ClassVar[Kind]

    def __init__(self, readout: str) -> None:
        self.readout = readout
        self._slot: ReadoutSlot[tuple[Site, nn.Module]] = ReadoutSlot(readout, self.kind, self._built)

    @abstractmethod
    def _site(self, model: Network, about: ReadoutHeader, statistics: ActivationStatistics) -> Site:
        """Where in the model the readout works."""

    @abstractmethod
    def _network(self, site: Site) -> nn.Module:
        """An untrained network that fits there."""

    def identity(self) -> dict[str, Any]:
        """The arguments, and the digest of the readout for its path."""
        return {**super().identity(), "readout": self._slot.readout.digest()}

    _explain = from_start

    def _start(self, model: Network, images: Tensor) -> Start:
        reader: Reader = self._slot.of(model)[0].reader
        clean = reader.forward(images)
        return Start(clean.out, clean)

    def _built(self, model: Network, readout: TrainedReadout) -> tuple[Site, nn.Module]:
        site = self._site(model, readout.about, readout.statistics)
        return site, readout.into(self._network(site)).to(next(model.parameters()))
