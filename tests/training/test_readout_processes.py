"""Readouts in two real processes (gloo), and after a kill: the same weights, the same curve of the loss."""

import json

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests._testers.fits import SHORT, TWO, killed_and_straight, run

SIZES = {"patch_size": 8, "embed_dim": 32, "depth": 4, "num_heads": 2}
BACKBONE = {"name": "vit_tiny_patch16_224", "num_classes": 20, "image_size": 64, "timm_kwargs": SIZES}
OWN = {
    "CoIBAReadout": {"gap_images": 2, "width": 16},
    "IBAReadout": {},
    "RankingReadout": {"sides": [3, 4], "points": 3, "width": 16},
}


def words(name, *more):
    model = {"class_path": name, "init_args": {"backbone": BACKBONE, "lr": 0.005, **OWN[name]}}
    return ["fit", "-c", json.dumps({"model": model}), *SHORT, "--data.multi_target", "false", *more]


def curve(folder, tag="train/loss"):
    found = {}
    for file in sorted(folder.rglob("events.*")):
        events = EventAccumulator(str(file)).Reload()
        found |= {one.step: one.value for one in events.Scalars(tag)} if tag in events.Tags()["scalars"] else {}
    return found


def test_two_processes_train_the_same_weights(tmp_path):
    run(tmp_path, {name: words(name, *TWO) for name in OWN})
    for name in OWN:
        first, second = (torch.load(tmp_path / name / f"weights of rank {k}.pt", weights_only=True) for k in (0, 1))
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name", ["CoIBAReadout", "RankingReadout"])
def test_a_killed_fit_goes_on_with_the_losses_and_the_weights_of_an_undisturbed_one(name, tmp_path, monkeypatch):
    states = killed_and_straight(tmp_path, monkeypatch, words(name, "--trainer.max_epochs", "2"))
    straight, went_on = (states[kind] for kind in ("straight", "killed"))
    assert straight["global_step"] == went_on["global_step"] == 16
    for key, value in straight["state_dict"].items():
        assert torch.allclose(value, went_on["state_dict"][key], rtol=1e-5, atol=1e-6), key
    whole, pieces = (curve(tmp_path / kind) for kind in ("straight", "killed"))
    assert whole.keys() == pieces.keys()
    assert len(whole) == 16
    assert all(abs(pieces[step] - value) <= 1e-4 * abs(value) for step, value in whole.items())
