"""The metrics themselves under test: is the true map first, a random one last, and what does a constant map score?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from lit_coiba import attribution
from lit_coiba.attribution import RandomMap
from lit_coiba.backbones import Backbone
from lit_coiba.benchmark.leaderboard import Leaderboard
from lit_coiba.benchmark.ranking import places
from lit_coiba.benchmark.saving import written_csv
from lit_coiba.benchmark.sources import DatasetRegions, MethodSource, RegionSource
from lit_coiba.core.printable import csv_cell, markdown_cell
from lit_coiba.files.atomic import atomically
from lit_coiba.files.owned import begins, check_own_file
from lit_coiba.functional import keyed_noise
from lit_coiba.modules.scorer import Keys, Source

ORACLE, RANDOM, CONSTANT = "Oracle", "Random", "Constant"
SHARES = (0.25, 0.5, 0.75)  # of the oracle's cells that are shuffled
CELLS = 8  # along a side of the oracle's grid: that of the coarsest maps that methods make
FILES = {"metric_checks.md": begins("| metric |"), "metric_checks.csv": begins("metric,class,")}


class DegradedSource(Source):
    """Maps of another source in which a share of the cells have changed places among themselves.

    Args:
        source: The source.
        share: Share of the cells.
        seed: Seed of the draws, which depend on nothing else but the id of the sample.
    """

    def __init__(self, source: Source, share: float, seed: int = 0) -> None:
        super().__init__(source.keys)
        self.source = source
        self.share = share
        self.seed = seed
        self.identity = {"class": type(self).__name__, "share": share, "seed": seed, "of": source.identity}

    def maps(self, network: Backbone, images: Tensor, ids: list[str], targets: Tensor) -> Tensor:
        """See `Source.maps`."""
        maps = self.source.maps(network, images, ids, targets)
        flat = maps.flatten(1)
        order = keyed_noise(self.seed, ids, "cells", (flat.shape[1],)).argsort(1)
        moved = order[:, : round(self.share * flat.shape[1])].to(maps.device)  # which cells
        again = keyed_noise(self.seed, ids, "places", (moved.shape[1],)).argsort(1).to(maps.device)
        return flat.scatter(1, moved, flat.gather(1, moved.gather(1, again))).view_as(maps)


class ConstantSource(Source):
    """Maps that say nothing.

    Args:
        keys: What is scored.
    """

    def __init__(self, keys: Keys) -> None:
        super().__init__(keys)
        self.identity = {"class": type(self).__name__}

    def maps(self, network: Backbone, images: Tensor, ids: list[str], targets: Tensor) -> Tensor:
        """See `Source.maps`."""
        return images.new_ones(len(images), CELLS, CELLS)


def calibration_sources(keys: Keys, regions: DatasetRegions, size: tuple[int, int]) -> dict[str, Source]:
    """Rows of the test: the oracle, worse and worse ones, a random and a constant map.

    The oracle is where the data say that the evidence is; where they do not, the model's own drops of single cells,
    which is the truth for additive models only.

    Args:
        keys: What is scored.
        regions: Where the evidence is.
        size: Height and width of the images in pixels.
    """
    oracle: Source = (
        RegionSource(regions, keys, (CELLS, CELLS))
        if regions.known
        else MethodSource(attribution.Occlusion(window=max(1, min(size) // CELLS)), keys)
    )
    worse = {f"{ORACLE}, {share:.0%} shuffled": DegradedSource(oracle, share) for share in SHARES}
    random = MethodSource(RandomMap(grid_size=CELLS), keys)
    return {ORACLE: oracle, **worse, RANDOM: random, CONSTANT: ConstantSource(keys)}


class Verdict(NamedTuple):
    """What became of one metric."""

    oracle: float  # mean score
    random: float
    constant: float  # NaN = undefined, as it should be where a constant map says nothing
    first: bool  # whether no worse map is significantly better than the oracle
    last: bool  # whether no map is significantly worse than the random one, and the oracle is better
    ordered: bool  # whether the means fall from the oracle to the random map

    @property
    def passed(self) -> bool:
        """Whether the metric can be trusted to rank maps here."""
        return self.first and self.last and self.ordered

    @property
    def word(self) -> str:
        """The verdict, in words."""
        failed = [
            name for name, held in (("first", self.first), ("last", self.last), ("ordered", self.ordered)) if not held
        ]
        return "passed" if not failed else f"failed: {', '.join(failed)}"


def verdicts(board: Leaderboard) -> dict[str, Verdict]:
    """metric -> what became of it; metrics that have no better, or no score, are left out."""
    found: dict[str, Verdict] = {}
    rows = [name for name in board.scores if name != CONSTANT]
    for metric in board.metrics:
        more = board.higher.get(metric)
        if more is None:
            continue
        means = {name: board.scores[name][metric].nanmean().item() for name in board.scores}
        ranks = places(board.scores, metric, more, rows)
        if ORACLE not in ranks or RANDOM not in ranks:
            continue
        signed = [means[name] * (1 if more else -1) for name in rows]
        worst = all(place.rank <= ranks[RANDOM].rank for place in ranks.values())
        found[metric] = Verdict(
            means[ORACLE],
            means[RANDOM],
            means.get(CONSTANT, math.nan),
            ranks[ORACLE].leads,
            worst and ranks[ORACLE].rank < ranks[RANDOM].rank,
            all(a >= b for a, b in pairwise(signed)),
        )
    return found


def check_verdicts(folder: Path) -> None:
    """Refuse a folder in which something else has the name of a file of verdicts.

    Raises:
        InputError: It has.
    """
    for name, ours in FILES.items():
        check_own_file(folder / name, "output", ours)


def save_verdicts(found: Mapping[str, Verdict], classes: Mapping[str, str], folder: Path) -> list[Path]:
    """Write the verdicts as Markdown and CSV; the files.

    Args:
        found: metric -> verdict.
        classes: metric -> its class.
        folder: Folder of the files.

    Raises:
        InputError: Something else has their names.
    """
    check_verdicts(folder)
    head = ("metric", "class", "verdict", "oracle", "random", "constant")
    rows = [
        (name, classes.get(name, ""), one.word, *(_number(value) for value in (one.oracle, one.random, one.constant)))
        for name, one in found.items()
    ]
    files = [folder / name for name in FILES]
    lines = ["| " + " | ".join(map(markdown_cell, row)) + " |" for row in (head, *rows)]
    lines.insert(1, "| " + " | ".join(["---"] * len(head)) + " |")
    with atomically(files[0]) as out:
        out.write(("\n".join(lines) + "\n").encode())
    with written_csv(files[1]) as writer:
        for name, kind, *numbers in (head, *rows):
            writer.writerow([csv_cell(name), csv_cell(kind), *numbers])
    return files


def _number(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.3f}"
