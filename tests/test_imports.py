"""Imports point one way, and each third party has its place: read from the source of every file."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "lit_coiba").rglob("*.py"))

# Design, section 2: what stands to the right may import what stands to the left.
ORDER = [
    *("functional", "contracts", "norm_gradients", "frozen", "targets", "copies"),
    *("backbones", "data", "store"),
    *("heads", "bottlenecks", "bounds", "losses", "metrics", "concepts", "prototypes", "visualization"),
    "attribution",
    *("modules", "callbacks"),
    *("benchmark", "explorer"),
    *(
        "identity",
        "precision",
        "quiet",
        "termination",
        "fit_trainer",
        "block_trainer",
        "prototype_trainer",
        "statistics_trainer",
        "trainer",
    ),
    *("demo", "cli", "__main__"),
]
ANYWHERE = {"", "resources"}  # the package itself has a version and nothing else
ONLY_IN = {
    "timm": {"backbones"},
    "lightning": {"modules", "callbacks", "data", "store.writer", "fit_trainer", "block_trainer", "trainer", "cli"},
    "jsonargparse": {"cli"},
    "omegaconf": {"cli"},
    "captum": {"attribution"},
    "zennit": {"attribution"},
}
FUNCTIONAL = {"torch"} | sys.stdlib_module_names
SIBLINGS = ("attribution", "heads", "losses", "metrics")  # a folder of one method per file
SHARED = (
    "metrics.metric",
    "metrics.curve",
    "metrics.baselines",
    "heads.head",
    "heads.rotation",
    "attribution.spatial_tail",
    "attribution.baselines",
    "attribution.masking",
    "attribution.segments",
    "attribution.colours",
)  # what methods of a folder are built on


def imported(source: str) -> Iterator[str]:
    """Dotted names of the modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def faults(module: str, source: str) -> list[str]:
    """What a file of the package may not import; `module` is its name below the package, such as ``data.module``."""
    return [name for name in imported(source) if not allowed(module, *name.split(".", 2)[:2])]


def allowed(module: str, top: str, below: str = "") -> bool:
    own = module.partition(".")[0]
    if top == "lit_coiba":
        anyone = below == "__version__" or below in ANYWHERE or below == own
        return anyone or (below in ORDER and ORDER.index(below) < ORDER.index(own))
    if own == "functional":
        return top in FUNCTIONAL
    return top not in ONLY_IN or any(f"{module}.".startswith(f"{place}.") for place in ONLY_IN[top])


def module_name(file: Path) -> str:
    return ".".join(file.relative_to(ROOT / "lit_coiba").with_suffix("").parts).removesuffix("__init__").rstrip(".")


def test_every_package_has_its_place_in_the_order():
    found = {module_name(file).partition(".")[0] for file in FILES}
    assert len(FILES) > 50
    assert found - ANYWHERE <= set(ORDER)


@pytest.mark.parametrize("file", FILES, ids=module_name)
def test_imports_point_one_way(file):
    assert faults(module_name(file), file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("functional.noise", "from lit_coiba.contracts import Grid"),
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
    ],
)
def test_a_wrong_import_is_found(module, source):
    assert len(faults(module, source)) == 1


@pytest.mark.parametrize("folder", SIBLINGS)
def test_a_method_does_not_import_its_sibling(folder):
    for file in FILES:
        module = module_name(file)
        if module.startswith(f"{folder}."):
            names = [name for name in imported(file.read_text()) if name.startswith(f"lit_coiba.{folder}.")]
            siblings = [name for name in names if name.removeprefix("lit_coiba.").rpartition(".")[0] not in SHARED]
            assert siblings == [], module


def test_the_two_bottlenecks_do_not_know_each_other():
    sources = {name: (ROOT / "lit_coiba" / "bottlenecks" / f"{name}.py").read_text() for name in ("coiba", "iba")}
    assert not any(name.startswith("lit_coiba.bottlenecks.iba") for name in imported(sources["coiba"]))
    assert not any(name.startswith("lit_coiba.bottlenecks.coiba") for name in imported(sources["iba"]))


def test_importing_the_package_is_cheap():
    code = "import sys; before = set(sys.modules); import lit_coiba; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["lit_coiba"]
