"""What a run does to its store: blocks written in any order, cut short, refused by the disk, or damaged later."""

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from lit_coiba.core.batch import Failure
from lit_coiba.core.errors import InputError
from lit_coiba.store import ExplanationStore
from tests.store.synthetic import blocks, filled, manifest, record, sample_id
from tests.store.test_blocks import flip_a_byte_of_the_maps


class TestWriting:
    def test_what_is_done_is_what_files_exist(self, tmp_path: Path) -> None:
        store = ExplanationStore.open(tmp_path, manifest())
        assert store.missing(4) == [0, 1, 2, 3]
        store.write(record(2, range(4)))
        store.write(record(0, [], failed=[9]))
        assert store.missing(4) == [1, 3]
        (tmp_path / "blocks" / "000002.parquet").unlink()
        assert store.missing(4) == [1, 2, 3]

    def test_digest_is_the_same_in_any_order_and_written_twice(self, tmp_path: Path) -> None:
        straight = filled(tmp_path / "a", blocks(4)).digest()
        assert filled(tmp_path / "b", blocks(4)[::-1] + blocks(2)).digest() == straight
        assert filled(tmp_path / "c", blocks(2, rows=8)).digest() == straight
        assert filled(tmp_path / "d", blocks(3)).digest() != straight

    def test_failures_count_in_the_digest_and_their_reasons_do_not(self, tmp_path: Path) -> None:
        digests = []
        for name, failed in {"a": [4], "b": [5], "c": []}.items():
            digests.append(filled(tmp_path / name, [record(0, range(4), failed=failed)]).digest())
        assert len(set(digests)) == 3
        reworded = record(0, range(4))._replace(failures=(Failure(sample_id(4), "/mnt/x.png: truncated"),))
        assert filled(tmp_path / "d", [reworded]).digest() == digests[0]

    def test_a_crash_before_the_file_has_its_name_leaves_the_block_to_do(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = filled(tmp_path, blocks(1))

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", full)
            with pytest.raises(InputError) as refused:
                store.write(record(1, range(4, 8)))
        assert str(refused.value) == (
            f"store {tmp_path}: block 1 cannot be written (No space left on device); fix the cause and rerun the "
            "same command: finished blocks are kept"
        )
        assert os.listdir(tmp_path / "blocks") == ["000000.parquet"]
        assert store.missing(2) == [1]

    def test_a_disk_that_takes_half_a_block_keeps_none_of_it(self, tmp_path: Path) -> None:
        store = filled(tmp_path, blocks(1))
        large = record(1, range(4), size=(64, 64))
        with room_for(10_000), pytest.raises(InputError, match=r"block 1 cannot be written \(File too large\)"):
            store.write(large)
        assert os.listdir(tmp_path / "blocks") == ["000000.parquet"]
        assert len(store) == 4

    def test_a_folder_that_went_is_one_sentence(self, tmp_path: Path) -> None:
        store = filled(tmp_path, [])
        (tmp_path / "blocks").rmdir()
        (tmp_path / "blocks").touch()
        with pytest.raises(InputError, match=r"block 0 cannot be written \(Not a directory\)"):
            store.write(record(0, range(4)))


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """The system refuses to make files larger than `size` bytes, as a full disk does: in the middle of a write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class TestDamage:
    def test_a_torn_file_counts_as_missing_with_one_warning(self, tmp_path: Path) -> None:
        store = filled(tmp_path, blocks(3))
        path = tmp_path / "blocks" / "000001.parquet"
        path.write_bytes(path.read_bytes()[:-9])
        with pytest.warns(
            UserWarning, match=r"000001.parquet is truncated or belongs to another run .* counts as missing"
        ):
            assert store.missing(3) == [1]
        assert store.missing(3) == [1]  # a second warning would be an error
        assert len(store) == 8
        assert len(list(store)) == 8
        assert torch.equal(store[sample_id(9)].map, blocks(3)[2].maps[1])

    def test_a_rewritten_block_heals_the_store(self, tmp_path: Path) -> None:
        store = filled(tmp_path, blocks(2))
        straight = store.digest()
        flip_a_byte_of_the_maps(tmp_path / "blocks" / "000000.parquet")
        with pytest.warns(UserWarning, match="000000.parquet"):
            assert store.missing(2) == [0]
        store.write(blocks(1)[0])
        assert store.missing(2) == []
        assert store.digest() == straight

    def test_damage_to_maps_spares_the_other_blocks(self, tmp_path: Path) -> None:
        store = filled(tmp_path, blocks(3))
        flip_a_byte_of_the_maps(tmp_path / "blocks" / "000001.parquet")
        with pytest.raises(
            InputError,
            match=r"'class/00004.png' cannot be read: .*000001.parquet is truncated or belongs to another run",
        ):
            store[sample_id(4)]
        assert store[sample_id(3)].target == 3
        with pytest.warns(UserWarning, match="000001.parquet is truncated"):
            rows = list(store)
        assert [row.id for row in rows] == [sample_id(n) for n in (0, 1, 2, 3, 8, 9, 10, 11)]
        assert store.missing(3) == [1]  # a second warning would be an error

    def test_blocks_of_another_run_are_foreign(self, tmp_path: Path) -> None:
        store = filled(tmp_path / "ours", blocks(1))
        other = ExplanationStore.open(tmp_path / "other", manifest(seed=1))
        other.write(record(1, range(4, 8)))
        (other.path / "blocks" / "000001.parquet").rename(store.path / "blocks" / "000001.parquet")
        with pytest.warns(UserWarning, match=r"\(it belongs to a run with other arguments\)"):
            assert store.missing(2) == [1]
        assert len(store) == 4
