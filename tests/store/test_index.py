import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lit_coiba.core.errors import InputError
from lit_coiba.store import ExplanationStore
from tests.store.synthetic import blocks, filled, manifest, record, sample_id


@pytest.fixture
def store(tmp_path: Path) -> ExplanationStore:
    store = ExplanationStore.open(tmp_path, manifest())
    for made in blocks(4, top=2):
        store.write(made)
    return store


def test_rows_in_two_files_count_once(store: ExplanationStore) -> None:
    store.write(record(9, range(4), top=2))
    assert len(store) == 32
    assert len(list(store)) == 32
    (store.path / "blocks" / "000000.parquet").unlink()
    assert len(list(store)) == 32


def test_a_block_written_anew_with_other_rows_is_found_again(store: ExplanationStore) -> None:
    reader = ExplanationStore(store.path)
    assert reader[sample_id(2), 2].id == sample_id(2)
    store.write(record(0, [2, 3], failed=[0, 1]), keep=False)
    row = reader[sample_id(3), 3]
    assert row.id == sample_id(3)
    assert len(reader) == 26
    assert len(reader.failures()) == 2


def test_rows_that_vanish_while_they_are_read_are_named(store: ExplanationStore) -> None:
    rows = iter(store)
    next(rows)
    (store.path / "blocks" / "000001.parquet").unlink()
    with pytest.raises(InputError, match=r"'class/00004.png' was removed"):
        list(rows)


def test_the_rows_of_one_block_are_read_once(store: ExplanationStore, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    real = pq.ParquetFile.read_row_group
    len(store)

    def counted(self: pq.ParquetFile, group: int, *settings: Any, **named: Any) -> pa.Table:
        reads.append(group)
        return real(self, group, *settings, **named)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counted)
    list(store)
    assert len(reads) == 4


def test_whole_files_are_verified_once(store: ExplanationStore, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store.missing(4) == []
    monkeypatch.setattr(pq.ParquetFile, "read_row_group", None)
    assert store.missing(4) == []


def test_iterating_holds_a_few_blocks_in_memory(tmp_path: Path) -> None:
    size = 16 * 64 * 64 * 4  # bytes of maps in a block
    store = ExplanationStore.open(tmp_path, manifest())
    for made in blocks(40, rows=16, size=(64, 64)):
        store.write(made)
    len(store)
    start = pa.total_allocated_bytes()
    arrow = 0
    tracemalloc.start()
    for _ in store:
        arrow = max(arrow, pa.total_allocated_bytes() - start)
    _, python = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert arrow < 4 * size
    assert python < 4 * size


@pytest.mark.parametrize("together", [False, True])
def test_numbers_are_those_of_the_rows_and_no_map_is_read(tmp_path: Path, together: bool, monkeypatch) -> None:
    mixed = [record(0, [], failed=[0]), record(1, [1, 2], failed=[3], top=2), record(2, [4, 5])]
    store, read = filled(tmp_path, mixed), []
    if together:
        store.compact()
    expected = {block: store.block(block) for block in range(4)}
    real = pq.ParquetFile.read_row_group

    def watched(self: pq.ParquetFile, group: int, columns: list[str] | None = None, **named: Any) -> pa.Table:
        read.extend(columns or ["map"])
        return real(self, group, columns, **named)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", watched)
    for block, samples, numbers in store.numbers(range(4)):
        rows = expected[block]
        assert samples == [row.id for row in rows]
        if rows:
            assert numbers.keys() == {"probability", "bits", "step"}
            assert numbers["probability"] == [row.probability for row in rows]
            assert all(numbers[name] == [float(row.extras[name]) for row in rows] for name in ("bits", "step"))
    assert read
    assert "map" not in read
