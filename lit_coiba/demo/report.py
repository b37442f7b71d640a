"""What the demo shows at the end: tables of scores, TensorBoard logs, and all methods side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.markup import escape
from torch.utils.tensorboard import SummaryWriter

from lit_coiba.demo.heads import Trained
from lit_coiba.demo.runs import Explained
from lit_coiba.files.owned import check_own_file
from lit_coiba.files.png import is_our_png
from lit_coiba.pictures import Comparison, comparison
from lit_coiba.pictures.names import class_name
from lit_coiba.pictures.numbers import percent
from lit_coiba.pictures.prototype_page import CLASSES, page_name

EVENTS = ".lit-coiba"  # how the names of event files end that are replaced
EXAMPLES = 2  # of each model on SyntheticParts, in the picture of all methods


def write(
    console: Console,
    explained: Sequence[Explained],
    folder: Path,
    trained: Trained | None = None,
    site: Path | None = None,
) -> None:
    """Write the logs and the picture, print the tables and where to look.

    Args:
        console: Console to print on.
        explained: What was found.
        folder: Folder of the logs and the picture.
        trained: What became of the interpretable head.
        site: First page of the site, if there is one.
    """
    log(explained, folder / "tensorboard")
    picture = side_by_side(explained, folder / "demo.png")
    boards = [(one.model, one.board) for one in explained if one.board is not None]
    for model, board in boards:
        board.show(console, f"SyntheticParts, {model}: which explanation to believe")
    if boards:
        console.print(
            "Energy: share of a map on the parts, which alone decide the class. Random maps show chance level. The "
            "oracle's map is the share of part pixels in each cell.",
            highlight=False,
        )
    for line in [*predictions(explained), *([head_summary(trained)] if trained is not None else [])]:
        console.print(line, highlight=False)
    console.print("\n[bold]Where to look[/bold]")
    for what in (
        f"{picture}  all methods side by side",
        *(sheet(one, method) for one in explained for method in one.stores),
        *(pictures(trained) if trained is not None else ()),
        f"tensorboard --logdir {folder / 'tensorboard'}",
        *([f"{site}  open it in a browser: concepts, maps and scores of the CNN"] if site is not None else ()),
    ):
        console.print(f"  {escape(what)}", soft_wrap=True, highlight=False)


def sheet(one: Explained, method: str) -> str:
    """Where the maps of a method are drawn, and how fast they were made."""
    rate = one.rates[method]
    speed = "" if rate is None else f", {rate:.3g} images/s"
    return f"{one.sheet(method)}  {one.model}, {method}{speed}"


def head_summary(trained: Trained) -> str:
    """What the head has become, in a line."""
    found, accuracy = trained.prototypes, trained.accuracy
    reached = "" if accuracy is None else f" {accuracy:.1%} of the validation images right;"
    idle, duplicate = {*found.dead, *found.unused}, {unit for pair in found.duplicate for unit in pair}
    return f"InfoDisent head:{reached} {found.units} units, {len(idle)} dead or unused, {len(duplicate)} duplicates"


def pictures(trained: Trained) -> list[str]:
    """Where prototypes and decisions are drawn."""
    first = trained.prototypes.path / CLASSES / f"{page_name(0, trained.prototypes.classes)}.png"
    return [
        f"{trained.prototypes.path / 'units' / '01.png'}  what the units of the InfoDisent head stand for",
        f"{first}  the units of a class; other classes beside it",
        f"{trained.decisions.path / 'decisions' / '00.png'}  a decision: this looks like that; others beside it",
    ]


def predictions(explained: Sequence[Explained]) -> list[str]:
    """What the classifier sees in the photographs, a line for each."""
    return [
        f"{one.model} on {row.id}: {class_name(row.target, one.dataset.classes)}, {percent(row.probability)}"
        for one in explained
        if one.board is None
        for row in next(iter(one.stores.values()))
    ]


def log(explained: Sequence[Explained], folder: Path) -> None:
    """Scores and speeds as scalars, contact sheets as images; in place of the logs of an earlier call."""
    for old in folder.glob(f"events.out.tfevents.*{EVENTS}"):
        old.unlink(missing_ok=True)
    with SummaryWriter(str(folder), filename_suffix=EVENTS) as writer:
        for one in explained:
            for (method, metric), cell in one.board.cells().items() if one.board is not None else ():
                for name, value in {"mean": cell.mean, "low": cell.low, "high": cell.high}.items():
                    writer.add_scalar(f"{metric} ({name})/{one.model}/{method}", value, 0)
            for method, rate in one.rates.items():
                if rate is not None:
                    writer.add_scalar(f"images per second/{one.model}/{method}", rate, 0)
                with Image.open(one.sheet(method)) as picture:
                    pixels = np.asarray(picture.convert("RGB"))
                writer.add_image(f"{one.model}/{method}", pixels, 0, dataformats="HWC")


def side_by_side(explained: Sequence[Explained], file: Path) -> Path:
    """Some images of each model, and all photographs, with the maps of the methods that explained all of them."""
    examples, methods = [], [name for name in explained[0].stores if all(name in one.stores for one in explained)]
    for place, one in enumerate(explained):
        first = next(iter(one.stores.values()))
        ids = first.ids()
        if one.board is not None:
            start = place * EXAMPLES if len(ids) >= (place + 1) * EXAMPLES else 0  # each model has others
            ids = ids[start : start + EXAMPLES]
        for sample in ids:
            row = first[sample]
            pixels = one.transform.pixels(one.dataset.image(one.dataset.ids.index(sample)))
            title = f"{class_name(row.target, one.dataset.classes)} {percent(row.probability)}"
            maps = {method: one.stores[method][sample].map for method in methods}
            examples.append(Comparison(pixels, title, f"{one.model}, {sample}", maps))
    check_own_file(file, "output", is_our_png)
    return comparison(examples, file)
