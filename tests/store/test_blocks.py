import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from lit_coiba.store.blocks import BlockFile, DamagedBlock, StaleBlock, list_blocks, read_keys, read_rows, write_block
from tests.store.synthetic import record, sample_id

IDENTITY = "0" * 64


def read(path: Path, identity: str = IDENTITY) -> BlockFile:
    return read_keys(path, list_blocks(path.parent)[path.name], identity)


def flip_a_byte_of_the_maps(path: Path) -> None:
    """Damage as a bad disk does it: length, footer and keys stay whole."""
    group = pq.read_metadata(path).row_group(0)
    (column,) = [group.column(i) for i in range(group.num_columns) if group.column(i).path_in_schema.startswith("map")]
    content = bytearray(path.read_bytes())
    content[column.data_page_offset + column.total_compressed_size - 5] ^= 0xFF
    path.write_bytes(content)


def test_holds_the_record(tmp_path: Path) -> None:
    made = record(7, range(5), failed=[5], top=2)
    path = write_block(tmp_path, made, IDENTITY)
    file = read(path)
    assert path.name == "000007.parquet"
    (part,) = file.parts
    assert (part.block, file.range, file.compact) == (7, (7, 7), False)
    assert part.keys == list(zip(made.ids, made.targets.tolist()))
    assert part.failures == made.failures
    columns = read_rows(file, 0)
    assert torch.equal(torch.stack([columns.row(i).map for i in range(10)]), made.maps)


def test_another_program_can_read_it(tmp_path: Path) -> None:
    made = record(0, range(2), failed=[2])
    table = pq.read_table(write_block(tmp_path, made, IDENTITY))
    assert table["id"].to_pylist() == [sample_id(n) for n in range(3)]
    assert table["map"].to_pylist() == [*made.maps.flatten(1).tolist(), None]


def test_the_same_record_gives_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    first = write_block(tmp_path, record(0, range(4), failed=[4]), IDENTITY).read_bytes()
    assert write_block(tmp_path, record(0, range(4), failed=[4]), IDENTITY).read_bytes() == first
    assert write_block(tmp_path / "again", record(0, range(4), failed=[4]), IDENTITY).read_bytes() == first


def test_an_empty_block_is_a_block(tmp_path: Path) -> None:
    file = read(write_block(tmp_path, record(0, []), IDENTITY))
    (part,) = file.parts
    assert (part.block, part.length, part.keys) == (0, 0, [])


def test_blocks_come_in_order_of_number(tmp_path: Path) -> None:
    for block in (1_000_000, 2, 999_999, 0):
        write_block(tmp_path, record(block, [block]), IDENTITY)
    (tmp_path / ".000001.parquet.0-1-0.tmp").touch()
    (tmp_path / ".000003.parquet").touch()
    (tmp_path / "notes.txt").touch()
    assert list(list_blocks(tmp_path)) == ["000000.parquet", "000002.parquet", "999999.parquet", "1000000.parquet"]


def test_a_folder_that_is_not_there_has_no_blocks(tmp_path: Path) -> None:
    assert list_blocks(tmp_path / "none") == {}


def test_a_folder_is_looked_at_until_nothing_goes_between_two_looks(tmp_path: Path, monkeypatch) -> None:
    """While files are merged, one look may miss the new file and the old ones: here the first sees half of the old."""
    looks = [{"000000.parquet": (1, 1, 1)}, {}, {"000000-000001.0123456789ab.parquet": (2, 2, 2)}]
    looks.append(looks[-1])
    monkeypatch.setattr("lit_coiba.store.blocks._look", lambda folder: looks.pop(0))
    assert list(list_blocks(tmp_path)) == ["000000-000001.0123456789ab.parquet"]


@pytest.mark.parametrize("kept", [0, 3, 0.5, -1])
def test_a_torn_file_is_damaged(tmp_path: Path, kept: float) -> None:
    path = write_block(tmp_path, record(0, range(4)), IDENTITY)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if kept == 0.5 else int(kept)])
    with pytest.raises(DamagedBlock, match=r"000000\.parquet is truncated or belongs to another run \(.+\)$"):
        read(path)


def test_a_damaged_map_is_found_when_it_is_read(tmp_path: Path) -> None:
    path = write_block(tmp_path, record(0, range(4), size=(16, 16)), IDENTITY)
    flip_a_byte_of_the_maps(path)
    file = read(path)
    with pytest.raises(DamagedBlock, match=r"CRC|checksum"):
        read_rows(file, 0)


def test_foreign_files_are_told(tmp_path: Path) -> None:
    ours = write_block(tmp_path, record(0, range(4)), IDENTITY)
    with pytest.raises(DamagedBlock, match="it belongs to a run with other arguments"):
        read(ours, identity="1" * 64)
    with pytest.raises(DamagedBlock, match="it holds block 0"):
        read(Path(shutil.copy(ours, tmp_path / "000001.parquet")))
    with pytest.raises(DamagedBlock, match="it holds block 0"):
        read(Path(shutil.copy(ours, tmp_path / "copy.parquet")))
    pq.write_table(pa.table({"id": ["a"], "score": [1.0]}), tmp_path / "000002.parquet")
    with pytest.raises(DamagedBlock, match="it is not a block of explanations"):
        read(tmp_path / "000002.parquet")
    (tmp_path / "000003.parquet").write_text("id,label\n" * 99)
    with pytest.raises(DamagedBlock, match="truncated or belongs to another run"):
        read(tmp_path / "000003.parquet")
    (tmp_path / "000004.parquet").mkdir()
    with pytest.raises(DamagedBlock, match="truncated or belongs to another run"):
        read(tmp_path / "000004.parquet")


def test_a_file_that_changed_since_its_keys_were_read_is_stale(tmp_path: Path) -> None:
    file = read(write_block(tmp_path, record(0, range(4)), IDENTITY))
    write_block(tmp_path, record(0, range(3)), IDENTITY)
    with pytest.raises(StaleBlock):
        read_rows(file, 0)
    file.path.unlink()
    with pytest.raises(StaleBlock):
        read_rows(file, 0)
