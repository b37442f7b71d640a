import itertools
from collections.abc import Iterable
from dataclasses import replace

import pytest
import torch

from lit_coiba.store.digest import content_digest
from lit_coiba.store.records import BlockRecord, Columns, Row, to_table
from tests.store.synthetic import blocks


def rows(records: Iterable[BlockRecord]) -> list[Row]:
    tables = [Columns(to_table(record)) for record in records]
    return [table.row(index) for table in tables for index in range(len(table))]


EIGHT = rows(blocks(2))
FIRST = EIGHT[0]


def test_does_not_depend_on_the_order_of_rows() -> None:
    digests = {content_digest(order, []) for order in itertools.islice(itertools.permutations(EIGHT), 0, 40320, 4999)}
    assert len(digests) == 1


@pytest.mark.parametrize("rows_per_block", [1, 2, 4, 8])
def test_does_not_depend_on_the_cut_into_blocks(rows_per_block: int) -> None:
    assert content_digest(rows(blocks(8 // rows_per_block, rows_per_block)), []) == content_digest(EIGHT, [])


@pytest.mark.parametrize(
    "changed",
    [
        replace(FIRST, id="other"),
        replace(FIRST, label=FIRST.label + 1),
        replace(FIRST, target=FIRST.target + 1),
        replace(FIRST, probability=torch.nextafter(torch.tensor(FIRST.probability), torch.tensor(1.0)).item()),
        replace(FIRST, map=torch.nextafter(FIRST.map, torch.ones(()))),
        replace(FIRST, map=FIRST.map.T.contiguous()),
        replace(FIRST, map=FIRST.map.reshape(5, 3)),
        replace(FIRST, extras={**FIRST.extras, "bits": FIRST.extras["bits"].double()}),
        replace(FIRST, extras={**FIRST.extras, "step": FIRST.extras["step"] + 1}),
        replace(FIRST, extras={**FIRST.extras, "per_layer": FIRST.extras["per_layer"].reshape(3, 2)}),
        replace(FIRST, extras={name.upper(): values for name, values in FIRST.extras.items()}),
        replace(FIRST, extras={}),
    ],
    ids=["id", "label", "target", "probability", "map", "map.T", "map shape", "type", "step", "shape", "name", "none"],
)
def test_depends_on_every_bit_of_a_row(changed: Row) -> None:
    assert content_digest([changed, *EIGHT[1:]], []) != content_digest(EIGHT, [])


def test_tells_the_sign_of_zero() -> None:
    zero = replace(FIRST, map=torch.zeros(2, 2))
    assert content_digest([zero], []) != content_digest([replace(zero, map=-zero.map)], [])


def test_counts_rows_and_failed_samples() -> None:
    contents = [(EIGHT, []), (EIGHT[1:], []), (EIGHT, ["x"]), ([], [])]
    assert len({content_digest(*content) for content in contents}) == 4
    assert content_digest([], ["b", "a"]) == content_digest([], ["a", "b", "a"])


def test_order_of_extras_does_not_count() -> None:
    turned = replace(FIRST, extras=dict(reversed(FIRST.extras.items())))
    assert content_digest([turned], []) == content_digest([FIRST], [])


def test_is_pinned() -> None:
    """Stores of past versions keep their digest: the value, from the definition by hand, must never change."""
    import hashlib
    import struct

    def part(name: str, dtype: str, shape: str, data: bytes) -> bytes:
        header = f'["{name}", "{dtype}", {shape}]'.encode()
        return struct.pack("<Q", len(header)) + header + data

    row = Row("é", -1, 3, 0.5, torch.tensor([[1.0, 2.0]]), {"n": torch.tensor([7])})
    text = rb'["\u00e9", -1, 3]'
    text += part("probability", "<f4", "[]", struct.pack("<f", 0.5))
    text += part("map", "<f4", "[1, 2]", struct.pack("<2f", 1.0, 2.0))
    text += part("extra n", "<i8", "[1]", struct.pack("<q", 7))
    expected = hashlib.sha256(hashlib.sha256(text).digest() + b'["failed", "bad"]').hexdigest()
    assert content_digest([row], ["bad"]) == expected
