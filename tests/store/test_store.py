import os
import pickle
import statistics
import sys
import time
import warnings
from pathlib import Path

import pytest
import torch

from lit_coiba.core.batch import Failure
from lit_coiba.core.errors import InputError
from lit_coiba.store import ExplanationStore, Manifest
from lit_coiba.store.manifest import FILE_NAME
from tests.store.synthetic import blocks, filled, manifest, record, sample_id


class TestReading:
    def test_a_row_by_id(self, tmp_path: Path) -> None:
        made = blocks(3)
        row = filled(tmp_path, made)[sample_id(5)]
        assert (row.id, row.target, row.label) == (sample_id(5), 5, 4)
        assert row.probability == made[1].probabilities[1].item()
        assert torch.equal(row.map, made[1].maps[1])
        assert {name: values.dtype for name, values in row.extras.items()} == {
            "bits": torch.float32,
            "per_layer": torch.float64,
            "step": torch.int64,
        }
        assert all(torch.equal(row.extras[name], made[1].extras[name][1]) for name in row.extras)

    def test_a_row_by_id_and_target(self, tmp_path: Path) -> None:
        made = blocks(2, top=3)
        store = filled(tmp_path, made)
        assert torch.equal(store[sample_id(4), 24].map, made[1].maps[2])
        with pytest.raises(
            InputError, match=r"'class/00004.png' is explained for targets 4, 14, 24: name one, store\["
        ):
            store[sample_id(4)]
        with pytest.raises(InputError, match=r"'class/00004.png' is not explained for target 5, only for 4, 14, 24"):
            store[sample_id(4), 5]

    def test_a_folder_of_any_name(self, tmp_path: Path) -> None:
        assert len(filled(tmp_path / "s3:" / "a\n日本 \udcff", blocks(1))) == 4

    def test_membership(self, tmp_path: Path) -> None:
        store = filled(tmp_path, blocks(1))
        assert sample_id(1) in store
        assert (sample_id(1), 1) in store
        assert (sample_id(1), 2) not in store
        assert "other" not in store
        assert 3 not in store

    def test_ids_length_and_order(self, tmp_path: Path) -> None:
        store = filled(tmp_path, blocks(3, top=2)[::-1])
        assert store.ids() == [sample_id(n) for n in range(12)]
        assert len(store) == 24
        assert store.keys() == [(sample_id(n), n % 7 + 10 * rank) for n in range(12) for rank in range(2)]
        assert [row.id for row in store] == [sample_id(n) for n in range(12) for _ in range(2)]
        assert [row.target for row in store] == [n % 7 + 10 * rank for n in range(12) for rank in range(2)]

    def test_failures_come_in_block_order(self, tmp_path: Path) -> None:
        store = filled(tmp_path, [record(1, [3], failed=[2]), record(0, [0], failed=[1])])
        assert store.failures() == [Failure(sample_id(n), f"sample {n} is truncated") for n in (1, 2)]
        assert store.ids() == [sample_id(0), sample_id(3)]

    def test_an_unknown_id_gets_near_matches(self, tmp_path: Path) -> None:
        store = filled(tmp_path, [*blocks(3), record(3, [], failed=[12])])
        with pytest.raises(InputError, match=r"did you mean 'class/00007.png'\?"):
            store["00007"]
        with pytest.raises(InputError, match=r"did you mean .*'class/00007.png'"):
            store["clas/00007.png"]
        with pytest.raises(InputError, match=r"'zzz' is not in store .*: .* has 12 samples"):
            store["zzz"]
        with pytest.raises(InputError, match=r"has no explanation, since it failed: sample 12 is truncated"):
            store[sample_id(12)]

    def test_ids_are_untrusted_text(self, tmp_path: Path) -> None:
        ids = ("", "../../etc/passwd", "a\nb\0c", "日本/🦜.png", "x" * 5000, "'; drop table", "a")
        made = record(0, range(7))._replace(ids=ids)
        store = filled(tmp_path / "s", [made])
        assert store.ids() == sorted(ids)
        assert all(torch.equal(store[name].map, made.maps[i]) for i, name in enumerate(ids))
        assert sorted(os.listdir(tmp_path)) == ["s"]

    def test_an_empty_store(self, tmp_path: Path) -> None:
        store = filled(tmp_path, [])
        assert (store.ids(), len(store), list(store), store.failures()) == ([], 0, [], [])
        assert list(store.to_pandas().columns) == ["id", "label", "target", "probability", "map"]

    @pytest.mark.parametrize("what", ["nothing", "folder", "file"])
    def test_what_is_not_a_store_is_refused(self, tmp_path: Path, what: str) -> None:
        path = tmp_path / "x"
        {"nothing": lambda: None, "folder": path.mkdir, "file": path.touch}[what]()
        with pytest.raises(InputError, match=r"x is not a store \(.+\): give a folder written by explain"):
            ExplanationStore(path)

    def test_maps_of_several_sizes(self, tmp_path: Path) -> None:
        store = filled(tmp_path, [record(0, [0], size=(2, 3)), record(1, [1], size=(5, 1))])
        assert [tuple(row.map.shape) for row in store] == [(2, 3), (5, 1)]


