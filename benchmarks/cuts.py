"""Which layers of timm's architectures are the defaults, and what goes round them: a table, one row for each.

    python benchmarks/cuts.py [FILE] [PATTERN]

All architectures that build with at most 100 million parameters, with random weights of which none is at its neutral
value, on images as small as they take. A row is written once, so the command goes on where it was stopped.

Columns: the default layer of class activation maps, whether it is a cut (``yes``; ``places`` = all that is read of its
places passes it, and prefix tokens go their own way; ``no``), and the share of the logits' difference between two
images that goes round it; the same for the default bottleneck layers together; whether the model writes into its input,
lets images of a batch see one another, has chance in it, or layers whose places are not in reading order; forwards;
seconds.
"""

from __future__ import annotations

import csv
import signal
import sys
import time
import warnings
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from lit_coiba.backbones import Backbone
from lit_coiba.backbones.report import Look

FILE = Path(__file__).parents[1] / "tests" / "backbones" / "data" / "cuts.csv"
LARGEST = 100e6
SECONDS = 15
SIZES = (112, 128, 160)  # tried before the model's own
COLUMNS = (
    *("model", "class", "parameters", "size", "cam_layer", "cam_cut", "cam_round", "first", "last", "count"),
    *("layers_cut", "layers_round", "cuts", "misplaced", "writes", "batch", "chance", "forwards", "seconds", "error"),
)


def row(name: str, size: int | None = None, dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    """What is written of one architecture."""
    start, found = time.perf_counter(), dict.fromkeys(COLUMNS, "")
    model = built(name, size).to(dtype)
    found |= {"model": name, "class": type(model.model).__name__, "size": model.preprocessing.size[0]}
    found["parameters"] = f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f}"
    forwards = Counter(model.model)
    model._looks._anyone = True  # places are looked at, as those of anyone's network
    look: Look = model._looked()
    behavior, facts, defaults = look.behavior, look.facts, look.defaults
    assert behavior is not None
    if behavior.batch and dtype == torch.float32:  # or products of activations have made rounding that large (StarNet)
        return row(name, size, torch.float64)
    found |= {
        "writes": int(behavior.writes_input),
        "batch": f"{behavior.batch:.2f}",
        "chance": f"{behavior.chance:.2f}",
    }
    cuts = () if facts is None else facts.cuts
    found |= {"cuts": len(set(cuts) & set(look.grids)), "misplaced": len(look.misplaced)}
    try:
        cam = defaults.cam_layer
        kind = "places" if cam == defaults._norm_behind else "yes" if cam in cuts else "no"
        share = 0.0 if kind == "places" else look.shares.round([cam])
        found |= {"cam_layer": cam, "cam_cut": kind, "cam_round": f"{share:.3f}"}
        layers = defaults.layers
        kind = "yes" if all(layer in cuts for layer in layers) else "no"
        found |= {"first": layers[0], "last": layers[-1], "count": len(layers), "layers_cut": kind}
        found["layers_round"] = f"{look.shares.round(layers):.3f}"
    except ValueError as error:
        found["error"] = str(error)[:120]
    found |= {"forwards": forwards.count, "seconds": f"{time.perf_counter() - start:.1f}"}
    return found


class Counter:
    """Counts the forwards of a model: calls of the module that is called most rarely but in each of them."""

    def __init__(self, model: nn.Module) -> None:
        self.count = 0
        first = next(m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear))
        first.register_forward_hook(self._add)

    def _add(self, *_: Any) -> None:
        self.count += 1


def built(name: str, size: int | None = None) -> Backbone:
    """The architecture with random weights, for images of `size`, or the smallest that it runs on."""
    for tried in (size,) if size else (*SIZES, None):
        try:
            torch.manual_seed(0)
            model = Backbone(name, num_classes=10, image_size=tried).eval()
            with torch.no_grad():
                model(torch.zeros(2, 3, *model.preprocessing.size))
            return randomised(model)
        except (RuntimeError, ValueError, AssertionError, TypeError, IndexError):  # noqa: PERF203
            if tried == (size or None):
                raise
    raise AssertionError


@torch.no_grad()
def randomised(model: Backbone) -> Backbone:
    """Weights of which none is at its neutral value: a scale of 1e-5 would hide what goes round a layer."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        values = torch.randn(parameter.shape, generator=generator)
        if name.endswith("bias"):
            parameter.copy_(0.1 * values)
        elif parameter.dim() < 2 or "gamma" in name:
            parameter.copy_(1 + 0.2 * values)
        elif "token" in name or "table" in name or (parameter.dim() == 3 and "embed" in name):
            parameter.copy_(values)
        else:
            parameter.copy_(values * max(1, parameter[0].numel()) ** -0.5)
    return model


def small(name: str) -> bool:
    """Whether an architecture has at most so many parameters that it is in the table; built without memory."""
    try:
        with torch.device("meta"):
            model = timm.create_model(name)
    except Exception:
        model = timm.create_model(name)
    return sum(parameter.numel() for parameter in model.parameters()) <= LARGEST


def main(file: Path = FILE, pattern: str = "*") -> None:
    """Write the rows that are missing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    known = {one["model"] for one in csv.DictReader(file.open())} if file.exists() else set()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    signal.signal(signal.SIGALRM, _too_long)
    with file.open("a", newline="") as out:
        table = csv.DictWriter(out, COLUMNS, lineterminator="\n")
        if not known:
            table.writeheader()
        for name in timm.list_models():
            if name in known or not fnmatch(name, pattern):
                continue
            signal.alarm(SECONDS)
            try:
                if not small(name):
                    continue
                found = row(name)
            except Exception as error:
                found = dict.fromkeys(COLUMNS, "") | {"model": name, "error": f"{type(error).__name__}: {error}"[:120]}
            finally:
                signal.alarm(0)
            table.writerow({key: str(value).replace("\n", " ") for key, value in found.items()})
            out.flush()
            print(*found.values(), flush=True)


def _too_long(*_: Any) -> None:
    raise TimeoutError(f"more than {SECONDS} s")


if __name__ == "__main__":
    main(*(kind(word) for kind, word in zip((Path, str), sys.argv[1:])))
