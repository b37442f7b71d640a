"""Every method on the same images: maps, checks of the maps, and the table that says which of them to believe.

    python benchmarks/methods.py --on parts_cnn parts_vit boxes caltech --output runs/methods

Sets: ``parts_cnn`` and ``parts_vit``, test images of SyntheticParts with the shipped models; ``boxes``, Tiny-ImageNet
images with boxes and EfficientNet-Lite0; ``caltech``, Caltech-101 with a ViT-S. The last two need the project's assets.
Perturbation methods run with fewer evaluations (`FEWER` in _methods.py), and on eight real images only. Killed and
started again it goes on where it stopped. For each set there are a table of checks and a leaderboard, as Markdown.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from _methods import FEWER, FEWEST, changes, configured, files
from _models import ASSETS, caltech_vit, efficientnet_lite0
from rich.console import Console

from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.core.frozen import frozen
from lit_coiba.core.method import AttributionMethod
from lit_coiba.data import ImageFolder, SyntheticParts
from lit_coiba.data.module import BlockDataModule
from lit_coiba.metrics import Deletion, EnergyPointing, Insertion
from lit_coiba.modules.explainer import Explainer
from lit_coiba.modules.scorer import Scorer
from lit_coiba.resources import resource
from lit_coiba.store import ExplanationStore
from lit_coiba.trainer import Trainer
from lit_coiba.trainer.quiet import quiet


class Setting(NamedTuple):
    """A model and images."""

    model: Backbone
    data: BlockDataModule
    images: int
    few: int  # images for methods of many evaluations
    cells: int  # of the grid that is ranked for insertion and deletion
    steps: int  # of insertion and deletion
    pixels: int  # of a side


def setting(name: str) -> Setting:
    """A set by its name."""
    if name.startswith("parts_"):
        model = Backbone.load(resource(f"checkpoints/synthetic_parts_{name.removeprefix('parts_')}.safetensors"))
        return Setting(model, SyntheticParts(batch_size=16), 200, 200, 8, 16, 64)
    if name == "boxes":
        model = efficientnet_lite0(image_size=224, interpolation="bicubic", crop_pct=1.0)
        folder = ASSETS / "tiny-imagenet-boxes"
        columns = {"label": "imagenet_index"}
        data = ImageFolder(str(folder / "images"), csv=str(folder / "boxes.csv"), columns=columns, limit_order="first")
        return Setting(model, data, 60, 8, 14, 7, 224)
    if name == "caltech":
        return Setting(caltech_vit(), _spread(ASSETS / "caltech101/val", 60), 60, 8, 12, 6, 168)
    raise SystemExit(f"there is no set {name!r}: parts_cnn, parts_vit, boxes, caltech")


def _spread(root: Path, count: int) -> ImageFolder:
    """`count` files evenly spaced over `root`; their first ones are those that methods of many evaluations explain."""
    files = sorted(str(file.relative_to(root)) for file in root.rglob("*.jpg"))
    classes = sorted({Path(file).parts[0] for file in files})
    chosen = [files[i * len(files) // count] for i in range(count)]
    table = Path("runs/methods") / f"{root.parent.name}_{count}.csv"
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text("file,label\n" + "".join(f"{f},{classes.index(Path(f).parts[0])}\n" for f in chosen))
    return ImageFolder(str(root), csv=str(table), limit_order="first")


def check(method: AttributionMethod, used: Setting, store: ExplanationStore) -> dict[str, Any]:
    """What every map has to be: finite, not constant, another one for another image and for another class."""
    maps = [row.map for row in store]
    spreads = torch.stack([map.std() for map in maps])
    same = sum(torch.equal(maps[0], map) for map in maps[1:])
    batch = next(iter(used.data.predict_dataloader())).images[:2]
    with quiet():
        used_model = used.model.eval()
        with frozen(used_model), torch.no_grad():
            best, second = used_model(batch).topk(2).indices.T
        first, other = (method.attribute(used_model, batch, targets) for targets in (best, second))
    moved = ((first - other).abs().amax((1, 2)) / first.abs().amax((1, 2)).clamp_min(1e-12)).min()
    return {
        "images": len(maps),
        "failures": len(store.failures()),
        "constant": int((spreads == 0).sum()),
        "same": same,
        "class": float(moved),
    }


def run(name: str, output: Path, only: list[str], limit: int | None) -> None:
    """Explain, check and score one set."""
    used, folder, console = setting(name), output / name, Console()
    folder.mkdir(parents=True, exist_ok=True)
    kept = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    stores: dict[str, tuple[str, int]] = {}
    lines = ["| method | images | s per image | failures | constant maps | same as the first | moved by the class |"]
    lines.append("|---|--:|--:|--:|--:|--:|--:|")
    for file in files(only):
        method = configured(file, changes(file, used.pixels))
        count = min(limit or used.images, used.few if file in FEWER else used.images, FEWEST.get(file, used.images))
        console.print(f"{name}: {file} on {count} images", highlight=False)
        began = time.monotonic()
        try:
            with quiet():
                store = Trainer(devices=1, **kept).explain(
                    Explainer(used.model, method), used.data, str(folder / file), count
                )
        except InputError as error:
            console.print(f"  {error}", highlight=False)
            lines.append(f"| {file} | unsupported: {error} | | | | | |")
            continue
        seconds = time.monotonic() - began
        stores[file] = str(folder / file), count
        found = check(method, used, store)
        lines.append(
            f"| {file} | {found['images']} | {seconds / count:.2f} | {found['failures']} | {found['constant']}"
            f" | {found['same']} | {found['class']:.3g} |"
        )
    (folder / "checks.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    console.print("\n".join(lines), highlight=False, markup=False)
    for count in sorted({count for _, count in stores.values()}, reverse=True):
        scored = [path for path, images in stores.values() if images >= count]
        metrics = {
            "insertion": Insertion(grid_size=used.cells, steps=used.steps),
            "deletion": Deletion(grid_size=used.cells, steps=used.steps),
        }
        if name != "caltech":
            metrics["energy"] = EnergyPointing()
        with quiet():
            board = Trainer(devices=1, **kept).benchmark(
                Scorer(used.model, metrics), used.data, scored, str(folder / f"scores_{count}"), count
            )
        board.show(console)


def main() -> None:
    """Read the words and run the sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--on", nargs="+", default=["parts_cnn", "parts_vit"])
    parser.add_argument("--output", type=Path, default=Path("runs/methods"))
    parser.add_argument("--methods", nargs="*", default=[], help="names of files in configs/method; default all")
    parser.add_argument("--images", type=int, help="fewer images than a set has")
    arguments = parser.parse_args()
    for name in arguments.on:
        run(name, arguments.output, arguments.methods, arguments.images)


if __name__ == "__main__":
    main()
