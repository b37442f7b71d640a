"""Jobs that share a run without talking to one another; and what a run does when its disk is full or it is over."""

import errno
import os
import shutil
import signal
import subprocess

import pytest

from lit_coiba.bottlenecks import ActivationStatistics
from lit_coiba.core.errors import InputError
from lit_coiba.data.shard import Shard
from lit_coiba.modules.statistics import ChunkedStatistics, StatisticsModule
from lit_coiba.store import ExplanationStore, merge
from lit_coiba.store.folder import STATISTICS
from lit_coiba.store.samples import SAMPLES
from tests._testers import tiny
from tests._testers.runs import NoiseData, Shade, coiba, explain, passing_for

pytestmark = pytest.mark.filterwarnings("ignore:.*images are noisy", "ignore:.*survive pure noise")


@pytest.fixture(scope="module")
def straight(model, tmp_path_factory):
    return explain(model, tmp_path_factory.mktemp("straight"), NoiseData(14, 2), coiba()).digest()


def run(model, folder, shard, pictures=False, **arguments):
    return explain(model, folder, NoiseData(14, 2), coiba(**arguments), shard=shard, pictures=pictures)


class TestShards:
    def test_fill_one_folder(self, model, straight, tmp_path, observed):
        first = run(model, tmp_path, "1/3")
        assert first.missing(7) == [0, 2, 3, 5, 6]
        assert sorted(observed) == list(range(7))
        assert run(model, tmp_path, (0, 3)).missing(7) == [2, 5]
        whole = run(model, tmp_path, "2/3")
        assert len(observed) == 7  # the first has left its statistics
        assert whole.digest() == straight
        assert sorted(file.name for file in tmp_path.iterdir() if file.name != "tensorboard") == [
            *("blocks", "manifest.json", SAMPLES, STATISTICS)
        ]
        assert len(list((tmp_path / "blocks").iterdir())) == 1

    def test_of_folders_of_their_own_are_merged(self, model, straight, tmp_path):
        stores = [run(model, tmp_path / str(i), f"{i}/2").path for i in range(2)]
        assert [len(ExplanationStore(store)) for store in stores] == [8, 6]
        joined = merge(tmp_path / "all", stores)
        assert joined.digest() == straight
        again = run(model, tmp_path / "all", None, pictures=True)  # the same command draws what is missing
        assert again.digest() == straight
        assert (tmp_path / "all" / "contact_sheet.png").exists()

    def test_with_other_statistics_are_not_merged(self, model, tmp_path):
        whole = run(model, tmp_path / "0", "0/2")
        file = tmp_path / "other.safetensors"
        tiny.statistics(model, coiba().layers).save(file)
        other = run(model, tmp_path / "1", "1/2", statistics=str(file))
        with pytest.raises(
            InputError, match=r"cannot be merged, since they were made with other arguments \(statistics "
        ):
            merge(tmp_path / "all", [whole.path, other.path])

    def test_that_there_is_not_is_refused_before_anything_is_written(self, model, tmp_path):
        with pytest.raises(InputError, match="shard is 2/2, but must be i/n"):
            run(model, tmp_path / "store", "2/2")
        assert not (tmp_path / "store").exists()

    def test_without_a_block_do_nothing(self, model, tmp_path):
        assert len(explain(model, tmp_path / "store", NoiseData(4, 2), shard="5/9")) == 0

    def test_retry_their_own_failures(self, model, tmp_path):
        explain(model, tmp_path, NoiseData(8, 2, broken={1, 2}))
        method = Shade()
        store = explain(model, tmp_path, NoiseData(8, 2), method, shard="1/2", retry_failed=True)
        assert method.explained == 2
        assert [failure.id for failure in store.failures()] == ["noise/001.png"]


