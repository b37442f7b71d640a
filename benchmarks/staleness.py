"""Does a result outlive what it was made from? Each verb, after each change, in the folder of before and in a new one.

    python -m benchmarks.staleness

A cell says what the same command did in the folder of before: ``refused``, where ``if_changed recompute`` then gives
what a new folder gives; ``made again`` or ``refreshed``, likewise; ``the same``, where a new folder gives the same as
before; ``told``, where a warning says what differs; or ``STALE``. Pictures have the same size in bytes, so that only
their times tell them apart.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import seed_everything
from PIL import Image

from lit_coiba.attribution import IBA, Saliency
from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.data import BlockDataModule, ImageFolder, SyntheticParts
from lit_coiba.data.synthetic.dataset import SPLITS
from lit_coiba.heads import LinearHead
from lit_coiba.metrics import EnergyPointing, PointingGame
from lit_coiba.modules.explainer import Explainer
from lit_coiba.modules.prototype_search import PrototypeSearch
from lit_coiba.modules.scorer import Scorer
from lit_coiba.store import merge
from lit_coiba.trainer import Trainer
from lit_coiba.training.classifier import Classifier

NAMES = ("ant", "bee", "cat")
PICTURES = 6


@dataclass(frozen=True)
class World:
    """What a result is made from."""

    root: Path
    table: Path
    classes: Path
    weights: int = 0
    seed: int | None = None  # of generated images in place of files

    def data(self) -> BlockDataModule:
        """The images."""
        if self.seed is not None:
            return SyntheticParts(32, self.seed, multi_target=False, batch_size=2, num_workers=0)
        return ImageFolder(str(self.root), str(self.table), classes=str(self.classes), batch_size=2, num_workers=0)

    def model(self, head: bool = False) -> Backbone:
        """A tiny transformer, with a linear head where that is asked for."""
        torch.manual_seed(self.weights)
        tiny = {"patch_size": 8, "embed_dim": 8, "depth": 2, "num_heads": 2}
        count = 20 if self.seed is not None else len(NAMES)
        backbone = Backbone("vit_tiny_patch16_224", num_classes=count, timm_kwargs=tiny, image_size=32).eval()
        if head:
            backbone.attach(LinearHead(backbone.feature_channels, count))
        with torch.no_grad():
            for parameter in backbone.parameters():
                parameter.copy_(0.4 * torch.randn(parameter.shape))
        return backbone.eval()


def make_world(folder: Path) -> World:
    """Six pictures with labels and boxes."""
    world = World(folder / "images", folder / "table.csv", folder / "classes.txt")
    draw_pictures(world.root, 0)
    write_table(world.table)
    world.classes.write_text("\n".join(NAMES))
    return world


def draw_pictures(root: Path, seed: int, only: int | None = None) -> None:
    """Pictures of 3,126 bytes each, whatever they show."""
    root.mkdir(parents=True, exist_ok=True)
    for number in range(PICTURES) if only is None else (only,):
        cells = np.random.default_rng([seed, number]).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(cells).resize((32, 32), Image.Resampling.NEAREST).save(root / f"{number}.bmp")


def write_table(file: Path, labels: str = "012012", corner: int = 0) -> None:
    """Labels by name and boxes; `corner` moves that of the first picture."""
    rows = [f"{n}.bmp,{NAMES[int(k)]},{corner * (n == 0)},4,{20 + n},28" for n, k in enumerate(labels)]
    file.write_text("\n".join(["file,label,x_min,y_min,x_max,y_max", *rows]))


def picture_replaced(world: World, folder: Path) -> World:
    draw_pictures(world.root, 1, only=3)
    return world


def label_corrected(world: World, folder: Path) -> World:
    write_table(world.table, "012212")
    return world


def classes_changed(world: World, folder: Path) -> World:
    world.classes.write_text("\n".join(reversed(NAMES)))
    return world


def box_corrected(world: World, folder: Path) -> World:
    write_table(world.table, corner=9)
    return world


def other_folder(world: World, folder: Path) -> World:
    draw_pictures(folder / "others", 7)
    return replace(world, root=folder / "others")


def other_seed(world: World, folder: Path) -> World:
    return replace(world, seed=1)


def other_weights(world: World, folder: Path) -> World:
    return replace(world, weights=1)


def moved(world: World, folder: Path) -> World:
    world.root.rename(folder / "elsewhere")
    return replace(world, root=folder / "elsewhere")


CHANGES: dict[str, Callable[[World, Path], World]] = {
    "picture replaced": picture_replaced,
    "label corrected": label_corrected,
    "class list changed": classes_changed,
    "box corrected": box_corrected,
    "another folder": other_folder,
    "another seed": other_seed,
    "weights changed": other_weights,
    "moved folder": moved,
}


def trainer(**arguments: Any) -> Trainer:
    quiet = {
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "logger": False,
    }
    return Trainer(**{"accelerator": "cpu", "devices": 1, **quiet, **arguments})


def explain(world: World, folder: Path, **more: Any) -> Any:
    """Saliency of the predicted class; what is compared are all rows, labels among them."""
    explainer = Explainer(world.model(), Saliency())
    return trainer().explain(explainer, world.data(), str(folder / "store"), pictures=False, **more).digest()


def explain_labels(world: World, folder: Path, **more: Any) -> Any:
    """Saliency of the label's class."""
    explainer = Explainer(world.model(), Saliency(), "label")
    return trainer().explain(explainer, world.data(), str(folder / "store"), pictures=False, **more).digest()


