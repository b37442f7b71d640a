"""Packages whose names are found when they are asked for, and the front door."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lit_coiba
from lit_coiba import attribution, concepts, data, heads, metrics
from lit_coiba.core.lazy import lazily

PACKAGES = [lit_coiba, attribution, concepts, data, heads, metrics]


def for_type_checkers(package) -> set[str]:
    """The names that a package imports where TYPE_CHECKING is true."""
    tree = ast.parse(Path(package.__file__).read_text())
    blocks = [node for node in tree.body if isinstance(node, ast.If)]
    return {name.asname for block in blocks for node in block.body for name in node.names}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_what_is_offered_is_there(package):
    assert dir(package) == sorted(package.__all__)
    assert for_type_checkers(package) <= set(package.__all__)
    assert all(getattr(package, name).__name__ == name for name in package.__all__)


def test_the_front_door_is_known_to_type_checkers():
    assert dir(lit_coiba) == sorted(for_type_checkers(lit_coiba))
    assert {"Backbone", "CoIBA", "Explainer", "ExplanationStore", "ImageFolder", "Trainer"} <= set(dir(lit_coiba))
    assert lit_coiba.CoIBA is attribution.CoIBA


@pytest.mark.parametrize("name", ["NoSuchClass", "UnitBottleneck", "Recorder", "nosuch"])
def test_what_is_not_offered(name):
    with pytest.raises(AttributeError, match=f"module 'lit_coiba.attribution' has no attribute '{name}'"):
        getattr(attribution, name)
    with pytest.raises(ImportError):
        exec(f"from lit_coiba.attribution import {name}")


def test_a_class_is_found_by_its_file(tmp_path, monkeypatch):
    folder = tmp_path / "shapes"
    (folder / "round").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "round" / "__init__.py").write_text("")
    (folder / "shape.py").write_text("class Shape: ...\nclass Unnamed(Shape): ...\n")
    (folder / "round" / "big_circle.py").write_text(
        "from shapes.shape import Shape\nclass BigCircle(Shape): ...\nclass Helper: ...\n"
    )
    (folder / "square.py").write_text("from shapes.round.big_circle import BigCircle\n")
    (folder / "solid.py").write_text(
        "from abc import ABC, abstractmethod\nfrom shapes.shape import Shape\n"
        "class Solid(Shape, ABC):\n    @abstractmethod\n    def volume(self): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    find, names = lazily("shapes", {}, ("shapes",), "shapes.shape.Shape")
    assert find("BigCircle").__module__ == "shapes.round.big_circle"
    assert "shapes.square" not in sys.modules
    for wrong in ("Bigcircle", "Shape", "Solid", "Helper", "Unnamed", "big_circle"):
        with pytest.raises(AttributeError):
            find(wrong)
    assert names() == find("__all__") == ["BigCircle"]


def test_one_method_imports_no_other():
    code = "import sys; from lit_coiba.attribution import RISE; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    methods = {name for name in done.stdout.split() if name.startswith("lit_coiba.attribution.")}
    assert methods == {"lit_coiba.attribution.rise"}
    assert "captum" not in done.stdout.split()
