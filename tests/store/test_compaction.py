"""Few files for many blocks: the same content, whatever happens meanwhile."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from lit_coiba.core.errors import InputError
from lit_coiba.store import BlockRecord, ExplanationStore, compaction
from tests.store.synthetic import blocks, filled, manifest, record, sample_id
from tests.store.test_blocks import flip_a_byte_of_the_maps
from tests.store.test_kill_and_resume import ROOT

MIXED = [record(0, [], failed=[0, 1]), record(1, [2, 3], failed=[4]), *blocks(5)[2:], record(5, [], failed=[20])]


def files(store: ExplanationStore) -> list[str]:
    return sorted(file.name for file in (store.path / "blocks").iterdir())


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large files of two or three blocks, row groups of one or two."""
    monkeypatch.setattr(compaction, "FILE_BYTES", 12_000)
    monkeypatch.setattr(compaction, "GROUP_BYTES", 900)


class Killed(BaseException):
    """What a process does not live to see."""


def dies_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Stop at the n-th change to the folder: a file that takes its name, or goes."""
    left = [step]

    def counted(real):
        def change(*arguments, **more):
            if Path(arguments[0]).name.endswith(".tmp") and real is unlink:  # tidying up is not reached by the killed
                return real(*arguments, **more)
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return real(*arguments, **more)

        return change

    unlink = Path.unlink
    monkeypatch.setattr(os, "replace", counted(os.replace))
    monkeypatch.setattr(Path, "unlink", counted(unlink))


def test_a_few_files_say_the_same(tmp_path: Path) -> None:
    store = filled(tmp_path / "a", MIXED)
    before = (store.digest(), store.keys(), store.failures(), [row.id for row in store])
    store.compact()
    assert len(files(store)) == 1
    for reader in (store, ExplanationStore(store.path)):
        assert (reader.digest(), reader.keys(), reader.failures(), [row.id for row in reader]) == before
        assert reader.missing(7) == [6]
        row, made = reader[sample_id(13)], MIXED[3]
        assert torch.equal(row.map, made.maps[1])
        assert all(torch.equal(row.extras[name], made.extras[name][1]) for name in row.extras)
    table = pq.read_table(store.path / "blocks" / files(store)[0])
    assert table["id"].to_pylist()[:3] == [sample_id(n) for n in (0, 1, 2)]


def test_maps_are_packed_well_once(tmp_path: Path) -> None:
    def codec(file: str) -> str:
        group = pq.read_metadata(store.path / "blocks" / file).row_group(0)
        return next(c.compression for c in map(group.column, range(group.num_columns)) if "map" in c.path_in_schema)

    store = filled(tmp_path, blocks(3, size=(64, 64)))
    before = [(store.path / "blocks" / file).stat().st_size for file in files(store)]
    assert {codec(file) for file in files(store)} == {"LZ4"}
    store.compact()
    (packed,) = files(store)
    assert codec(packed) == "ZSTD"
    assert (store.path / "blocks" / packed).stat().st_size < 0.9 * sum(before)


def test_once_is_enough(tmp_path: Path) -> None:
    store = filled(tmp_path, MIXED)
    store.compact()
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "blocks").iterdir()}
    ExplanationStore(tmp_path).compact()
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "blocks").iterdir()} == before


@pytest.mark.usefixtures("small")
def test_large_files_have_a_size_and_row_groups_whole_blocks(tmp_path: Path) -> None:
    store = filled(tmp_path, blocks(12))
    straight = store.digest()
    store.compact()
    assert 3 <= len(files(store)) <= 6
    groups = [pq.read_metadata(tmp_path / "blocks" / name) for name in files(store)]
    rows = [data.row_group(group).num_rows for data in groups for group in range(data.num_row_groups)]
    assert set(rows) <= {4, 8}
    assert sum(rows) == 48
    assert store.digest() == straight


def test_blocks_with_other_extras_or_sizes_of_maps(tmp_path: Path) -> None:
    other = record(2, range(8, 12), size=(9, 2))
    plain = other._replace(block=3, ids=tuple(map(sample_id, range(12, 16))), extras={})
    store = filled(tmp_path, [*blocks(2), other, plain])
    straight = store.digest()
    store.compact()
    assert len(files(store)) == 2  # extras are columns, sizes are not
    assert store.digest() == straight


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("step", range(12))
def test_killed_at_any_change_to_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Old large files, blocks that were mended since, a gap filled: everything that can lie in two files."""
    total, torn = 16, (2, 9)
    first = [
        record(k, [4 * k], failed=range(4 * k + 1, 4 * k + 4)) if k in torn else made
        for k, made in enumerate(blocks(total))
    ]
    store = filled(tmp_path / "store", [made for made in first if made.block != 5])
    store.compact()
    for block in (*torn, 5):
        store.write(blocks(total)[block])
    assert store.digest() == filled(tmp_path / "straight", blocks(total)).digest()
    with monkeypatch.context() as patch:
        dies_at(patch, step)
        try:
            store.compact()
        except Killed:
            killed = True
        else:
            killed = False
    reader = ExplanationStore(tmp_path / "store")
    assert reader.missing(total) == []
    assert reader.digest() == ExplanationStore(tmp_path / "straight").digest()
    assert reader.failures() == []
    ExplanationStore.open(tmp_path / "store", manifest()).compact()
    assert reader.digest() == ExplanationStore(tmp_path / "straight").digest()
    assert not [name for name in files(reader) if "-" not in name]
    assert killed or step > 5


