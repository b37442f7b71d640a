"""What probing a model has found, kept for as long as the model runs the same chain of modules."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from lit_coiba.backbones.chains import Link, chain
from lit_coiba.backbones.grids import ambiguous, grids
from lit_coiba.backbones.probe import Probe, probe
from lit_coiba.core.errors import InputError
from lit_coiba.core.grid import Grid


class Probes:
    """Probes of one model, by the size of its images and its chain: someone may hook a sequence, which splits it."""

    def __init__(self) -> None:
        self._seen: dict[Any, Probe] = {}
        self._found: dict[Any, dict[str, Grid]] = {}

    def of(self, model: nn.Module, size: tuple[int, int], links: list[Link] | None = None) -> Probe:
        """The probe of the model as it is now.

        Args:
            model: The model.
            size: Height and width of its images in pixels.
            links: Its chain; None = found here.
        """
        links = links or chain(model)
        key = (size, tuple(link.outputs for link in links))
        if key not in self._seen:
            self._seen[key] = probe(model, links, size)
        return self._seen[key]

    def some(self, model: nn.Module, size: tuple[int, int]) -> Probe:
        """A probe for this size, whatever has been hooked since: the order in memory does not depend on it."""
        return self._known(size) or self.of(model, size)

    def ordered(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """Images in the order in which the model is fastest, if a probe for this size has shown it."""
        seen = self._known(size)
        return images if seen is None else seen.ordered(images)

    def _known(self, size: tuple[int, int]) -> Probe | None:
        return next((seen for (pixels, _), seen in [*self._seen.items()] if pixels == size), None)

    def grids(self, model: nn.Module, size: tuple[int, int]) -> dict[str, Grid]:
        """Layers with a spatial grid, by name, in the order of execution."""
        links = chain(model)
        key = (size, tuple(link.outputs for link in links))
        if key not in self._found:
            first, second = self.of(model, size, links), None
            if any(r.shape is not None and ambiguous(r.shape, size) for r in first.records.values()):
                try:
                    second = probe(model, links, (size[0], 2 * size[1]))
                except InputError:  # built for one size: timm's metadata decides
                    second = None
            self._found[key] = grids(model, first, second)
        return self._found[key]
