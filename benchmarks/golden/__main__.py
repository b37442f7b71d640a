"""Golden numbers: digests of all that the package computes, to show that a change of its code changes no number.

    python -m benchmarks.golden --output golden.json [--only 'method/vit/CoIBA']
    python -m benchmarks.golden --compare before.json after.json [--depth 2]

Maps and extras of every method on small models, activation statistics, metrics, heads, bounds, functions, pictures and
runs through the Trainer, in fp32 on one thread of the CPU, some minutes in all. An entry has the digest of its bytes
with shape and type, mean, largest absolute value and first values; what the package refuses is an entry too. To compare
prints a table of all groups and the entries that differ, and ends with status 1 where any does. ``--only`` takes a
pattern for each part of a name, from the first on. Digests are those of one machine and one set of package versions.
All imports from the package are in ``api.py``.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import sys
import time
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from benchmarks.golden import methods, models, parts, runs, scores
from benchmarks.golden.numbers import Entry, recorded

Entries = dict[str, Entry]


def main() -> int:
    """The status to end with."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.golden", description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, help="file of the entries (JSON)")
    parser.add_argument("--only", default="*", help="entries whose name fits, such as 'method/*/CoIBA'")
    parser.add_argument("--compare", type=Path, nargs=2, metavar=("BEFORE", "AFTER"), help="compare two files")
    parser.add_argument("--depth", type=int, default=1, help="parts of a name that make a group of the comparison")
    given = parser.parse_args()
    if given.compare:
        before, after = (json.loads(file.read_bytes()) for file in given.compare)
        lines, same = compared(before, after, given.depth)
        print("\n".join(lines))
        return 0 if same else 1
    if given.output is None:
        parser.error("give --output or --compare")
    started = time.monotonic()
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    cases = chain.from_iterable(group.cases() for group in (models, methods, scores, parts, runs))
    found = recorded(cases, given.only)
    given.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for group, count in Counter(_group(name, 1) for name in found).items():
        print(f"{group}: {count}")
    print(f"{len(found)} entries in {time.monotonic() - started:.0f} s")
    return 0


def compared(before: Entries, after: Entries, depth: int) -> tuple[list[str], bool]:
    """The comparison in Markdown, and whether all is the same."""
    lines = ["| group | before | after | equal | different | missing | new |", "|---|--:|--:|--:|--:|--:|--:|"]
    groups: dict[str, Counter[str]] = {}
    told: list[str] = []
    for name in dict.fromkeys([*before, *after]):
        counts = groups.setdefault(_group(name, depth), Counter())
        state = _state(before.get(name), after.get(name))
        counts.update([state, *(["before"] if name in before else []), *(["after"] if name in after else [])])
        if state == "different":
            told.append(f"- `{name}`: {_difference(before[name], after[name])}")
        elif state != "equal":
            told.append(f"- `{name}`: {state}")
    columns = ("before", "after", "equal", "different", "missing", "new")
    groups["all"] = sum(groups.values(), Counter())
    lines += [f"| {group} | {' | '.join(str(counts[c]) for c in columns)} |" for group, counts in groups.items()]
    return [*lines, "", *told], not told


def _group(name: str, depth: int) -> str:
    return "/".join(name.split("/")[:depth])


def _state(before: Entry | None, after: Entry | None) -> str:
    if before is None or after is None:
        return "new" if before is None else "missing"
    keys = ("sha256", "refused", "failed")
    return "equal" if all(before.get(key) == after.get(key) for key in keys) else "different"


def _difference(before: Entry, after: Entry) -> str:
    """In words, as far as what is kept of both allows."""
    both = (before, after)
    if any("shape" not in entry for entry in both) or any(before[key] != after[key] for key in ("shape", "dtype")):
        return " -> ".join(_short(entry) for entry in both)
    apart = [_apart(*pair) for pair in zip(before["first"], after["first"])]
    whole = math.prod(before["shape"]) <= len(apart)
    kinds = {"all values" if whole else "first values": max(apart, default=0.0)}
    kinds |= {key: _apart(before[key], after[key]) for key in ("mean", "absmax")}
    return f"largest absolute difference of {', '.join(f'{kind} {value:.3g}' for kind, value in kinds.items())}"


def _apart(before: float, after: float) -> float:
    return 0.0 if before == after or (math.isnan(before) and math.isnan(after)) else abs(before - after)


def _short(entry: Entry) -> str:
    told: dict[str, Any] = {k: v for k, v in entry.items() if k in ("refused", "failed", "text", "shape", "dtype")}
    return ", ".join(f"{key} {value}" for key, value in told.items())


if __name__ == "__main__":
    sys.exit(main())
