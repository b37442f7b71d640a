"""Concepts of other classes that are nearly the same direction, of thousands of classes with little memory."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from lit_coiba.concepts.concept_run import ConceptRun
from lit_coiba.files.atomic import temporary_folder

THRESHOLD = 0.8  # ours: the original does not tell its own
KEPT = 5  # matches of a concept
_BLOCK = 1024  # concepts that are compared at once
_DIGITS = 4  # of a cosine


class Match(NamedTuple):
    """A concept of another class."""

    cls: int
    concept: int
    cosine: float


class Similar:
    """The most similar concepts of other classes, for every concept of a run.

    Args:
        run: The concepts of one layer.
        folder: Where a file of all directions may lie for a while.
        threshold: Smallest cosine of a match.
        kept: Most matches of a concept.
    """

    def __init__(self, run: ConceptRun, folder: Path, threshold: float = THRESHOLD, kept: int = KEPT) -> None:
        self._matches: dict[tuple[int, int], list[Match]] = {}
        with temporary_folder(folder / "directions") as place:
            owners, width = _write_directions(run, place / "rows")
            if len(owners):
                self._compare(place / "rows", owners, width, threshold, kept)

    def of(self, cls: int, concept: int) -> list[Match]:
        """Matches of a concept, the most similar first."""
        return self._matches.get((cls, concept), [])

    def _compare(self, file: Path, owners: np.ndarray, width: int, threshold: float, kept: int) -> None:
        for start in range(0, len(owners), _BLOCK):
            rows, own = _read(file, start, width), owners[start : start + _BLOCK]
            best = np.full((len(rows), 0), 0, np.float32)
            places = np.full((len(rows), 0), 0, np.int64)
            for first in range(0, len(owners), _BLOCK):
                others = owners[first : first + _BLOCK]
                cosines = np.round(rows @ _read(file, first, width).T, _DIGITS)
                cosines[own[:, :1] == others[None, :, 0]] = -1  # of the same class
                best, places = _merged(best, places, cosines, first, kept)
            for row, (cls, concept) in enumerate(own.tolist()):
                found = [(int(p), float(c)) for p, c in zip(places[row], best[row]) if c >= threshold]
                if found:
                    self._matches[cls, concept] = [
                        Match(int(owners[place, 0]), int(owners[place, 1]), round(cosine, _DIGITS))
                        for place, cosine in found
                    ]


def _merged(
    best: np.ndarray, places: np.ndarray, cosines: np.ndarray, first: int, kept: int
) -> tuple[np.ndarray, np.ndarray]:
    """The largest of the cosines so far and new ones; of equal ones the first."""
    both = np.concatenate([best, cosines], 1)
    numbers = np.concatenate([places, np.broadcast_to(first + np.arange(cosines.shape[1]), cosines.shape)], 1)
    order = np.argsort(-both, 1, kind="stable")[:, :kept]
    return np.take_along_axis(both, order, 1), np.take_along_axis(numbers, order, 1)


def _write_directions(run: ConceptRun, file: Path) -> tuple[np.ndarray, int]:
    """Write the unit directions of all concepts, class by class; (class, concept) of each row, and their width."""
    owners, width = [], 0
    with file.open("wb") as out:
        for cls in run.classes:
            if run.report(cls).reason:
                continue
            rows = run.concepts(cls).dictionary.double().numpy()
            width = width or rows.shape[1]
            if rows.shape[1] != width:
                continue
            sizes = np.linalg.norm(rows, axis=1, keepdims=True)
            out.write((rows / np.where(sizes > 0, sizes, 1)).astype(np.float32).tobytes())
            owners += [(cls, concept) for concept in range(len(rows))]
    return np.array(owners, np.int64).reshape(-1, 2), width


def _read(file: Path, start: int, width: int) -> np.ndarray:
    with file.open("rb") as stream:
        stream.seek(4 * width * start)
        return np.frombuffer(stream.read(4 * width * _BLOCK), np.float32).reshape(-1, width)
