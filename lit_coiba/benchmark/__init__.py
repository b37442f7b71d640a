"""Which explanation to believe: scores of several methods on the same samples, in one table."""

from lit_coiba.benchmark.alignment_ceiling import AlignmentCeiling, alignment_ceiling
from lit_coiba.benchmark.keys import common_keys, finest_grid, names_of
from lit_coiba.benchmark.leaderboard import Leaderboard
from lit_coiba.benchmark.references import no_explanations, reference_row, references
from lit_coiba.benchmark.sources import DatasetRegions, MethodSource, RegionSource, StatisticsImages, StoreSource

__all__ = [
    "AlignmentCeiling",
    "DatasetRegions",
    "Leaderboard",
    "MethodSource",
    "RegionSource",
    "StatisticsImages",
    "StoreSource",
    "alignment_ceiling",
    "common_keys",
    "finest_grid",
    "names_of",
    "no_explanations",
    "reference_row",
    "references",
]
