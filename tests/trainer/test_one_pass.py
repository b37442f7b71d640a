"""A benchmark is one pass over the images for all stores and metrics, whoever ends it, however many share it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lit_coiba.attribution import GradCAM, RandomMap, Saliency
from lit_coiba.core.errors import InputError
from lit_coiba.metrics import SDS, SRG, Deletion, MuFidelity
from lit_coiba.modules.explainer import Explainer
from lit_coiba.modules.scorer import Scorer
from lit_coiba.store import ExplanationStore
from tests._testers import tiny
from tests._testers.runs import PATIENCE, NoiseData, make_trainer

ROOT = Path(__file__).parents[2]
METHODS = {"saliency": Saliency(), "cam": GradCAM(), "noise": RandomMap()}
ROWS = [*METHODS, "Edges", "Center"]


def metrics():
    return {
        "srg": SRG(grid_size=4, steps=4),
        "sds": SDS(grid_size=4),
        "mu_fidelity": MuFidelity(grid_size=4, subsets=20),
        "deletion": Deletion(grid_size=4, steps=4),
    }


@pytest.fixture(scope="module")
def model():
    return tiny.vit()


@pytest.fixture(scope="module")
def explained(tmp_path_factory, model):
    folder = tmp_path_factory.mktemp("explained")
    for name, method in METHODS.items():
        make_trainer().explain(Explainer(model, method), NoiseData(9, 2), str(folder / name), pictures=False)
    return folder


@pytest.fixture
def folder(tmp_path, explained):
    shutil.copytree(explained, tmp_path / "stores")
    return tmp_path


def score(model, folder, output, names=tuple(METHODS), columns=None, **passed):
    measured = {name: metric for name, metric in metrics().items() if columns is None or name in columns}
    stores = [str(folder / "stores" / name) for name in names]
    run = make_trainer().benchmark
    return run(Scorer(model, measured), NoiseData(9, 2), stores, str(folder / output), pictures=False, **passed)


def counted(model, call):
    """How many images ran through the network in a call, and what it returned."""
    seen = []
    hook = model.model.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    try:
        found = call()
    finally:
        hook.remove()
    return sum(seen), found


def digests(folder, rows=ROWS):
    return {name: ExplanationStore(folder / name).digest() for name in rows}


def test_together_costs_less_than_each_alone_and_gives_the_same(folder, model):
    together, board = counted(model, lambda: score(model, folder, "all"))
    alone = 0
    for name in METHODS:
        for column in metrics():
            cost, one = counted(model, lambda: score(model, folder, f"{name}-{column}", (name,), (column,)))  # noqa: B023
            assert torch.equal(one.scores[name][column], board.scores[name][column])
            alone += cost
    assert together <= 0.5 * alone
    again, _ = counted(model, lambda: score(model, folder, "all"))
    assert again == 0


def test_a_row_more_costs_that_row(folder, model):
    two, _ = counted(model, lambda: score(model, folder, "two", ("saliency", "cam")))
    more, _ = counted(model, lambda: score(model, folder, "two"))
    assert 0 < more < 0.6 * two
    whole = score(model, folder, "three")
    found = {name: ExplanationStore(folder / "two" / name) for name in ROWS}
    assert {name: store.digest() for name, store in found.items()} == digests(folder / "three")
    assert list(whole.scores) == ROWS


@pytest.mark.parametrize("written", [1, 4, 7])  # of five rows a block: amid the first block, before and amid the second
def test_what_ends_between_two_stores_of_a_block_loses_and_repeats_nothing(folder, model, written, monkeypatch):
    score(model, folder, "whole")
    writes = []
    write = ExplanationStore.write

    def ends(self, record, keep=True):
        if len(writes) == written:
            raise KeyboardInterrupt
        writes.append((self.path.name, record.block))
        write(self, record, keep)

    monkeypatch.setattr(ExplanationStore, "write", ends)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        score(model, folder, "ended")
    kept = {name: len(ExplanationStore(folder / "ended" / name)) for name in ROWS}
    assert sum(kept.values()) == 2 * written
    assert len(set(kept.values())) > 1 or written % len(ROWS) == 0
    again = []

    def notes(self, record, keep=True):
        again.append((self.path.name, record.block))
        write(self, record, keep)

    monkeypatch.setattr(ExplanationStore, "write", notes)
    score(model, folder, "ended")
    assert not set(again) & set(writes)  # nothing twice
    assert digests(folder / "ended") == digests(folder / "whole")


SCRIPT = """
import sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
from lit_coiba.modules.scorer import Scorer
from lit_coiba.trainer import Trainer
from tests._testers import tiny
from tests._testers.runs import NoiseData, passing_for
from tests.trainer.test_one_pass import METHODS, metrics

folder = Path(sys.argv[1])
Data = passing_for(NoiseData)(type("Data", (NoiseData,), {}))
trainer = Trainer(accelerator="cpu", devices=2, strategy="ddp", logger=False, enable_progress_bar=False)
stores = [str(folder / "stores" / name) for name in METHODS]
board = trainer.benchmark(Scorer(tiny.vit(), metrics()), Data(9, 2), stores, str(folder / "two"), pictures=False)
assert board.scores["saliency"]["srg"].shape == (9,)
(folder / f"rank {trainer.global_rank} of {trainer.world_size} is done").touch()
"""


def test_two_processes_with_uneven_shares_give_what_one_gives(folder, model):
    score(model, folder, "one")
    (folder / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(folder / "script.py"), str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    assert len(list(folder.glob("rank * of 2 is done"))) == 2
    assert digests(folder / "two") == digests(folder / "one")


def test_stores_of_different_targets_are_refused_in_a_sentence(folder, model):
    for target in (0, 1):
        to_explain, store = Explainer(model, Saliency(), targets=target), folder / "stores" / f"class {target}"
        make_trainer().explain(to_explain, NoiseData(9, 2), str(store), pictures=False)
    sentence = r"no explanation is of the data's images and of the same class in all of them.*\(class 0 0, class 1 1\)"
    with pytest.raises(InputError, match=sentence):
        score(model, folder, "none", ("class 0", "class 1"))
    assert not (folder / "none").exists()
