"""What a run is about and what it costs, in a sentence that is told before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lit_coiba.core.method import AttributionMethod
from lit_coiba.core.printable import counted, listed, printable
from lit_coiba.metrics.batch import taken_baselines
from lit_coiba.modules.explainer import Explainer
from lit_coiba.modules.part_evaluator import PartEvaluator
from lit_coiba.modules.scorer import Scorer

if TYPE_CHECKING:
    from lit_coiba.trainer.block_run import BlockRun


def explaining(run: BlockRun[Explainer], blocks: Sequence[int]) -> str:
    """The plan of `explain`."""
    card, name = run.model.method.card, type(run.model.method).__name__
    ranks = getattr(run.model.target, "ranks", None) or 1
    maps = f"{ranks} maps an image" if ranks > 1 else "a map an image"
    cost = "" if card.cost == AttributionMethod.card.cost else f"; cost of a map by default: {card.cost}"
    return f"explaining {_images(run, blocks)} with {name}, {maps}{cost}; {_device(run)}"


def estimating(run: BlockRun[Explainer], blocks: Sequence[int]) -> str:
    """The plan of `statistics`."""
    return f"estimating activation statistics from {_images(run, blocks)}, 1 forward each; {_device(run)}"


def evaluating_parts(run: BlockRun[PartEvaluator], blocks: Sequence[int]) -> str:
    """The plan of `parts`."""
    method = run.model.method
    cost = "" if method.card.cost == AttributionMethod.card.cost else f", {method.card.cost} each"
    return (
        f"evaluating {type(method).__name__} on {_images(run, blocks)}: about 36 forwards an image with parts removed, "
        f"and 3 or 4 maps{cost}; {_device(run)}"
    )


def searching(run: BlockRun[Any], blocks: Sequence[int]) -> str:
    """The plan of `prototypes`."""
    return f"searching {_images(run, blocks)} for prototypes, 1 forward each; {_device(run)}"


def scoring(run: BlockRun[Scorer], rows: Sequence[str], explanations: int) -> str:
    """The plan of `benchmark`.

    Args:
        run: The run.
        rows: Names of the rows of the table.
        explanations: Number of explanations of each row.
    """
    metrics = run.model.metrics
    size = run.model.preprocessing.size
    each = sum(metric.forwards(size) for metric in metrics.values() if not metric.serves_all_maps)
    shared = sum(metric.forwards(size) for metric in metrics.values() if metric.serves_all_maps)
    forwards = (each * len(rows) + shared) * explanations
    once = f" and {counted(shared, 'forward')} an image for all rows" if shared else ""
    taken = taken_baselines(metrics, run.model.network)
    chosen = "".join(f"; {printable(n)}: baseline auto = {one.taken}" for n, one in taken.items() if one.automatic)
    told = (
        f"scoring {counted(explanations, 'explanation')} in each of {counted(len(rows), 'row')} ({listed(rows, 6)}) by"
        f" {listed(metrics, 6)}: about {counted(each, 'forward')} a score{once}, {counted(forwards, 'forward')} in all;"
        f" {_device(run)}{chosen}"
    )
    cheaper = "; fewer steps cost less, as in -c configs/benchmark/cells.yaml" if each > _MANY else ""
    return told + cheaper


_MANY = 100  # forwards a score


def _images(run: BlockRun[Any], blocks: Sequence[int]) -> str:
    size = run.datamodule.block_size
    images = sum(min(size, len(run.images) - block * size) for block in blocks)
    return counted(images, "image")


def _device(run: BlockRun[Any]) -> str:
    """Where it runs: the processes and the kind of device; and how many images at once, where that was chosen."""
    kind = run.trainer.strategy.root_device.type.upper()
    return f"on {counted(run.trainer.world_size, f'{kind} process', f'{kind} processes')}{run.told_size}"
