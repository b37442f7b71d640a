"""Packages whose names are imported when they are asked for, so that importing a package costs nothing (PEP 562)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from inspect import isabstract
from pathlib import Path
from typing import Any


def lazily(
    package: str, names: Mapping[str, str], folders: tuple[str, ...] = (), base: str = "", suffix: str = ""
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package.

    A class is found by the name of its file: ``grad_cam.py`` has `GradCAM`, and ``linear.py`` among the heads has
    `LinearHead`. So a new class is offered once its file is there, unless it is abstract; only names that follow no
    file stand in a table.

    Args:
        package: Name of the package.
        names: Table from a name to the module that has it.
        folders: Packages whose files, at any depth, each have the class that they are named for.
        base: Path of the class that these classes are derived from.
        suffix: Ending of their names that is left out of the names of their files.

    Returns:
        ``__getattr__``, which also knows ``__all__``, and ``__dir__``. Where there are `folders`, listing the names
        imports every file.

    Example:
        >>> find, names = lazily("lit_coiba.heads", {}, ("lit_coiba.heads",), "lit_coiba.heads.Head", "Head")
        >>> find("LinearHead").__module__, "LinearHead" in names()
        ('lit_coiba.heads.linear', True)
    """

    def offered(found: Any) -> bool:
        derived = isinstance(found, type) and issubclass(found, _imported(base)) and found is not _imported(base)
        return derived and not isabstract(found)

    def listed() -> list[str]:
        found = set(names)
        for stem, module in _files(folders, suffix).items():
            found |= {n for n, value in vars(import_module(module)).items() if n.lower() == stem and offered(value)}
        return sorted(found)

    def find(name: str) -> Any:
        if name in names:
            return getattr(import_module(names[name]), name)
        if name == "__all__":
            return listed()
        module = _files(folders, suffix).get(name.lower()) if name[:1].isupper() else None
        found = getattr(import_module(module), name, None) if module is not None else None
        if not offered(found):
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return found

    return find, listed


@cache
def _files(folders: tuple[str, ...], suffix: str) -> dict[str, str]:
    """Names of classes in lower case, and the modules that are named for them."""
    found: dict[str, str] = {}
    for folder in folders:
        for path in import_module(folder).__path__:
            for file in sorted(Path(path).rglob("*.py")):
                module = ".".join([folder, *file.relative_to(path).with_suffix("").parts])
                found[f"{file.stem.replace('_', '')}{suffix.lower()}"] = module
    return found


def _imported(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)
