"""How verbs end: statuses, sentences, hang-ups, memory, disks, and folders of two runs (reliability.md, 4 to 7)."""

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger

from lit_coiba.callbacks.steps import FiniteWeights
from lit_coiba.cli import main
from lit_coiba.cli.outcome import run_verb
from lit_coiba.cli.verb import FunctionVerb
from lit_coiba.core.ending import ProcessLost, Stopped
from lit_coiba.core.errors import InputError
from lit_coiba.data.training_order import TrainingOrder
from lit_coiba.files.atomic import atomically
from lit_coiba.files.held import HOLD, held
from lit_coiba.trainer import Trainer
from lit_coiba.trainer.checkpoint_files import CheckpointFiles
from lit_coiba.trainer.processes import Launcher
from lit_coiba.training.classifier import Classifier
from tests._testers import tiny
from tests._testers.runs import ROOT, NoiseData, Shade, explain, make_trainer


def ended(how, capsys, resumable=False):
    """Status and words of a verb that ends in some way."""

    def function() -> int:
        how()
        return 0

    verb = FunctionVerb(
        name="x", summary="", position=0, examples="", function=function, usage="x", resumable=resumable
    )
    status = run_verb(verb, [])
    return status, capsys.readouterr().err


def raising(error):
    def how():
        raise error

    return how


ENDS = [
    (Stopped(signal.SIGTERM), 143, "interrupted; run the same command again"),
    (Stopped(signal.SIGHUP), 129, "interrupted; run the same command again"),
    (KeyboardInterrupt(), 130, "interrupted; run the same command again"),
    (Stopped(signal.SIGTERM, "at epoch 3, step 9; to continue, add --ckpt_path x"), 143, "interrupted at epoch 3"),
    (ProcessLost("process 2 of 2 was killed (SIGKILL)", 2), 2, "error: process 2 of 2 was killed"),
    (InputError("wrong"), 2, "error: wrong"),
    (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), 2, "data.batch_size"),
    (RuntimeError("could not create a primitive"), 2, "data.batch_size"),
    (MemoryError(), 2, "data.batch_size"),
    (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "), 2, "was killed (Killed"),
    (RuntimeError("DataLoader worker (pid(s) 7, 8) exited unexpectedly"), 2, "a process that reads files has ended"),
    (OSError(errno.ENOSPC, "No space left on device", "s/blocks/1"), 2, "s/blocks/1: No space left on device"),
    (OSError(errno.EISDIR, "Is a directory", "x"), 2, "x: Is a directory"),
    (ValueError("Error writing: No space left on device (os error 28)"), 2, "a file cannot be written"),
]


@pytest.mark.parametrize(("error", "status", "said"), ENDS, ids=[repr(error)[:40] for error, _, _ in ENDS])
def test_status_and_sentence(error, status, said, capsys):
    found, err = ended(raising(error), capsys)
    assert found == status
    assert said in err
    assert "Traceback" not in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 130)])
def test_a_signal_during_merge_or_export_clears_up(tmp_path, capsys, name, status):
    """They were killed without a sentence, and temporary files stayed."""
    number = getattr(signal, name)
    before = signal.getsignal(number)

    def how():
        with atomically(tmp_path / "map.npz") as out:
            out.write(b"half")
            os.kill(os.getpid(), number)

    assert ended(how, capsys, resumable=True) == (
        status,
        "lit-coiba: interrupted; the same command continues where it stopped\n",
    )
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(number) is before


def test_an_error_of_a_users_own_class_says_whose_it_is(tmp_path, capsys):
    (tmp_path / "mine.py").write_text("def broken():\n    raise KeyError('x')\n")
    scope: dict = {}
    exec(compile((tmp_path / "mine.py").read_text(), str(tmp_path / "mine.py"), "exec"), scope)
    with pytest.raises(KeyError):
        ended(scope["broken"], capsys)
    assert f"{tmp_path / 'mine.py'}, line 2" in capsys.readouterr().err


