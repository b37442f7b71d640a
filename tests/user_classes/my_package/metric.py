"""How much of a map's energy is in its largest value."""

from lit_coiba.metrics import EnergyPointing


class MyMetric(EnergyPointing):
    """Share of the largest value.

    Args:
        offset: Added to each score.
        keep_samples: Also keep every score.
    """

    higher_is_better = True

    def __init__(self, offset: float = 0.0, keep_samples: bool = False) -> None:
        super().__init__(keep_samples)
        self.offset = offset

    def measure(self, maps, regions):
        flat = maps.abs().flatten(1)
        return flat.amax(1) / flat.sum(1) + self.offset
