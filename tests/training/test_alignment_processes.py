"""Classifiers of other trainings: two real processes (gloo) end with equal weights, and a killed fit loses nothing."""

import json

import pytest
import torch

from lit_coiba.backbones import Backbone
from lit_coiba.lipschitz import Certificate
from tests._testers.fits import SHORT, TWO, killed_and_straight, run

MODELS = {
    "HarmonizedClassifier": {
        "backbone": {
            "name": "resnet10t",
            "num_classes": 20,
            "image_size": 32,
            "timm_kwargs": {"channels": [8, 8, 8, 8], "stem_width": 8},
        },
    },
    "LipschitzClassifier": {
        "backbone": {
            "name": "lipschitz_cnn",
            "num_classes": 20,
            "image_size": 32,
            "timm_kwargs": {"widths": [8, 16], "strides": [2, 2], "kernel_sizes": [3, 3]},
        },
        "loss": "soft_hkr",  # whose temperature has a state of its own
        "convolution": "reshaped",
    },
}
SMALL = ["--data.size", "32", "--data.multi_target", "false"]
NAMES = list(MODELS)


def words(name, *more):
    model = ["-c", json.dumps({"model": {"class_path": name, **MODELS[name], "lr": 0.005}})]
    return ["fit", *model, *SHORT, *SMALL, *more]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    return run(tmp_path_factory.mktemp("two"), {name: words(name, *TWO) for name in NAMES})


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_end_with_equal_weights(two, name):
    first, second = (torch.load(two / name / f"weights of rank {rank}.pt", weights_only=True) for rank in (0, 1))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first if "running_" not in key)


def test_weights_of_two_processes_obey_the_constraint(two):
    (file,) = (two / "LipschitzClassifier").rglob("*.ckpt")
    assert Certificate.of(Backbone.load(file)).constant <= 1.001


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_fit_goes_on_and_ends_with_the_weights_of_an_undisturbed_one(name, tmp_path, monkeypatch):
    states = killed_and_straight(tmp_path, monkeypatch, words(name, "--trainer.max_epochs", "2"))
    straight, killed = (states[kind] for kind in ("straight", "killed"))
    assert (straight["epoch"], straight["global_step"]) == (killed["epoch"], killed["global_step"])
    for key, value in straight["state_dict"].items():
        assert torch.allclose(value, killed["state_dict"][key], rtol=1e-5, atol=1e-6), key
