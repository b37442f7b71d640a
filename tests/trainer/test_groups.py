"""Groups of real processes (gloo): three by torchrun, of which one has no block; and a pair that is asked to end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from lit_coiba.store import ExplanationStore
from tests._testers import tiny
from tests._testers.runs import PATIENCE, NoiseData, Shade, coiba, explain

ROOT = Path(__file__).parents[2]
VARIABLES = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(torch.get_num_threads()), "GLOO_SOCKET_IFNAME": "lo"}

pytestmark = pytest.mark.filterwarnings("ignore:.*images are noisy", "ignore:.*survive pure noise")

THREE = """
import sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
from lit_coiba.modules.explainer import Explainer
from lit_coiba.trainer import Trainer
from tests._testers import tiny
from tests._testers.runs import NoiseData, Shade
from tests._testers.runs import coiba

folder, model = Path(sys.argv[1]), tiny.vit()
trainer = Trainer(accelerator="cpu", devices=3, strategy="ddp", logger=False, enable_progress_bar=False)
trainer.explain(Explainer(model, Shade()), NoiseData(4, 2), str(folder / "few"))
trainer.explain(Explainer(model, coiba()), NoiseData(14, 2), str(folder / "more"))
(folder / f"rank {trainer.global_rank} of {trainer.world_size} is done").touch()
"""

# Lightning starts this file once more for the second process.
ASKED = """
import sys, time, warnings
from pathlib import Path
warnings.simplefilter("ignore")
from lit_coiba.modules.explainer import Explainer
from lit_coiba.trainer import Trainer
from tests._testers import tiny
from tests._testers.runs import NoiseData, Shade, passing_for

@passing_for(Shade)
class Slow(Shade):
    def _explain(self, model, images, targets):
        (folder / f"rank {trainer.global_rank} has begun block {self.explained // 2}").touch()
        time.sleep(0.5)
        return super()._explain(model, images, targets)

folder = Path(sys.argv[1])
trainer = Trainer(accelerator="cpu", devices=2, strategy="ddp", logger=False, enable_progress_bar=False)
trainer.explain(Explainer(tiny.vit(), Slow()), NoiseData(80, 2), str(folder / "store"))
"""


def test_three_by_torchrun_give_what_one_gives_and_one_of_them_may_have_nothing_to_do(tmp_path):
    (tmp_path / "script.py").write_text(THREE)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "3"]
    done = subprocess.run(
        [*torchrun, str(tmp_path / "script.py"), str(tmp_path)],
        env={**os.environ, **VARIABLES},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("rank * of 3 is done"))) == 3
    model = tiny.vit()
    for name, data, method in (("few", NoiseData(4, 2), Shade()), ("more", NoiseData(14, 2), coiba())):
        single = explain(model, tmp_path / f"{name} by one", data, method)
        assert ExplanationStore(tmp_path / name).digest() == single.digest()
        assert len(list((tmp_path / name / "blocks").iterdir())) == 1


def test_a_pair_of_which_the_first_is_asked_to_terminate_finishes_its_blocks_and_goes_on_later(tmp_path):
    (tmp_path / "script.py").write_text(ASKED)
    run = subprocess.Popen(
        [sys.executable, str(tmp_path / "script.py"), str(tmp_path)],
        env={**os.environ, **VARIABLES},
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + PATIENCE
        while not all((tmp_path / f"rank {rank} has begun block 1").exists() for rank in (0, 1)):
            assert run.poll() is None, "the run ended by itself"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        run.terminate()
        assert run.wait(60) == 143
        while group_lives(run.pid):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        if group_lives(run.pid):
            os.killpg(run.pid, signal.SIGKILL)
    begun = len(list(tmp_path.glob("rank * has begun block *")))
    store = ExplanationStore(tmp_path / "store")
    assert 4 <= begun < 40
    assert len(store.missing(40)) == 40 - begun  # no block was lost
    assert not list((tmp_path / "store" / "blocks").glob(".*"))
    again = explain(tiny.vit(), tmp_path / "store", NoiseData(80, 2))
    assert again.digest() == explain(tiny.vit(), tmp_path / "straight", NoiseData(80, 2)).digest()


def group_lives(leader):
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    return True
