"""Lists and help pages that are made beforehand, so that nobody waits for PyTorch to read them.

    python -m lit_coiba.cli.pages.static

writes them anew, where docstrings, signatures or cards have changed; a test compares. Where the package has a class
that they do not know, what is shown comes from the classes themselves.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from lit_coiba.cli.pages.cards import Listing
from lit_coiba.cli.pages.page import Page, Part
from lit_coiba.cli.verb import TrainerVerb, Verb

FILE = Path(__file__).with_name("static.json")
PACKAGE = Path(__file__).parents[2]
ROOMS = ("attribution", "bottlenecks", "data", "feature_visualization", "heads", "metrics", "training")
_CLASS = re.compile(r"^class (\w+)", re.MULTILINE)


class Told(msgspec.Struct):
    """The page of a verb."""

    usage: str
    text: str
    parts: list[int]  # of `Static.parts`: most pages share most of theirs


class Static(msgspec.Struct):
    """All of it."""

    offered: list[str]  # classes that files of the package are named for
    methods: Listing
    metrics: Listing
    pages: dict[str, Told]
    parts: list[Part]


def listing(verb: Literal["methods", "metrics"]) -> Listing:
    """The list of the methods, or of the metrics."""
    if (known := static()) is not None:
        return known.methods if verb == "methods" else known.metrics
    from lit_coiba.cli.pages import method_cards, metric_cards

    cards = method_cards if verb == "methods" else metric_cards
    return cards.listing(cards.pages())


def known_page(verb: Verb) -> Page | None:
    """The help page of a verb where nothing else is said; None = it is not known."""
    known = static()
    if known is None or verb.name not in known.pages:
        return None
    told = known.pages[verb.name]
    return Page(told.usage, told.text, [known.parts[number] for number in told.parts])


@cache
def static() -> Static | None:
    """What the file has; None where a class of the package is not in it."""
    found = msgspec.json.decode(FILE.read_bytes(), type=Static)
    return found if found.offered == sorted(_offered()) else None


def made() -> Static:
    """What the file should have, from the classes themselves."""
    from lit_coiba.cli.pages import method_cards, metric_cards
    from lit_coiba.cli.pages.trainer_help import help_page
    from lit_coiba.cli.verbs import all_verbs

    pages: dict[str, Told] = {}
    parts: list[Part] = []
    for verb in all_verbs().values():
        if isinstance(verb, TrainerVerb):
            page = help_page(verb)
            parts += [part for part in page.parts if part not in parts]
            pages[verb.name] = Told(page.usage, page.text, list(map(parts.index, page.parts)))
    methods, metrics = method_cards.listing(method_cards.pages()), metric_cards.listing(metric_cards.pages())
    return Static(sorted(_offered()), methods, metrics, pages, parts)


def _offered() -> Iterator[str]:
    """Names of classes that are named for their file, read from the text of the source: nothing is imported for it."""
    for room in ROOMS:
        package = sys.modules.get(f"lit_coiba.{room}")
        for folder in getattr(package, "__path__", [PACKAGE / room]):
            for file in Path(folder).rglob("*.py"):
                stem = file.stem.replace("_", "")
                names = _CLASS.findall(file.read_text(encoding="utf-8"))
                yield from (name for name in names if name.lower() in (stem, f"{stem}head"))


if __name__ == "__main__":
    FILE.write_bytes(msgspec.json.format(msgspec.json.encode(made()), indent=1) + b"\n")
