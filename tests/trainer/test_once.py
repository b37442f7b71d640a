"""What one run of `Trainer.explain` does once: list the data, read the weights; and how often it freezes the model."""

import copy

import pytest

from lit_coiba.backbones import backbone
from lit_coiba.backbones.digest import unchanging
from lit_coiba.core import frozen
from lit_coiba.modules.explainer import Explainer
from lit_coiba.modules.statistics import StatisticsModule
from tests._testers.runs import NoiseData, coiba, explain

pytestmark = pytest.mark.filterwarnings("ignore:.*images are noisy", "ignore:.*survive pure noise")


class Counted:
    """A function that counts its calls."""

    def __init__(self, monkeypatch, owner, name):
        self.calls = 0
        self.function = getattr(owner, name)
        monkeypatch.setattr(owner, name, self)

    def __call__(self, *arguments, **more):
        self.calls += 1
        return self.function(*arguments, **more)


def test_lists_the_data_once_reads_the_weights_once_and_freezes_twice_a_block(model, tmp_path, monkeypatch):
    hashed = Counted(monkeypatch, backbone, "network_digest")
    entered = Counted(monkeypatch, frozen, "right_norm_gradients")  # whenever `frozen` is entered
    within = {Explainer: [], StatisticsModule: []}

    def observed(module):
        step = module.predict_step

        def predict_step(self, batch):
            before = entered.calls
            record = step(self, batch)
            within[module].append(entered.calls - before)
            return record

        monkeypatch.setattr(module, "predict_step", predict_step)

    for module in within:
        observed(module)
    data = NoiseData(12, 2)
    listed = Counted(monkeypatch, data, "dataset")
    store = explain(model, tmp_path / "store", data, coiba(), limit=8)
    assert store.missing(4) == []
    assert within == {Explainer: [2] * 4, StatisticsModule: [1] * 6}
    assert (listed.calls, hashed.calls) == (1, 1)
    explain(model, tmp_path / "store", data, coiba(), limit=8)
    assert (listed.calls, hashed.calls) == (2, 2)


def test_a_model_that_was_changed_between_two_runs_is_another_one(model, tmp_path):
    before = model.digest()
    with unchanging(model):
        assert model.digest() == before
        other = copy.deepcopy(model)
        other.model.head.bias.data += 1
        assert other.digest() != before  # a copy may be changed
    explain(model, tmp_path / "store", NoiseData(2))
    head = model.model.head.bias.data
    head += 1
    try:
        assert model.digest() != before
    finally:
        head -= 1
