"""What the bar writes, read back; a clock that tests move decides how fast it was."""

import re
import time
from contextlib import redirect_stderr
from io import StringIO
from itertools import groupby

import pytest
import torch
from lightning import LightningModule, Trainer
from torch.utils.data import DataLoader, Dataset

from lit_coiba.callbacks import BlockProgress
from lit_coiba.core import batched_evaluator
from lit_coiba.core.batch import Batch, Failure
from lit_coiba.core.batched_evaluator import BatchedEvaluator

pytestmark = pytest.mark.filterwarnings("ignore:predict returned None", "ignore:.*LeafSpec.*:FutureWarning")


class Clock:
    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr("tqdm.std.time", lambda: self.now)


class Terminal(StringIO):
    def isatty(self):
        return True


class Blocks(Dataset):
    """Blocks of four images; from block 2 on, the last one of each could not be read."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, block):
        read = 4 if block < 2 else 3
        failures = () if block < 2 else (Failure("d", "torn"),)
        return Batch(torch.zeros(read, 3, 1, 1), tuple("abcd"[:read]), torch.zeros(read), block, failures)


class Working(LightningModule):
    def __init__(self, clock, seconds=2.0, fails_at=None):
        super().__init__()
        self.clock, self.seconds, self.fails_at = clock, seconds, fails_at

    def predict_step(self, batch):
        if batch.block == self.fails_at:
            raise RuntimeError("the power went out")
        self.clock.now += self.seconds


class Copying(LightningModule):
    """A method of 30 copies an image that takes a minute for a block."""

    def __init__(self, clock):
        super().__init__()
        self.clock = clock

    def predict_step(self, batch):
        def evaluate(some, rows):
            self.clock.now += 20
            return torch.zeros(some.stop - some.start, rows.stop - rows.start)

        BatchedEvaluator(chunk=40).gather(batch.images, 30, evaluate)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.fixture
def show():
    def run(module, blocks=5, stream=None, progress=None, **arguments):
        """All states of the bar, one after the other."""
        stream = Terminal() if stream is None else stream
        trainer = Trainer(
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            callbacks=[progress or BlockProgress()],
            **arguments,
        )
        loader = DataLoader(Blocks(blocks), batch_size=None, num_workers=0, collate_fn=lambda batch: batch)
        with redirect_stderr(stream):
            trainer.predict(module, loader, return_predictions=False)
        states = [state.rstrip() for state in re.split(r"[\r\n]+", stream.getvalue()) if state.strip()]
        return [state for state, _ in groupby(states)]

    return run


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
class TestBlockProgress:
    def test_begins_with_all_that_there_is_to_do(self, clock, show):
        first = show(Working(clock))[0]
        assert re.fullmatch(r"Explaining:   0%\|\s+\| 0/5 blocks, \? left", first)

    def test_says_blocks_time_left_rate_and_failures(self, clock, show):
        states = show(Working(clock))
        assert re.fullmatch(r"Explaining:  20%\|\S*\s+\| 1/5 blocks, 00:08 left, 2\.00 images/s", states[1])
        assert re.fullmatch(r"Explaining:  40%\|\S*\s+\| 2/5 blocks, 00:06 left, 2\.00 images/s", states[2])
        assert re.fullmatch(r"Explaining:  60%\|\S*\s+\| 3/5 blocks, 00:04 left, 1\.83 images/s, 1 failed", states[3])
        assert re.fullmatch(r"Explaining: 100%\|\S*\| 5/5 blocks, 00:00 left, 1\.70 images/s, 3 failed", states[-1])

    def test_is_one_line_that_ends(self, clock, show):
        stream = Terminal()
        show(Working(clock), stream=stream)
        assert stream.getvalue().count("\n") == 1
        assert stream.getvalue().endswith("\n")

    def test_names_what_runs_and_nothing_else(self, clock, show):
        for state in show(Working(clock), progress=BlockProgress("Statistics")):
            assert state.startswith("Statistics: ")
            assert ": :" not in state
            assert "DataLoader" not in state

    def test_writes_nothing_to_stdout(self, clock, show, capsys):
        show(Working(clock))
        assert "blocks" not in capsys.readouterr().out

    def test_refreshes_a_few_times_a_second(self, clock, show):
        states = show(Working(clock, seconds=0.01), blocks=100)  # one second
        assert 3 <= len(states) <= 6
        assert "100/100 blocks" in states[-1]

    def test_fills_no_log_file(self, clock, show):
        states = show(Working(clock, seconds=1.0), blocks=60, stream=StringIO())  # a minute
        assert 10 <= len(states) <= 14
        assert "60/60 blocks" in states[-1]

    def test_ends_its_line_before_an_error_is_told(self, clock, show):
        stream = Terminal()
        with pytest.raises(RuntimeError, match="the power went out"):
            show(Working(clock, fails_at=3), stream=stream)
        assert stream.getvalue().endswith("\n")
        assert "3/5 blocks" in stream.getvalue()

    def test_counts_failures_of_the_record_where_there_is_one(self, clock, show):
        class Recording(Working):
            def predict_step(self, batch):
                super().predict_step(batch)
                return batch._replace(failures=(*batch.failures, Failure("a", "its map is not finite")))

        assert show(Recording(clock))[-1].endswith("1.70 images/s, 8 failed")

    def test_begins_anew_in_another_run(self, clock, show):
        progress = BlockProgress()
        show(Working(clock), progress=progress)
        clock.now += 1000
        assert show(Working(clock), progress=progress)[-1].endswith("5/5 blocks, 00:00 left, 1.70 images/s, 3 failed")

    def test_time_before_the_first_block_is_not_counted(self, clock, show):
        class Slow(BlockProgress):
            def on_predict_start(self, trainer, pl_module):
                super().on_predict_start(trainer, pl_module)
                clock.now += 60  # processes that read files start

        assert show(Working(clock), progress=Slow())[1].endswith("1/5 blocks, 00:08 left, 2.00 images/s")

    def test_of_a_process_that_is_not_the_first_shows_nothing(self, clock, show, monkeypatch):
        monkeypatch.setattr(Trainer, "is_global_zero", property(lambda self: False))
        assert show(Working(clock)) == []

    def test_reckons_with_the_other_processes(self, clock, show, monkeypatch):
        monkeypatch.setattr(Trainer, "world_size", property(lambda self: 4))
        assert ", 8.00 images/s" in show(Working(clock))[1]


def test_within_a_block_it_tells_how_many_copies_have_run(clock, show):
    states = show(Copying(clock), blocks=2)
    told = [state.rpartition("left")[2].lstrip(", ") for state in states]
    assert told[1:4] == [f"{done} of 120 copies in this block" for done in (40, 80, 120)]
    assert told[5] == "0.07 images/s, 40 of 120 copies in this block"
    assert not batched_evaluator._reports


def test_nobody_watches_after_an_exception(clock, show):
    with pytest.raises(RuntimeError, match="the power went out"):
        show(Working(clock, fails_at=1))
    assert not batched_evaluator._reports