class TestStatisticsOfShards:
    def test_are_shared_chunk_by_chunk(self, tmp_path):
        chunks = ChunkedStatistics(tmp_path / "parts", range(8), ["a"])
        assert chunks.missing(Shard(1, 3)) == [1, 4, 7]
        for chunk in (1, 4, 7):
            chunks.write(chunk, {})
        assert chunks.missing(Shard(1, 3)) == [2]  # of others, one at a time
        assert chunks.missing(Shard(2, 3)) == [2, 5]
        assert chunks.missing() == [0, 2, 3, 5, 6]

    def test_are_those_of_the_first_that_has_them(self, model, tmp_path, observed, monkeypatch):
        """Another job is done with its pass while this one is in the middle of it; it had a machine of another kind."""
        kept = tmp_path / "kept"
        theirs = run(model, kept, "1/2")
        put = ChunkedStatistics.put

        def overtaken(self, *arguments):
            shutil.copytree(kept, tmp_path / "store", dirs_exist_ok=True)
            shutil.rmtree(self.folder, ignore_errors=True)
            return put(self, *arguments)

        monkeypatch.setattr(ChunkedStatistics, "put", overtaken)
        store = run(model, tmp_path / "store", "0/2")
        assert store.manifest.identity == theirs.manifest.identity
        assert store.missing(7) == []

    def test_that_were_put_together_are_used_as_they_are(self, model, tmp_path, monkeypatch):
        """Killed between the statistics and the manifest: what was made counts, and is not made again."""
        real = ExplanationStore.open

        def killed(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(ExplanationStore, "open", killed)
        with pytest.raises(KeyboardInterrupt):
            run(model, tmp_path, "0/2")
        made = (tmp_path / STATISTICS).read_bytes()
        (tmp_path / STATISTICS).unlink()
        monkeypatch.setattr(ExplanationStore, "open", real)
        monkeypatch.setattr(StatisticsModule, "predict_step", None)
        store = run(model, tmp_path, "1/2")
        assert (tmp_path / STATISTICS).read_bytes() == made
        assert store.manifest.identity["statistics"] == ActivationStatistics.load(tmp_path / STATISTICS).digest()


class TestTwoRunsAtOnce:
    @pytest.mark.parametrize("at", [2, 6])
    def test_do_no_harm(self, model, tmp_path, at):
        """Another run of the same arguments does all that is missing, and compacts, within one block of this one."""

        @passing_for(Shade)
        class Overtaken(Shade):
            def _explain(self, model, images, targets):
                explanation = super()._explain(model, images, targets)
                if self.explained == at:
                    assert explain(model, tmp_path / "store", NoiseData(8, 2)).missing(4) == []
                return explanation

        store = explain(model, tmp_path / "store", NoiseData(8, 2), Overtaken())
        assert store.digest() == explain(model, tmp_path / "straight", NoiseData(8, 2)).digest()
        assert len(store) == 8
        assert len(list((tmp_path / "store" / "blocks").iterdir())) == 1


class TestTheEnd:
    def test_a_disk_too_full_to_compact_is_a_warning(self, model, tmp_path, monkeypatch):
        def full(*_, **__):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr("lit_coiba.store.store.consolidate", full)
            with pytest.warns(UserWarning, match=r"cannot be compacted \(No space left on device\); all its explana"):
                store = explain(model, tmp_path)
        assert len(list((tmp_path / "blocks").iterdir())) == 5
        assert explain(model, tmp_path).digest() == store.digest()
        assert len(list((tmp_path / "blocks").iterdir())) == 1

    def test_asked_to_terminate_while_it_compacts_it_leaves_at_once(self, model, tmp_path, monkeypatch):
        with monkeypatch.context() as patch:
            patch.setattr("lit_coiba.store.store.consolidate", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
            with pytest.raises(SystemExit) as stop:
                explain(model, tmp_path)
        assert stop.value.code == 143
        assert ExplanationStore(tmp_path).missing(5) == []

    def test_a_full_disk_is_one_sentence_and_the_rest_is_done_later(self, model, tmp_path):
        """A real one: a small tmpfs."""
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=60k", "none", str(tmp_path)], capture_output=True, check=False
        )
        if mounted.returncode:
            pytest.skip("this user may not mount a tmpfs")
        try:
            (tmp_path / "ballast").write_bytes(bytes(12_000))
            with pytest.raises(
                InputError, match=r"cannot be written \(No space left on device\); fix the cause and rerun"
            ):
                explain(model, tmp_path / "store", NoiseData(40, 2))
            done = ExplanationStore(tmp_path / "store")
            missing = done.missing(20)
            assert 0 < len(missing) < 20
            subprocess.run(["mount", "-o", "remount,size=10m", str(tmp_path)], check=True)
            method = Shade()
            store = explain(model, tmp_path / "store", NoiseData(40, 2), method)
            assert method.explained == 2 * len(missing)
            digest = store.digest()
        finally:
            subprocess.run(["umount", str(tmp_path)], check=True)
        assert digest == explain(model, tmp_path / "straight", NoiseData(40, 2)).digest()
