"""Records whose content depends on the sample's number only, so that any cut into blocks says the same."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from lit_coiba.core.batch import Failure
from lit_coiba.store import BlockRecord, ExplanationStore, Manifest

SIZE = (3, 5)


def manifest(**identity: Any) -> Manifest:
    return Manifest({"model": "a1b2", "method": {"class": "CoIBA", "steps": 10}, "seed": 0, **identity}, {"devices": 1})


def sample_id(number: int) -> str:
    return f"class/{number:05d}.png"


def record(
    block: int, samples: Sequence[int], failed: Sequence[int] = (), size: tuple[int, int] = SIZE, top: int = 1
) -> BlockRecord:
    """Explanations of `samples`, each for `top` targets."""
    rows = [
        (number, rank, torch.Generator().manual_seed(10 * number + rank)) for number in samples for rank in range(top)
    ]

    def draw(*shape: int) -> torch.Tensor:
        return torch.stack([torch.rand(shape, generator=g) for *_, g in rows]) if rows else torch.zeros(0, *shape)

    return BlockRecord(
        block,
        tuple(sample_id(number) for number, *_ in rows),
        torch.tensor([number % 7 + 10 * rank for number, rank, _ in rows], dtype=torch.int64),
        torch.tensor([number % 7 - 1 for number, *_ in rows], dtype=torch.int64),
        draw(),
        draw(*size),
        {
            "bits": draw(),
            "per_layer": draw(2, 3).double(),
            "step": torch.tensor([n for n, *_ in rows], dtype=torch.int64),
        },
        tuple(Failure(sample_id(number), f"sample {number} is truncated") for number in failed),
    )


def blocks(total: int, rows: int = 4, **settings: Any) -> list[BlockRecord]:
    return [record(block, range(block * rows, (block + 1) * rows), **settings) for block in range(total)]


def filled(path: Path, records: list[BlockRecord]) -> ExplanationStore:
    store = ExplanationStore.open(path, manifest())
    for made in records:
        store.write(made)
    return ExplanationStore(path)
