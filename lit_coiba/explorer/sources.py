"""All that the pages of a site are made of, opened once."""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from lit_coiba import __version__
from lit_coiba.concepts.concept_names import Names
from lit_coiba.core.printable import printable
from lit_coiba.explorer.explained import Explained
from lit_coiba.explorer.page_data import ClassLink, Site
from lit_coiba.explorer.predictions import Predictions
from lit_coiba.explorer.runs import Runs
from lit_coiba.explorer.sample_images import SampleImages
from lit_coiba.explorer.similar import Similar
from lit_coiba.pictures.names import class_name

NAME = 120  # characters of a name that is shown
_FORMAT = 1  # of the files of a site; another number makes all parts anew


@dataclass(frozen=True)
class Sources:
    """The runs of a model, and what follows from them."""

    runs: Runs
    predictions: Predictions
    explained: Explained
    names: tuple[Names, ...]  # of concepts, for each concept run
    similar: tuple[Similar, ...]  # for each concept run
    images: SampleImages
    site: Site
    classes: tuple[int, ...]  # that have a page, in order
    code: str  # digest of the templates
    other: Runs | None = None
    other_predictions: Predictions | None = None
    pages: frozenset[int] = field(default=frozenset())

    def name(self, cls: int) -> str:
        """The name of a class, in one printable line."""
        return shown_class(self.runs, cls)

    def link(self, cls: int) -> ClassLink:
        """A class, with the address of its page if it has one."""
        return ClassLink(cls, self.name(cls), class_address(cls) if cls in self.pages else None)

    def concept_name(self, layer: int, cls: int, concept: int) -> tuple[str, bool]:
        """What a concept is called, and whether people called it so."""
        given = self.names[layer].get(cls, {}).get(concept)
        return (given, True) if given else (f"Concept {concept}", False)

    def neighbors(self, cls: int) -> tuple[str | None, str | None]:
        """Addresses of the pages before and after that of a class."""
        place = bisect_left(self.classes, cls)
        before = class_address(self.classes[place - 1]) if place else None
        after = class_address(self.classes[place + 1]) if place + 1 < len(self.classes) else None
        return before, after

    def digest(self, parts: Iterable[Any]) -> str:
        """SHA-256 of what a part is made of, and of what makes it."""
        sha = hashlib.sha256(f"{__version__} {_FORMAT} {self.code}".encode())
        sha.update(msgspec.json.encode(self.site))
        for part in parts:
            content = part if isinstance(part, bytes) else msgspec.json.encode(part, order="deterministic")
            sha.update(len(content).to_bytes(8, "little") + content)
        return sha.hexdigest()


def shown(text: object, limit: int = NAME) -> str:
    """A text of a run in one printable line."""
    return printable(text, limit)


def known(value: float | None) -> float | None:
    """A number of a run; None where it is none, as JSON has it."""
    return value if value is not None and math.isfinite(value) else None


def shown_class(runs: Runs, cls: int) -> str:
    """The name of a class of a model."""
    return shown(class_name(cls, runs.class_names))


def class_address(cls: int) -> str:
    """Address of the page of a class."""
    return f"classes/{cls:05d}.html"


def concept_address(cls: int, concept: int, layer: int) -> str:
    """Address of the page of a concept."""
    return f"concepts/{cls:05d}-{concept:02d}{f'-{layer}' if layer else ''}.html"


def gallery_address(cls: int, part: int) -> str:
    """Address of a page of samples."""
    return f"gallery/{cls:05d}-{part:03d}.html"


def unit_address(unit: int) -> str:
    """Address of the page of a unit."""
    return f"prototypes/{unit:05d}.html"


def comparison_address(cls: int) -> str:
    """Address of the comparison of a class in two models."""
    return f"compare/{cls:05d}.html"
