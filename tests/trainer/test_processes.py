"""Two real processes (gloo) share a run: each block once, the same numbers as one process, errors told to both."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lit_coiba.bottlenecks import ActivationStatistics
from lit_coiba.store import ExplanationStore
from tests._testers import tiny
from tests._testers.runs import LAYERS, NoiseData, coiba, explain

ROOT = Path(__file__).parents[2]

# Lightning starts this file once more for the second process.
SCRIPT = """
import os, sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
from lightning import Callback
from lit_coiba.core.errors import InputError
from lit_coiba.modules.explainer import Explainer
from lit_coiba.trainer import Trainer
from tests._testers import tiny
from tests._testers.runs import NoiseData
from tests._testers.runs import coiba, passing_for

folder, events = Path(sys.argv[1]), Path(sys.argv[2])

class Notes(Callback):
    def on_predict_batch_end(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0):
        what = "statistics" if outputs is None else "explain"
        (events / f"{what} block {batch.block} rank {trainer.global_rank} {os.getpid()}").touch()

@passing_for(NoiseData)
class Prepared(NoiseData):
    def prepare_data(self):
        (events / f"prepared by rank {os.environ.get('LOCAL_RANK', 0)}").touch()

def trainer(*callbacks):
    return Trainer(accelerator="cpu", devices=2, strategy="ddp", logger=False, callbacks=list(callbacks))

model = tiny.vit()
store = trainer(Notes()).explain(Explainer(model, coiba()), Prepared(42, 2), str(folder / "store"))
again = trainer()
assert again.explain(Explainer(model, coiba()), Prepared(42, 2), str(folder / "store")).digest() == store.digest()
try:
    again.statistics(Explainer(model, coiba()), NoiseData(4, broken={0, 1, 2}), str(folder / "none.safetensors"))
except InputError as error:
    (events / f"refused on rank {again.global_rank}: {error}").touch()
(events / f"done on rank {again.global_rank}").touch()
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    (folder / "events").mkdir()
    (folder / "script.py").write_text(SCRIPT)
    variables = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(torch.get_num_threads()), "GLOO_SOCKET_IFNAME": "lo"}
    run = subprocess.run(
        [sys.executable, str(folder / "script.py"), str(folder), str(folder / "events")],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert run.returncode == 0, run.stderr
    return folder, sorted(file.name for file in (folder / "events").iterdir()), run


def blocks(events, what):
    """Rank that did each block, and the block, as often as it was done."""
    words = [name.split() for name in events if name.startswith(what)]
    return [(int(word[4]), int(word[2])) for word in words]


@pytest.mark.parametrize("what", ["explain", "statistics"])
def test_each_block_was_done_once_by_one_of_the_two(done, what):
    _, events, _ = done
    found = blocks(events, what)
    assert sorted(block for _, block in found) == list(range(21))
    assert {rank for rank, _ in found} == {0, 1}
    if what == "statistics":  # chunks of two blocks, each in one hand
        assert len({(block // 2, rank) for rank, block in found}) == 11


@pytest.mark.filterwarnings("ignore:.*images are noisy", "ignore:.*survive pure noise")
def test_the_store_is_that_of_one_process(done, tmp_path):
    folder, _, _ = done
    shared = ExplanationStore(folder / "store")
    single = explain(tiny.vit(), tmp_path / "store", NoiseData(42, 2), coiba())
    assert shared.manifest.identity == single.manifest.identity
    assert shared.digest() == single.digest()
    assert shared.missing(21) == []


def test_statistics_were_put_together_by_the_first_and_used_by_both(done):
    folder, _, _ = done
    statistics = ActivationStatistics.load(folder / "store" / "statistics.safetensors")
    assert (statistics.count, statistics.layers) == (42, LAYERS)
    assert ExplanationStore(folder / "store").manifest.identity["statistics"] == statistics.digest()
    assert sorted(file.name for file in (folder / "store").iterdir()) == [
        *("blocks", "contact_sheet.png", "manifest.json", "samples.parquet", "statistics.safetensors", "tensorboard")
    ]


def test_what_goes_wrong_on_the_first_is_raised_on_both(done):
    _, events, _ = done
    reason = "activation statistics need at least two readable images, but the data have 1"
    refused = [name for name in events if name.startswith("refused")]
    assert refused == [f"refused on rank {rank}: {reason}" for rank in (0, 1)]


def test_both_end_and_only_the_first_prepares_data_and_shows_progress(done):
    _, events, run = done
    assert [name for name in events if name.startswith("prepared")] == ["prepared by rank 0"]
    assert [name for name in events if name.startswith("done")] == ["done on rank 0", "done on rank 1"]
    assert run.stdout == ""
    bars = [state for state in run.stderr.replace("\n", "\r").split("\r") if state.startswith("Explaining: 100%")]
    assert len(set(bars)) == 1
    assert "11/11 blocks" in bars[0]
