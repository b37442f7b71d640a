"""Whoever explains while something trains: the training is bit by bit what it is without, of one process and of two."""

import json
import os
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from lightning import Callback
from lightning.pytorch.loggers import TensorBoardLogger

from lit_coiba import RISE, Backbone, Classifier, CoIBA, GradCAM
from lit_coiba.callbacks import ExplainCallback
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import AttributionMethod
from tests._testers.plain_training import CLASSES, SIZE, Plain, fit, made
from tests._testers.runs import PATIENCE, ROOT


class Rude(AttributionMethod):
    """Draws from every generator, trains running statistics, and leaves gradients and modes behind."""

    def _explain(self, model, images, targets):
        torch.rand(1), random.random(), np.random.rand()  # noqa: NPY002 - the global one is meant
        model(images.add(1)) if model.train() else None
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        return Explanation(images.mean(1), {})


class Seen(Callback):
    """What someone who looks after the callback would find: everything that a training depends on."""

    def __init__(self):
        self.seen = []

    def note(self, trainer, module):
        optimizer = trainer.optimizers[0].state_dict()["state"]
        self.seen.append(
            (
                {name: tensor.clone() for name, tensor in module.state_dict().items()},
                [None if p.grad is None else p.grad.clone() for p in module.parameters()],
                [p.requires_grad for p in module.parameters()],
                [part.training for part in module.modules()],
                [len(part._forward_hooks) + len(part._backward_hooks) for part in module.modules()],
                {k: v.clone() for k, s in optimizer.items() for v in s.values() if isinstance(v, torch.Tensor)},
                torch.get_rng_state(),
                random.getstate(),
                [np.asarray(part) for part in np.random.get_state()[1:]],  # noqa: NPY002 - the global one is meant
            )
        )

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.note(trainer, pl_module)

    def on_train_epoch_end(self, trainer, pl_module):
        self.note(trainer, pl_module)


def same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def ours(**arguments):
    sizes = {"layers": [1, 1, 1, 1], "channels": (8, 8, 8, 8), "drop_rate": 0.2}
    backbone = Backbone("resnet18", num_classes=CLASSES, timm_kwargs=sizes, image_size=SIZE)
    return Classifier(backbone, optimizer="sgd", lr=0.05, mixup=0.2, **arguments)


@pytest.mark.parametrize("build", [ours, Plain])
@pytest.mark.parametrize(
    "method", [GradCAM(), CoIBA(steps=2, copies=2), RISE(n_samples=8), Rude()], ids=lambda m: type(m).__name__
)
def test_a_training_is_bitwise_what_it_is_without(build, method, tmp_path):
    without, looked = Seen(), Seen()
    fit(made(build), without)
    callback = ExplainCallback(method, images=4, every_n_steps=4, stores=str(tmp_path), statistics_images=8)
    fit(made(build), callback, looked, logger=TensorBoardLogger(tmp_path / "log"))
    assert len(without.seen) == 3 * 7
    assert [moment.step for moment in callback.moments] == [0, 4, 6, 8, 12, 16, 18]
    assert all(map(same, without.seen, looked.seen))


# Two processes: Lightning starts this file once more for the second one.
SCRIPT = """
import json, sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
import lightning, torch
from lit_coiba import GradCAM
from lit_coiba.callbacks import ExplainCallback
from tests._testers.plain_training import Plain, fit, made

if __name__ == "__main__":
    for name, callbacks in {"without": [], "with": [ExplainCallback(GradCAM(), 2, stores="stores")]}.items():
        module = made(Plain)
        trainer = fit(module, *callbacks, epochs=2, strategy="ddp", devices=2)
        torch.save(module.state_dict(), f"{name} {trainer.global_rank}.pt")
        found = [list(moment) for callback in callbacks for moment in callback.moments]
        Path(f"{name} {trainer.global_rank}.json").write_text(json.dumps(found))
"""


def test_of_two_processes_the_first_explains_and_the_weights_are_the_same(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    variables = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(torch.get_num_threads()), "GLOO_SOCKET_IFNAME": "lo"}
    run = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env={**os.environ, **variables}, timeout=PATIENCE, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout
    weights = {file.stem: torch.load(file, weights_only=True) for file in tmp_path.glob("*.pt")}
    assert sorted(weights) == ["with 0", "with 1", "without 0", "without 1"]
    assert same(weights["with 0"], weights["without 0"])
    assert same(weights["with 1"], weights["without 1"])
    assert [step for _, step, *_ in json.loads((tmp_path / "with 0.json").read_text())] == [0, 3, 6]
    assert json.loads((tmp_path / "with 1.json").read_text()) == []
    assert len(list((tmp_path / "stores").iterdir())) == 3