class TestHangingUp:
    """`| true`, `| head -c 1`: BrokenPipeError was a traceback though the work was done."""

    def run(self, words, tmp_path):
        reading, writing = os.pipe()
        os.close(reading)
        try:
            done = subprocess.run(
                [sys.executable, "-c", "from lit_coiba.cli import run; run()", *words],
                stdout=writing,
                stderr=subprocess.PIPE,
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
            )
        finally:
            os.close(writing)
        return done

    def test_is_silence(self, tmp_path):
        done = self.run(["--help"], tmp_path)
        assert done.returncode in (0, 141)
        assert done.stderr == b""

    @pytest.mark.slow
    @pytest.mark.parametrize("words", [["--version"], ["merge", "--help"], ["demo", "--help"], ["methods"]])
    def test_is_silence_everywhere(self, tmp_path, words):
        done = self.run(words, tmp_path)
        assert done.returncode in (0, 141)
        assert done.stderr == b""


def test_missing_blocks_of_a_merge_are_a_status(tmp_path, monkeypatch, capsys):
    """`merge OUT A B` with blocks missing ended with 0 and a note."""
    explain(tiny.vit(), tmp_path / "a", shard="0/2")
    monkeypatch.chdir(tmp_path)
    assert main(["merge", "out", "a"]) == 3
    assert "blocks are missing" in capsys.readouterr().err


class TestPicturesAndLogs:
    """`s/tensorboard` a file or a dangling link, an event folder, `contact_sheet.png` a folder: they ended the run."""

    @pytest.mark.parametrize("how", ["file", "link", "events"])
    def test_tensorboard(self, tmp_path, how):
        explain(tiny.vit(), tmp_path / "s", shard="0/2")
        place = tmp_path / "s" / "tensorboard"
        for file in place.iterdir():
            file.unlink()
        if how == "events":
            (place / "events.out.tfevents.1.x").mkdir()
        else:
            place.rmdir()
            place.write_bytes(b"mine") if how == "file" else place.symlink_to("nowhere")
        with pytest.warns(UserWarning, match="the TensorBoard log .* is left out"):
            store = explain(tiny.vit(), tmp_path / "s")
        assert len(store) == 10
        assert how != "file" or place.read_bytes() == b"mine"

    @pytest.mark.parametrize("folder", [True, False])
    def test_contact_sheet(self, tmp_path, folder):
        explain(tiny.vit(), tmp_path / "s", limit=4)
        sheet = tmp_path / "s" / "contact_sheet.png"
        sheet.mkdir() if folder else sheet.write_bytes(b"a picture of mine")
        with pytest.warns(UserWarning, match="cannot be written and is left out"):
            store = explain(tiny.vit(), tmp_path / "s", limit=4, pictures=True)
        assert len(store) == 4
        assert folder or sheet.read_bytes() == b"a picture of mine"


class TestFoldersOfTwoRuns:
    def test_a_folder_is_held_by_one(self, tmp_path):
        first, second = held(tmp_path, "x", "fit"), held(tmp_path, "x", "fit")
        with first, pytest.raises(InputError, match="another fit is writing to"):
            second.__enter__()
        assert list(tmp_path.iterdir()) == []

    def test_what_a_dead_process_held_is_free(self, tmp_path):
        from lit_coiba.files.atomic import _machine

        (tmp_path / HOLD).write_text(f"{_machine()}-{2**22 + 1}")
        with held(tmp_path, "x", "fit"):
            pass

    def test_versions_are_given_once(self, tmp_path):
        """Two fits started at once wrote one version_0."""
        from contextlib import ExitStack

        from lit_coiba.trainer.fit import _claim_versions

        trainers = [Trainer(accelerator="cpu", logger=CSVLogger(str(tmp_path), "runs")) for _ in range(4)]
        for trainer in trainers:
            trainer.loggers[0]._get_next_version = lambda: 0  # as all of them saw the folder
        with ExitStack() as stack:
            threads = [threading.Thread(target=_claim_versions, args=(trainer, stack)) for trainer in trainers]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert sorted(trainer.loggers[0].version for trainer in trainers) == [0, 1, 2, 3]