def test_a_mended_block_counts_before_the_large_file(tmp_path: Path) -> None:
    store = filled(tmp_path, [record(0, [0, 1], failed=[2, 3]), *blocks(3)[1:]])
    store.compact()
    assert len(store.failures()) == 2
    store.write(blocks(1)[0])
    assert store.failures() == []
    assert len(store) == 12
    store.write(record(0, [2, 3], failed=[0, 1]), keep=False)
    assert sample_id(0) not in ExplanationStore(tmp_path)
    store.compact()
    assert len(files(store)) == 1
    assert (len(store), len(store.failures())) == (10, 2)


def test_readers_lose_and_repeat_nothing_when_it_happens_in_the_middle(tmp_path: Path) -> None:
    store, reader = filled(tmp_path, blocks(4, top=2)), ExplanationStore(tmp_path)
    expected = [(row.id, row.target) for row in store]
    rows = iter(reader)
    found = [next(rows) for _ in range(5)]
    store.compact()
    found += rows
    assert [(row.id, row.target) for row in found] == expected


@pytest.mark.usefixtures("small")
def test_two_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process does all of it while this one is about to write its second file."""
    store = filled(tmp_path, blocks(9))
    straight = store.digest()
    real, calls = compaction._write, []

    def overtaken(index, target, wrote):
        calls.append(target)
        if len(calls) == 2:
            ExplanationStore(tmp_path).compact()
        return real(index, target, wrote)

    monkeypatch.setattr(compaction, "_write", overtaken)
    store.compact()
    assert ExplanationStore(tmp_path).digest() == straight
    assert not [name for name in files(store) if "-" not in name]
    assert len(ExplanationStore(tmp_path)) == 36


def test_a_block_that_changes_meanwhile_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(tmp_path, [record(0, [0, 1], failed=[2, 3]), *blocks(3)[1:]])
    real = compaction._tables

    def mended(*args):
        yield from real(*args)
        if not ExplanationStore(tmp_path).failures():
            return
        ExplanationStore(tmp_path).write(blocks(1)[0])

    monkeypatch.setattr(compaction, "_tables", mended)
    store.compact()
    assert len(files(store)) == 1
    assert (store.failures(), len(store)) == ([], 12)


def test_a_full_disk_leaves_everything_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(tmp_path, blocks(3))
    before, straight = files(store), store.digest()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(InputError, match=r"cannot be compacted \(No space left on device\); all its"):
            store.compact()
    assert files(store) == before
    assert store.digest() == straight


def test_a_torn_block_stops_it_and_is_named(tmp_path: Path) -> None:
    store = filled(tmp_path, blocks(3))
    flip_a_byte_of_the_maps(tmp_path / "blocks" / "000001.parquet")
    with pytest.raises(InputError, match=r"000001.parquet is truncated .*: rerun the command that wrote it"):
        store.compact()
    assert files(store) == [f"{block:06d}.parquet" for block in range(3)]


@pytest.mark.usefixtures("small")
def test_damage_to_a_large_file_costs_a_row_group(tmp_path: Path) -> None:
    store = filled(tmp_path, blocks(4))
    straight = store.digest()
    store.compact()
    flip_a_byte_of_the_maps(tmp_path / "blocks" / files(store)[0])  # of its first row group
    with pytest.warns(UserWarning, match=r"is truncated or belongs to another run .* counts as missing"):
        missing = store.missing(4)
    assert 0 in missing
    assert len(missing) < 3
    for block in missing:
        store.write(blocks(4)[block])
    store.compact()
    assert store.missing(4) == []
    assert store.digest() == straight


def test_foreign_names_are_told(tmp_path: Path) -> None:
    store = filled(tmp_path, blocks(3))
    store.compact()
    (name,) = files(store)
    (tmp_path / "blocks" / name).rename(tmp_path / "blocks" / name.replace("000002", "000009"))
    with pytest.warns(UserWarning, match=r"truncated or belongs to another run \(it holds block 0\)"):
        assert store.missing(3) == [0, 1, 2]


def test_a_large_store_opens_and_answers_fast(tmp_path: Path) -> None:
    """20,000 rows of 8 x 8; the limits of the issue with room for a busy machine."""
    rows = 500
    store = ExplanationStore.open(tmp_path, manifest())
    for block in range(40):
        ids = tuple(sample_id(n) for n in range(block * rows, (block + 1) * rows))
        zeros = torch.zeros(rows, dtype=torch.int64)
        maps = torch.full((rows, 8, 8), float(block))
        store.write(BlockRecord(block, ids, zeros, zeros, zeros / 2, maps, {"bits": maps.mean((1, 2))}))
    store.compact()
    began = time.process_time()
    reader = ExplanationStore(tmp_path)
    assert len(reader) == 20_000
    assert time.process_time() - began < 1
    began = time.process_time()
    for number in range(0, 20_000, 400):
        assert reader[sample_id(number)].map[0, 0] == number // rows
    assert (time.process_time() - began) / 50 < 0.02


def test_the_first_look_up_imports_no_pandas(tmp_path: Path) -> None:
    """It would take most of a second."""
    filled(tmp_path, blocks(2)).compact()
    code = "import sys; from lit_coiba.store import ExplanationStore as S; S(sys.argv[1])[sys.argv[2]]"
    code += "; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path), sample_id(5)], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"pyarrow.parquet" in done.stdout
    assert b"pandas.core" not in done.stdout