def explain_named(world: World, folder: Path, **more: Any) -> Any:
    """Saliency of a class by its name."""
    name = NAMES[0] if world.seed is None else world.data().dataset("predict").classes[0]
    explainer = Explainer(world.model(), Saliency(), f"class:{name}")
    return trainer().explain(explainer, world.data(), str(folder / "store"), pictures=False, **more).digest()


def explain_bottleneck(world: World, folder: Path, **more: Any) -> Any:
    """IBA, whose statistics are estimated from all images: explained are two of them."""
    explainer = Explainer(world.model(), IBA(steps=2))
    store = trainer().explain(explainer, world.data(), str(folder / "store"), limit=2, pictures=False, **more)
    return store.digest()


def statistics(world: World, folder: Path) -> Any:
    """Statistics in a file."""
    return trainer().statistics(Explainer(world.model(), IBA()), world.data(), str(folder / "statistics.st")).digest()


def fit(world: World, folder: Path) -> Any:
    """One epoch of a head on cached features: its weights."""
    seed_everything(0, verbose=False)
    classifier = Classifier(world.model(head=True), frozen=True, lr=0.1)
    steps = trainer(max_epochs=1, log_every_n_steps=1, num_sanity_val_steps=0, limit_val_batches=0)
    steps.fit(classifier, datamodule=world.data(), cache=str(folder / "cache"))
    return classifier.network.digest()


def prototypes(world: World, folder: Path, **more: Any) -> Any:
    """Patches of a linear head, their labels and the names of the classes."""
    search = PrototypeSearch(world.model(head=True), patches=2)
    found = trainer().prototypes(search, world.data(), str(folder / "prototypes"), pages=0, **more)
    return found.digest(), found.classes


def benchmark(world: World, folder: Path, **more: Any) -> Any:
    """Two metrics of regions on a store of now: the scores of every method."""
    with tempfile.TemporaryDirectory() as scratch:
        explain(world, Path(scratch), **more)
        return scores(world, Path(scratch, "store"), folder, **more)


def benchmark_store(world: World, folder: Path) -> Any:
    """The same with a store of before."""
    if not (folder / "store").exists():
        explain(world, folder)
    return scores(world, folder / "store", folder)


def scores(world: World, store: Path, folder: Path, **more: Any) -> Any:
    scorer = Scorer(world.model(), {"energy": EnergyPointing(), "pointing": PointingGame()})
    board = trainer().benchmark(scorer, world.data(), [str(store)], str(folder / "table"), **more)
    numbers = {f"{row} {name}": v.nan_to_num(-1).tolist() for row, m in board.scores.items() for name, v in m.items()}
    return hashlib.sha256(json.dumps([numbers, list(board.keys)]).encode()).hexdigest()


def merged(world: World, folder: Path) -> Any:
    """Two shards, of which the first is there already: joined."""
    for number in (0, 1):
        if not (folder / str(number)).exists():
            explainer = Explainer(world.model(), Saliency(), "label")
            trainer().explain(explainer, world.data(), str(folder / str(number)), shard=(number, 2), pictures=False)
            if not (folder / "second").exists():  # the run of before
                (folder / "second").mkdir()
                return None
    return merge(folder / "out", [folder / "0", folder / "1"]).digest()


RECOMPUTING = {"explain", "explain labels", "explain class:NAME", "explain by IBA", "prototypes", "benchmark"}
VERBS: dict[str, Callable[..., Any]] = {
    "explain": explain,
    "explain labels": explain_labels,
    "explain class:NAME": explain_named,
    "explain by IBA": explain_bottleneck,
    "statistics": statistics,
    "fit with cache": fit,
    "prototypes": prototypes,
    "benchmark": benchmark,
    "benchmark of a store": benchmark_store,
    "merge": merged,
}


@contextmanager
def few_samples() -> Iterator[None]:
    """Generated data of six samples a split."""
    before = dict(SPLITS)
    try:
        SPLITS.update({name: range(numbers.start, numbers.start + PICTURES) for name, numbers in before.items()})
        yield
    finally:
        SPLITS.update(before)


def cell(verb: str, change: str, folder: Path) -> tuple[str, str]:
    """What a verb does after a change, in one word, and its message.

    Args:
        verb: Name of the verb.
        change: Name of the change.
        folder: An empty folder.
    """
    run, world = VERBS[verb], make_world(folder)
    if change == "another seed":
        world = replace(world, seed=0)
    old, new = folder / "old", folder / "new"
    old.mkdir()
    new.mkdir()
    with few_samples(), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        before = run(world, old)
        world = CHANGES[change](world, folder)
        if verb == "merge":
            run(world, new)
        undisturbed = run(world, new)
        told.clear()
        try:
            found = run(world, old)
        except InputError as error:
            again = run(world, old, if_changed="recompute") if verb in RECOMPUTING else undisturbed
            return "refused" if again == undisturbed else "STALE", str(error)
        message = next((str(one.message) for one in told if "date" in str(one.message)), "")
    if found != undisturbed:
        return ("told" if message else "STALE"), message
    return ("refreshed" if message else "the same" if found == before else "made again"), message


def main() -> None:
    """Print the table."""
    print(f"| | {' | '.join(CHANGES)} |\n|---|{'---|' * len(CHANGES)}")
    for verb in VERBS:
        found = []
        for change in CHANGES:
            with tempfile.TemporaryDirectory() as folder:
                found.append(cell(verb, change, Path(folder))[0])
                shutil.rmtree(Path(folder, "old"), ignore_errors=True)
        print(f"| {verb} | {' | '.join(found)} |", flush=True)


if __name__ == "__main__":
    main()
