"""What the evaluation of prototypes says: numbers with their meaning, and the settings that they depend on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from lit_coiba.functional.part_purity import PartPurity
from lit_coiba.metrics.prototypes.explanation_size import Sizes


class Compared(NamedTuple):
    """One measure of the units of a head, and of the features that they are made of."""

    units: float
    features: float  # before the rotation


class Histograms(NamedTuple):
    """`ActivationSparsity` of the units, and of the features that they are made of; counts ``(bins,)`` int64."""

    units: Tensor
    features: Tensor


@dataclass(frozen=True)
class PrototypeScores:
    """Measures of prototypes that need no human; what could not be measured is None.

    Consistency, stability and purities are shares in [0, 1]; the papers print percentages.
    """

    images: int  # that were evaluated
    annotated: int  # of these, with parts and a label
    failures: int  # images that could not be read
    units: int
    part_purity: PartPurity | None  # of the prototypes' training patches
    part_names: tuple[str, ...]  # that `part_purity.part` counts
    consistency: float | None
    stability: float | None
    channel_purity: Compared | None  # None: units are no channels
    rv: Compared | None
    constant_channels: int | None  # left out of `rv.units`
    sizes: Sizes
    sparsity: Compared  # mean share of positions
    histograms: Histograms
    settings: dict[str, Any]  # plain values

    def rows(self) -> list[tuple[str, str, str]]:
        """Measure, value, and what it says, for a table."""
        rows = []
        if self.part_purity is not None:
            told = self.part_purity.summary()
            spread = f"{told['mean']:.3f} ± {told['std']:.3f}"
            rows.append(
                (
                    "part purity",
                    spread,
                    f"{told['prototypes']:.0f} prototypes; share of patches with the part, where it is visible",
                )
            )
            frequent = f"{told['frequent_mean']:.3f} ± {told['frequent_std']:.3f}"
            rows.append(("part purity, most frequent part", frequent, "of the part in most of a prototype's patches"))
            rows.append(("prototypes of a part", f"{told['part_related']:.0f}", "purity above 0.5"))
        top = f"{self.annotated} images, up to {self.settings['top']} units for each class"
        rows.append(("consistency", _number(self.consistency), f"prototypes on the same part; {top}"))
        rows.append(("stability", _number(self.stability), "images whose parts stay under noise; same prototypes"))
        rows.append(("channel purity", _pair(self.channel_purity), "units (features as they come); 1 = each alone"))
        rows.append(("RV between channels", _pair(self.rv), "units (features); 0 = they say different things"))
        rows.append(("active positions", _pair(self.sparsity), "units (features); above 10% of the channel's maximum"))
        share = f"above {self.settings['size_threshold']} of the largest"
        rows.append(("units in use", str(self.sizes.everywhere), f"of {self.units}, by any class; weight {share}"))
        rows.append(("units of a class", f"{self.sizes.per_class:.1f}", f"mean; weight {share}"))
        rows.append(("units of an image", f"{self.sizes.per_image:.1f}", f"mean; contribution {share}"))
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; NaN becomes None."""
        purity = None
        if self.part_purity is not None:
            names = [self.part_names[part] for part in self.part_purity.part.tolist()]
            each = zip(self.part_purity.units.tolist(), self.part_purity.purity.tolist(), names)
            listed = [{"prototype": unit, "purity": value, "part": part} for unit, value, part in each]
            purity = {**self.part_purity.summary(), "each": listed}
        plain = {
            "images": self.images,
            "annotated": self.annotated,
            "failures": self.failures,
            "units": self.units,
            "part_purity": purity,
            "consistency": self.consistency,
            "stability": self.stability,
            "channel_purity": self.channel_purity and self.channel_purity._asdict(),
            "rv": self.rv and self.rv._asdict(),
            "constant_channels": self.constant_channels,
            "explanation_size": self.sizes._asdict(),
            "sparsity": self.sparsity._asdict(),
            "sparsity_histogram": {name: counts.tolist() for name, counts in self.histograms._asdict().items()},
            "settings": self.settings,
        }
        return {name: _plain(value) for name, value in plain.items()}

    def __str__(self) -> str:
        head = ("measure", "value", "")
        lines = [head, ("---", "---", "---"), *self.rows()]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def _pair(found: Compared | None) -> str:
    return "-" if found is None else f"{_number(found.units)} ({_number(found.features)})"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
