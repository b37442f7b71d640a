"""What the demo shows at the end: a table, TensorBoard logs, and all methods side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from torch.utils.tensorboard import SummaryWriter

from lit_coiba.demo.runs import Outcome
from lit_coiba.visualization import Comparison, comparison
from lit_coiba.visualization.card import class_name, percent

EXAMPLES = 2  # of each model on SyntheticParts, in the picture of all methods


def write(console: Console, outcomes: Sequence[Outcome], folder: Path) -> None:
    """Write the logs and the picture, print the table and where to look.

    Args:
        console: Where to print.
        outcomes: What was found, those of a model one after the other.
        folder: Where the logs and the picture go.
    """
    log(outcomes, folder / "tensorboard")
    picture = side_by_side(outcomes, folder / "demo.png")
    console.print()
    console.print(table(outcomes))
    console.print(
        "Energy: share of a map on the parts, which alone decide the class. Chance: their share of the area.",
        highlight=False,
    )
    for line in predictions(outcomes):
        console.print(line, highlight=False)
    console.print("\n[bold]Where to look[/bold]")
    for what in (
        f"{picture}  all methods side by side",
        *(f"{outcome.sheet}  {outcome.model}, {outcome.method}" for outcome in outcomes),
        f"tensorboard --logdir {folder / 'tensorboard'}",
    ):
        console.print(f"  {escape(what)}", soft_wrap=True, highlight=False)


def table(outcomes: Sequence[Outcome]) -> Table:
    """A line per model and method; 80 characters are enough for it."""
    lines = Table(title="SyntheticParts: do the maps lie on the parts?")
    for heading in ("model", "method"):
        lines.add_column(heading, no_wrap=True)
    for heading in ("energy on parts", "95% interval", "chance", "images/s"):
        lines.add_column(heading, justify="right")
    for number, (model, method, *_, rate, energy) in enumerate(outcomes):
        measured = ["-", "-", "-"]
        if energy is not None:
            mean, low, high = energy.interval
            measured = [f"{mean:.3f}", f"{low:.3f}-{high:.3f}", f"{energy.chance:.3f}"]
        last = number + 1 == len(outcomes) or outcomes[number + 1].model != model
        lines.add_row(model, method, *measured, "-" if rate is None else f"{rate:.3g}", end_section=last)
    return lines


def predictions(outcomes: Sequence[Outcome]) -> list[str]:
    """What the classifier sees in the photographs, a line for each."""
    first = next((outcome for outcome in outcomes if outcome.energy is None), None)
    if first is None:
        return []
    classes = first.dataset.classes
    return [
        f"{first.model} on {row.id}: {class_name(row.target, classes)}, {percent(row.probability)}"
        for row in first.store
    ]


def log(outcomes: Sequence[Outcome], folder: Path) -> None:
    """Energies and speeds as scalars, contact sheets as images; in place of the logs of an earlier call."""
    for old in folder.glob("events.out.tfevents.*"):
        old.unlink()
    with SummaryWriter(str(folder)) as writer:
        for model, method, *_, rate, energy in outcomes:
            if energy is not None:
                for name, value in {**energy.interval._asdict(), "chance": energy.chance}.items():
                    writer.add_scalar(f"energy on parts ({name})/{model}/{method}", value, 0)
            if rate is not None:
                writer.add_scalar(f"images per second/{model}/{method}", rate, 0)
        for outcome in outcomes:
            with Image.open(outcome.sheet) as sheet:
                pixels = np.asarray(sheet.convert("RGB"))
            writer.add_image(f"{outcome.model}/{outcome.method}", pixels, 0, dataformats="HWC")


def side_by_side(outcomes: Sequence[Outcome], file: Path) -> Path:
    """Some images of each model, and all photographs, with the maps of all methods."""
    examples = []
    for place, model in enumerate(dict.fromkeys(outcome.model for outcome in outcomes)):
        runs = [outcome for outcome in outcomes if outcome.model == model]
        first = runs[0]
        ids = first.store.ids()
        if first.energy is not None:
            start = place * EXAMPLES if len(ids) >= (place + 1) * EXAMPLES else 0  # each model has others
            ids = ids[start : start + EXAMPLES]
        for sample in ids:
            row = first.store[sample]
            pixels = first.transform.pixels(first.dataset.image(first.dataset.ids.index(sample)))
            title = f"{class_name(row.target, first.dataset.classes)} {percent(row.probability)}"
            maps = {run.method: run.store[sample].map for run in runs}
            examples.append(Comparison(pixels, title, f"{model}, {sample}", maps))
    return comparison(examples, file)
