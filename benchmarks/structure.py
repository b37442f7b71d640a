"""The structure of the package in figures, read from its source: rooms, imports, cycles, files, chains of inheritance.

    python benchmarks/structure.py

A room is a folder of the package, or a file in its root. An import counts once for each pair of files.
"""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "lit_coiba"

# What stands further on may import what stands before it, and nothing else of the package.
ORDER = [
    *(
        "__version__",
        "resources",
        "functional",
        "core",
        "files",
        "heads",
        "lipschitz",
        "backbones",
        "propagation",
        "bounds",
    ),
    *("perturbation", "data", "store", "losses", "bottlenecks", "metrics", "prototypes", "attribution", "concepts"),
    *("feature_visualization", "pictures", "modules", "training", "callbacks", "benchmark", "trainer"),
    *("explorer", "app", "demo", "cli", "__main__"),
]


def files(package: Path = PACKAGE) -> list[Path]:
    """Source files of the package, sorted."""
    return sorted(package.rglob("*.py"))


def module_name(file: Path, package: Path = PACKAGE) -> str:
    """Dotted name of a file below the package, such as ``data.module``; empty for the package itself."""
    return ".".join(file.relative_to(package).with_suffix("").parts).removesuffix("__init__").rstrip(".")


def imported(source: str) -> Iterator[str]:
    """Dotted names of what a file imports, anywhere in it; but not what only type checkers read."""
    for node in running(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def running(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes, but for those below ``if TYPE_CHECKING``, which never run."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if not (isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING"):
            yield from running(child)


def graph(package: Path = PACKAGE) -> dict[str, set[str]]:
    """File -> files of the package that it imports, by their dotted names."""
    names = {module_name(file, package): file for file in files(package)}
    edges: dict[str, set[str]] = {}
    for name, file in names.items():
        own = {
            full.removeprefix("lit_coiba.")
            for full in imported(file.read_text(encoding="utf-8"))
            if full.startswith("lit_coiba.")
        }
        found = {full if full in names else full.rpartition(".")[0] for full in own}
        edges[name] = {other for other in found if other in names and other != name}
    return edges


def room(name: str) -> str:
    """The folder, or the file in the root, that a file is in."""
    return name.partition(".")[0]


def against(edges: dict[str, set[str]]) -> list[tuple[str, str]]:
    """Imports between rooms that run against the order; the front door, which no room looks through, stands outside."""
    place = {name: number for number, name in enumerate(ORDER)} | {"": 0}
    return [
        (one, other)
        for one, others in edges.items()
        for other in others
        if one and room(one) != room(other) and place[room(other)] >= place.get(room(one), -1)
    ]


def cycles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Groups of files that import one another in a loop (Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(edges[node]):
            if other not in index:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(group)

    for node in sorted(edges):
        if node not in index:
            visit(node)
    return found


def chains(package: Path = PACKAGE) -> dict[str, list[str]]:
    """Class -> the longest line of classes of the package that it stands on, itself first.

    Bases are taken by their names, which are unique within the package but for private ones of one file.
    """
    bases: dict[str, list[str]] = {}
    for file in files(package):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                names = [base.value if isinstance(base, ast.Subscript) else base for base in node.bases]
                bases[node.name] = [name.id for name in names if isinstance(name, ast.Name)]

    def line(name: str) -> list[str]:
        below = [line(base) for base in bases[name] if base in bases and base != name]
        return [name, *max(below, key=len, default=[])]

    return {name: line(name) for name in bases}


def figures(package: Path = PACKAGE) -> dict[str, str]:
    """What is printed."""
    edges, sizes = graph(package), {f: len(f.read_text(encoding="utf-8").splitlines()) for f in files(package)}
    rooms = {room(name) for name in edges if name}
    between = sum(room(one) != room(other) for one, others in edges.items() for other in others)
    largest, longest = max(sizes, key=lambda file: sizes[file]), max(chains(package).values(), key=len)
    root = sorted(file.name for file in package.iterdir() if file.is_file())
    return {
        "rooms": f"{len(rooms)}: {', '.join(sorted(rooms))}",
        "files, lines": f"{len(sizes)}, {sum(sizes.values()):,}",
        "median file, lines": f"{statistics.median(size for size in sizes.values() if size):.0f}",
        "largest file, lines": f"{sizes[largest]} ({largest.relative_to(package).as_posix()})",
        "imports between files": f"{sum(map(len, edges.values()))}, {between} of them between rooms",
        "cycles": f"{len(cycles(edges))}",
        "imports against the order": f"{len(against(edges))}",
        "files in the package root": f"{len(root)}: {', '.join(root)}",
        "longest chain of inheritance": f"{len(longest) - 1} ({' -> '.join(longest)})",
    }


if __name__ == "__main__":
    for what, value in figures().items():
        print(f"{what:<30}{value}")