class TestCheckpoints:
    def test_a_folder_that_cannot_be_written_is_told_before_the_first_epoch(self, tmp_path, monkeypatch):
        """Status 0 and "The checkpoint is ...", and there was none."""

        def step(*_):
            raise AssertionError("it was trained in vain")

        monkeypatch.setattr(Classifier, "training_step", step)
        (tmp_path / "checkpoints").write_bytes(b"in the way")
        quick = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        trainer = Trainer(max_epochs=1, default_root_dir=str(tmp_path), **quick)
        with pytest.raises(InputError, match="checkpoints cannot be written to"):
            trainer.fit(Classifier(tiny.vit()), datamodule=NoiseData())
        assert (tmp_path / "checkpoints").read_bytes() == b"in the way"

    def test_they_are_whole_or_not_there(self, tmp_path, monkeypatch):
        file = tmp_path / "x.ckpt"
        CheckpointFiles().save_checkpoint({"a": torch.ones(2)}, file)
        monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        with pytest.raises(OSError, match="full") as error:
            CheckpointFiles().save_checkpoint({"a": torch.zeros(2)}, file)
        assert error.value.filename == str(file)
        assert torch.load(file, weights_only=True)["a"].tolist() == [1, 1]
        assert [entry.name for entry in tmp_path.iterdir()] == ["x.ckpt"]

    def test_removal_takes_checkpoints_only(self, tmp_path):
        """A path in a checkpoint that points to a folder: it was deleted, recursively."""
        (tmp_path / "precious").mkdir()
        (tmp_path / "precious" / "thesis.tex").write_text("x")
        (tmp_path / "notes").write_text("mine")
        torch.save({}, tmp_path / "old.ckpt")
        for name in ("precious", "notes", "old.ckpt", "none"):
            CheckpointFiles().remove_checkpoint(tmp_path / name)
        assert sorted(entry.name for entry in tmp_path.iterdir()) == ["notes", "precious"]


class TestFit:
    def test_weights_that_are_no_numbers_are_not_saved(self):
        """`FIT --model.lr 1e30`: NaN weights saved, status 0, nothing said."""

        class Fake:
            current_epoch, global_step = 1, 7

        with pytest.raises(InputError, match=r"the weights w are not finite at epoch 1, step 7.*smaller model\.lr"):
            FiniteWeights().on_save_checkpoint(Fake(), None, {"state_dict": {"w": torch.tensor([torch.nan])}})

    def test_the_order_follows_from_the_epoch(self):
        """A fit that went on from a checkpoint drew other permutations."""
        first, again = (TrainingOrder(range(20), 4) for _ in range(2))
        orders = []
        for epoch in range(3):
            first.set_epoch(epoch)
            orders.append(list(first))
        torch.rand(3)
        again.set_epoch(2)
        assert list(again) == orders[2] != orders[1]

    def test_in_the_middle_of_an_epoch_it_goes_on_with_the_next_batch(self):
        from types import SimpleNamespace as Some

        progress = Some(current=Some(processed=2))
        loop = Some(restarting=True, epoch_loop=Some(batch_progress=progress))
        trainer = Some(fit_loop=loop, world_size=1, global_rank=0)
        order = TrainingOrder(range(20), 4, trainer)
        rest = list(order)
        loop.restarting = False
        assert rest == list(order)[8:]

    def test_so_many_processes_are_refused(self):
        """`--trainer.devices 999`: the machine was gone."""
        with pytest.raises(InputError, match=r"trainer\.devices is 999"):
            make_trainer(devices="999")


class TestProcesses:
    """Two ranks: the parent killed itself (137) without a word, or gloo's RuntimeError."""

    @pytest.fixture
    def launcher(self):
        launcher = Launcher.__new__(Launcher)
        launcher.procs = []
        yield launcher
        launcher.end()

    @pytest.mark.parametrize(
        ("code", "status", "said"),
        [("import os; os.kill(os.getpid(), 9)", 2, "SIGKILL"), ("raise SystemExit(1)", 1, "ended with status 1")],
    )
    def test_what_was_lost_is_told(self, launcher, code, status, said):
        launcher.procs = [subprocess.Popen([sys.executable, "-c", code])]
        launcher.procs[0].wait()
        assert launcher.lost().status == status
        assert said in str(launcher.lost())

    def test_those_that_are_ended_are_not_lost(self, launcher):
        launcher.procs = [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(99)"])]
        assert launcher.running
        launcher.end()
        assert not launcher.running
        assert launcher.lost() is None


def test_a_working_folder_that_is_gone(tmp_path, monkeypatch, capsys):
    """FileNotFoundError."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert main(["export", "s", "--format", "npz"]) == 2
    assert main(["methods", "--output", "pages"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_full_disk_names_the_file(tmp_path, monkeypatch):
    """ "a file: No space left on device": no name."""

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space") as error, atomically(Path(tmp_path / "x")) as out:
            out.write(b"x")
    assert error.value.filename == str(tmp_path / "x")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device"):
        explain(tiny.vit(), tmp_path / "s", NoiseData(2), Shade())