class TestPandas:
    def test_columns_types_and_values(self, tmp_path: Path) -> None:
        (made,) = blocks(1)
        frame = filled(tmp_path, [made]).to_pandas()
        names = ["id", "label", "target", "probability", "map", "bits", "per_layer", "step"]
        assert list(frame.columns) == names
        assert [str(frame[name].dtype) for name in names[1:4]] == ["int32", "int32", "float32"]
        assert [str(frame[name].dtype) for name in ("bits", "step")] == ["float32", "int64"]
        assert frame["bits"].tolist() == made.extras["bits"].tolist()
        assert frame["map"][2].tolist() == made.maps[2].tolist()
        assert frame["per_layer"][3].tolist() == made.extras["per_layer"][3].tolist()

    def test_maps_can_be_left_out(self, tmp_path: Path) -> None:
        assert "map" not in filled(tmp_path, blocks(1)).to_pandas(maps=False).columns

    def test_without_pandas_it_says_what_to_install(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pandas", None)
        with pytest.raises(InputError, match=r"pip install 'lit-coiba\[pandas\]'"):
            filled(tmp_path, []).to_pandas()


class TestOpening:
    def test_creates_the_folder_and_records_how(self, tmp_path: Path) -> None:
        store = ExplanationStore.open(tmp_path / "deep" / "run", manifest())
        assert store.manifest == manifest()
        assert sorted(os.listdir(store.path)) == ["blocks", FILE_NAME]

    def test_another_identity_is_refused_and_the_store_untouched(self, tmp_path: Path) -> None:
        filled(tmp_path, blocks(1))
        before = (tmp_path / FILE_NAME).read_bytes()
        with pytest.raises(
            InputError, match=r"made with other arguments \(old -> new\): method.steps 10 -> 20; choose"
        ):
            ExplanationStore.open(tmp_path, manifest(method={"class": "CoIBA", "steps": 20}))
        assert (tmp_path / FILE_NAME).read_bytes() == before

    def test_a_store_that_holds_nothing_is_begun_anew(self, tmp_path: Path) -> None:
        first, other = manifest(), manifest(method={"class": "CoIBA", "steps": 20})
        refused = ExplanationStore.open(tmp_path, first)
        store = ExplanationStore.open(tmp_path, other)
        assert store.manifest == other
        with pytest.raises(InputError, match="was restarted by a run with other arguments"):
            refused.write(blocks(1)[0])
        assert store.missing(1) == [0]
        store.write(blocks(1)[0])
        assert store.missing(1) == []
        with pytest.raises(InputError, match="made with other arguments"):
            ExplanationStore.open(tmp_path, first)

    def test_other_circumstances_are_recorded_once(self, tmp_path: Path) -> None:
        for devices in (1, 4, 4, 1, 2):
            made = manifest()
            made.recorded = {"devices": devices}
            store = ExplanationStore.open(tmp_path, made)
        assert store.manifest.recorded == {"devices": 1}
        assert store.manifest.resumed == [{"devices": 4}, {"devices": 2}]
        assert store.manifest.digest == manifest().digest

    def test_the_slower_of_two_runs_obeys_the_faster(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        save = Manifest.save

        def overtaken(self: Manifest, folder: Path, exclusive: bool = False) -> None:
            monkeypatch.setattr(Manifest, "save", save)
            save(manifest(seed=1), folder, exclusive)
            save(self, folder, exclusive)

        monkeypatch.setattr(Manifest, "save", overtaken)
        with pytest.raises(InputError, match="seed 1 -> 0"):
            ExplanationStore.open(tmp_path, manifest())
        monkeypatch.setattr(Manifest, "save", overtaken)
        (tmp_path / FILE_NAME).unlink()
        assert ExplanationStore.open(tmp_path, manifest(seed=1)).manifest == manifest(seed=1)

    def test_blocks_of_unknown_origin_are_refused(self, tmp_path: Path) -> None:
        filled(tmp_path, blocks(1))
        (tmp_path / FILE_NAME).unlink()
        with pytest.raises(InputError, match=r"has blocks but no manifest\.json beside it: choose another folder"):
            ExplanationStore.open(tmp_path, manifest())

    def test_other_files_beside_the_store_do_no_harm(self, tmp_path: Path) -> None:
        (tmp_path / "statistics.safetensors").touch()
        (tmp_path / "logs").mkdir()
        assert ExplanationStore.open(tmp_path, manifest()).missing(2) == [0, 1]

    def test_a_file_or_a_read_only_folder_is_one_sentence(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(
            InputError, match=r"file cannot be written \(it is a file, not a folder\): fix the permissions or"
        ):
            ExplanationStore.open(tmp_path / "file", manifest())
        with pytest.raises(InputError, match=r"below cannot be written \(Not a directory\)"):
            ExplanationStore.open(tmp_path / "file" / "below", manifest())
        ExplanationStore.open(tmp_path / "run", manifest())
        monkeypatch.setattr(os, "access", lambda *_: False)  # tests may run as root, who may write anywhere
        with pytest.raises(InputError, match=r"run cannot be written \(it is read-only\)"):
            ExplanationStore.open(tmp_path / "run", manifest())

    def test_clears_what_a_killed_run_left(self, tmp_path: Path) -> None:
        store = filled(tmp_path, blocks(1))
        old = tmp_path / "blocks" / ".000001.parquet.0123abcd-1-0.tmp"
        old.write_bytes(b"half")
        assert store.missing(2) == [1]
        os.utime(old, (0, 0))
        ExplanationStore.open(tmp_path, manifest())
        assert os.listdir(tmp_path / "blocks") == ["000000.parquet"]


class TestScale:
    def test_opens_fast_and_finds_in_milliseconds(self, tmp_path: Path) -> None:
        filled(tmp_path, blocks(60, rows=32, size=(14, 14)))
        clock = time.process_time  # seconds of work, however busy the machine is
        start = clock()
        store = ExplanationStore(tmp_path)
        assert len(store) == 1920
        opened = clock() - start
        times = []
        for number in range(0, 1920, 40):
            start = clock()
            assert store[sample_id(number)].target == number % 7
            times.append(clock() - start)
        assert opened < 0.5
        assert statistics.median(times) < 0.02

    def test_travels_to_worker_processes(self, tmp_path: Path) -> None:
        store = filled(tmp_path, blocks(2))
        assert torch.equal(pickle.loads(pickle.dumps(store))[sample_id(5)].map, store[sample_id(5)].map)

    def test_reading_while_a_run_writes(self, tmp_path: Path) -> None:
        writer = ExplanationStore.open(tmp_path, manifest())
        reader = ExplanationStore(tmp_path)
        for made in blocks(3):
            writer.write(made)
            assert torch.equal(reader[made.ids[0]].map, made.maps[0])
            assert len(reader) == 4 * (made.block + 1)


def test_nothing_warns_in_a_healthy_store(tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        store = filled(tmp_path, blocks(2, failed=[99]))
        assert store.missing(2) == []
        assert store.digest()
    assert caught == []
