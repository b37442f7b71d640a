"""Imports point one way, and each third party has its place: read from the source of every file."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.structure import ORDER, against, chains, cycles, figures, files, graph, imported, module_name
from lit_coiba import attribution, heads, losses, metrics

ROOT = Path(__file__).parents[1]
FILES = files()

ONLY_IN = {
    "timm": {"backbones", "propagation"},
    "lightning": {"modules", "training", "callbacks", "data", "store.writer", "trainer", "cli"},
    "jsonargparse": {"cli"},
    "omegaconf": {"cli"},
    "captum": {"attribution"},
    "zennit": {"attribution"},
    "sklearn": {"concepts"},
    "gradio": {"app"},
    "orthogonium": {"lipschitz"},
    "deel": {"lipschitz"},
}
FUNCTIONAL = {"torch"} | sys.stdlib_module_names


def faults(module: str, source: str) -> list[str]:
    """What a file of the package may not import; `module` is its name below the package, such as ``data.module``."""
    return [name for name in imported(source) if not allowed(module, *name.split(".", 2)[:2])]


def allowed(module: str, top: str, below: str = "") -> bool:
    own = module.partition(".")[0]
    if top == "lit_coiba":
        return not own or below == own or (below in ORDER and ORDER.index(below) < ORDER.index(own))
    if own == "functional":
        return top in FUNCTIONAL
    return top not in ONLY_IN or any(f"{module}.".startswith(f"{place}.") for place in ONLY_IN[top])


def test_every_package_has_its_place_in_the_order():
    found = {module_name(file).partition(".")[0] for file in FILES} - {""}
    assert len(FILES) > 50
    assert found <= set(ORDER)


@pytest.mark.parametrize("file", FILES, ids=module_name)
def test_imports_point_one_way(file):
    assert faults(module_name(file), file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("functional.noise", "from lit_coiba.core.grid import Grid"),
        ("functional.noise", "import numpy as np"),
        ("backbones.backbone", "from lit_coiba.bottlenecks import CoIBA"),
        ("data.module", "def setup(self):\n    from lit_coiba import trainer"),
        ("bottlenecks.coiba", "import lit_coiba.attribution.saliency"),
        ("modules.explainer", "from lit_coiba.callbacks.progress import BlockProgress"),
        ("trainer", "from lit_coiba.cli import main"),
        ("attribution.saliency", "if True:\n    import lightning"),
        ("store.store", "from lightning.pytorch import Trainer"),
        ("modules.classifier", "import timm.data"),
        ("trainer", "from jsonargparse import ArgumentParser"),
        ("data.module", "from lit_coiba.helpers import anything"),
        ("data.module", "from typing import TYPE_CHECKING\nif not TYPE_CHECKING:\n    from lit_coiba import trainer"),
    ],
)
def test_a_wrong_import_is_found(module, source):
    assert len(faults(module, source)) == 1


@pytest.mark.parametrize("folder", [attribution, heads, losses, metrics], ids=lambda folder: folder.__name__)
def test_a_method_does_not_import_its_sibling(folder):
    """A paper's file is read by itself; what several share stands in a file of its own."""
    offered = [getattr(folder, name) for name in folder.__all__]
    bases = {base for one in offered if isinstance(one, type) for base in one.__mro__[1:]}
    own = {base for base in bases if base.__module__.startswith("lit_coiba.")}
    files = {one.__module__ for one in offered if isinstance(one, type) and own & {*one.__mro__[1:]} and one not in own}
    assert files or folder is losses
    for module in files:
        source = Path(sys.modules[module].__file__).read_text(encoding="utf-8")
        assert not [name for name in imported(source) if name.rpartition(".")[0] in files], module


def test_no_file_imports_itself_in_a_loop():
    assert cycles(graph()) == []
    assert against(graph()) == []
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
    assert against({"functional.noise": {"core.grid"}, "core.grid": {"functional.noise"}}) == [
        ("functional.noise", "core.grid")
    ]


def test_files_are_small_and_the_root_is_nearly_empty():
    assert [file.name for file in FILES if len(file.read_text(encoding="utf-8").splitlines()) > 300] == []
    assert len([file for file in (ROOT / "lit_coiba").iterdir() if file.is_file()]) <= 4
    assert int(figures()["largest file, lines"].split()[0]) > 100


def test_no_class_stands_on_more_than_two_others_of_the_package():
    found = chains()
    assert found["Saliency"] == ["Saliency", "AttributionMethod"]
    assert [line for line in found.values() if len(line) > 3] == []


def test_importing_the_package_is_cheap():
    code = "import sys; before = set(sys.modules); import lit_coiba; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    own = {name for name in done.stdout.split() if name.startswith("lit_coiba")}
    assert own == {"lit_coiba", "lit_coiba.core", "lit_coiba.core.lazy"}
    assert {name.partition(".")[0] for name in done.stdout.split()} - {"lit_coiba"} <= sys.stdlib_module_names
