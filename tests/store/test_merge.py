"""Stores of one run, made apart, become one."""

from pathlib import Path

import pytest

from lit_coiba.core.errors import InputError
from lit_coiba.store import ExplanationStore, Manifest, compaction, merge
from tests.store.synthetic import blocks, filled, manifest, record
from tests.store.test_blocks import flip_a_byte_of_the_maps


def shards(tmp_path: Path, count: int = 3, total: int = 9) -> list[ExplanationStore]:
    return [filled(tmp_path / f"shard{i}", blocks(total)[i::count]) for i in range(count)]


def files(folder: Path) -> dict[str, int]:
    return {str(file): file.stat().st_mtime_ns for file in sorted(folder.rglob("*"))}


def test_shards_are_joined_and_stay_as_they_are(tmp_path: Path) -> None:
    stores = shards(tmp_path)
    stores[1].compact()
    before = [files(store.path) for store in stores]
    joined = merge(tmp_path / "all", [store.path for store in stores])
    assert joined.digest() == filled(tmp_path / "straight", blocks(9)).digest()
    assert joined.missing(9) == []
    assert [row.id for row in joined] == joined.ids()
    assert len(list((joined.path / "blocks").iterdir())) == 1
    assert [files(store.path) for store in stores] == before
    once = files(joined.path)
    merge(tmp_path / "all", [store.path for store in stores])
    assert files(joined.path) == once


def test_a_bar_only_where_it_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [store.path for store in shards(tmp_path)]
    merge(tmp_path / "quiet", folders)
    assert capsys.readouterr() == ("", "")
    merge(tmp_path / "told", folders, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "Merging blocks" in err
    assert "9/9" in err


def test_overlapping_blocks_count_once_and_the_fewest_failures_win(tmp_path: Path) -> None:
    first = filled(tmp_path / "a", [record(0, [0, 1], failed=[2, 3]), *blocks(3)[1:]])
    second = filled(tmp_path / "b", blocks(2))
    for out, stores in (("ab", [first, second]), ("ba", [second, first])):
        joined = merge(tmp_path / out, [store.path for store in stores])
        assert joined.digest() == filled(tmp_path / "straight", blocks(3)).digest()
    assert merge(first.path, [second.path]).failures() == []  # into a store that has it worse
    assert len(first) == 12


def test_into_one_of_them(tmp_path: Path) -> None:
    stores = shards(tmp_path)
    joined = merge(stores[0].path, [store.path for store in stores])
    assert joined.digest() == filled(tmp_path / "straight", blocks(9)).digest()


def test_more_is_added_later_and_what_is_torn_is_left_out(tmp_path: Path) -> None:
    stores = shards(tmp_path)
    flip_a_byte_of_the_maps(stores[2].path / "blocks" / "000005.parquet")
    with pytest.warns(UserWarning, match=r"shard2/blocks/000005.parquet is truncated or belongs to another run"):
        joined = merge(tmp_path / "all", [store.path for store in stores])
    assert joined.missing(9) == [5]
    healed = filled(tmp_path / "healed", [blocks(9)[5]])
    assert merge(tmp_path / "all", [healed.path]).missing(9) == []
    assert joined.digest() == filled(tmp_path / "straight", blocks(9)).digest()


def test_an_interrupted_merge_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "FILE_BYTES", 12_000)
    stores = [store.path for store in shards(tmp_path)]
    real, calls = compaction._write, []

    def stops(index, target, wrote):
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(index, target, wrote)

    with monkeypatch.context() as patch:
        patch.setattr(compaction, "_write", stops)
        with pytest.raises(KeyboardInterrupt):
            merge(tmp_path / "all", stores)
    done = ExplanationStore(tmp_path / "all").missing(9)
    assert 0 < len(done) < 9
    joined = merge(tmp_path / "all", stores)
    assert joined.digest() == filled(tmp_path / "straight", blocks(9)).digest()


def test_another_run_is_refused_by_what_differs(tmp_path: Path) -> None:
    first = filled(tmp_path / "a", blocks(2))
    other = ExplanationStore.open(tmp_path / "b", manifest(statistics="f00"))
    with pytest.raises(InputError) as refused:
        merge(tmp_path / "all", [first.path, other.path])
    assert str(refused.value) == (
        f"{first.path} and {other.path} cannot be merged, since they were made with other arguments "
        '(statistics (absent) -> "f00"): merge stores of one model, method and dataset'
    )
    assert not (tmp_path / "all").exists()
    before = files(other.path)
    with pytest.raises(InputError, match="cannot be merged"):
        merge(other.path, [first.path])
    assert files(other.path) == before
    with pytest.raises(InputError, match="none is not a store"):
        merge(tmp_path / "all", [first.path, tmp_path / "none"])
    with pytest.raises(InputError, match="stores is empty"):
        merge(tmp_path / "all", [])


def test_statistics_and_circumstances_come_along(tmp_path: Path) -> None:
    stores = shards(tmp_path, 2)
    (stores[1].path / "statistics.safetensors").write_bytes(b"numbers")
    other = Manifest(stores[1].manifest.identity, {"devices": 7})
    ExplanationStore.open(stores[1].path, other)
    joined = merge(tmp_path / "all", [store.path for store in stores])
    assert (joined.path / "statistics.safetensors").read_bytes() == b"numbers"
    assert joined.manifest.identity == stores[0].manifest.identity
    assert joined.manifest.recorded == {"devices": 1}


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stores = [store.path for store in shards(tmp_path)]
    with monkeypatch.context() as patch:

        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(compaction.pq.ParquetWriter, "write_table", full)
        with pytest.raises(InputError, match=r"store .*all cannot be written \(No space left on device\); fix"):
            merge(tmp_path / "all", stores)
    assert merge(tmp_path / "all", stores).missing(9) == []
