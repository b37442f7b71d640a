"""Stopping and going on: stores and statistics end up as if nothing had happened."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from lit_coiba.modules.explainer import Explainer
from lit_coiba.store import ExplanationStore
from lit_coiba.trainer import Trainer
from tests._testers.runs import PATIENCE, ROOT, NoiseData, Shade, coiba, explain, make_trainer, passing_for

pytestmark = pytest.mark.filterwarnings("ignore:.*images are noisy", "ignore:.*survive pure noise")


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


class TestStopped:
    def test_in_the_middle_of_a_block_goes_on_with_that_block(self, model, tmp_path):
        with pytest.raises(RuntimeError, match="the power went out"):
            explain(model, tmp_path / "store", method=Shade(fails_at=7))  # in block 3
        assert ExplanationStore(tmp_path / "store").missing(5) == [3, 4]
        method = Shade()
        store = explain(model, tmp_path / "store", method=method)
        assert method.explained == 4
        straight = explain(model, tmp_path / "straight")
        assert store.digest() == straight.digest()
        made = [list(contents(one.path / "blocks").values()) for one in (store, straight)]
        assert made[0] == made[1]

    def test_by_sigterm_ends_after_the_block_in_hand_and_goes_on(self, model, tmp_path):
        @passing_for(Shade)
        class Asked(Shade):
            def _explain(self, model, images, targets):
                explanation = super()._explain(model, images, targets)
                if self.explained == 4:
                    os.kill(os.getpid(), signal.SIGTERM)
                    os.kill(os.getpid(), signal.SIGTERM)  # impatience changes nothing
                return explanation

        before = signal.getsignal(signal.SIGTERM)
        with pytest.raises(SystemExit) as stop:
            explain(model, tmp_path / "store", method=Asked())
        assert stop.value.code == 143
        assert signal.getsignal(signal.SIGTERM) == before
        assert ExplanationStore(tmp_path / "store").missing(5) == [2, 3, 4]
        assert explain(model, tmp_path / "store").digest() == explain(model, tmp_path / "straight").digest()

    def test_by_sigkill_goes_on(self, model, tmp_path):
        """A real process that explains by CoIBA, statistics included, killed between two blocks or within one."""
        script = """
import sys, time
from lit_coiba.attribution import CoIBA
from tests._testers import tiny
from tests._testers.runs import LAYERS, NoiseData, explain, passing_for
@passing_for(CoIBA)
class Slow(CoIBA):
    def _explain(self, model, images, targets):
        time.sleep(0.2)
        return super()._explain(model, images, targets)
explain(tiny.vit(), sys.argv[1], NoiseData(60, 2), Slow(layers=LAYERS, steps=3, copies=2))
"""
        run = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", script, str(tmp_path / "store")],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(torch.get_num_threads())},
        )
        try:
            deadline = time.monotonic() + PATIENCE
            while len(list((tmp_path / "store").glob("blocks/0*.parquet"))) < 3:
                assert run.poll() is None, "the run ended by itself"
                assert time.monotonic() < deadline
                time.sleep(0.02)
        finally:
            run.kill()
            assert run.wait() == -signal.SIGKILL
        method = coiba()
        store = ExplanationStore(tmp_path / "store")
        assert 0 < len(store.missing(30)) <= 27
        resumed = explain(model, tmp_path / "store", NoiseData(60, 2), method)
        assert resumed.missing(30) == []
        straight = explain(model, tmp_path / "straight", NoiseData(60, 2), coiba())
        assert resumed.digest() == straight.digest()
        assert resumed.ids() == straight.ids()

    def test_a_finished_run_does_nothing(self, model, tmp_path, monkeypatch, recwarn, capfd):
        explain(model, tmp_path / "store", method=coiba(), pictures=True)
        before = {file: file.stat().st_mtime_ns for file in (tmp_path / "store").rglob("*")}

        def refuse(self, *arguments, **more):
            raise AssertionError("nothing is left to do")

        monkeypatch.setattr(Trainer, "predict", refuse)
        capfd.readouterr()
        recwarn.clear()
        store = make_trainer(enable_progress_bar=True).explain(
            Explainer(model, coiba()), NoiseData(), str(tmp_path / "store")
        )
        assert len(store) == 10
        assert capfd.readouterr() == ("", "")
        assert [str(warning.message) for warning in recwarn] == []
        assert {file: file.stat().st_mtime_ns for file in (tmp_path / "store").rglob("*")} == before
