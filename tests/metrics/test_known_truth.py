"""Where the truth is known, the true map is best and a random one worst: SyntheticParts and its CNN."""

import pytest
import torch
import yaml
from torch.nn.functional import avg_pool2d

from lit_coiba.backbones import Backbone
from lit_coiba.data import SyntheticParts
from lit_coiba.metrics import (
    SRG,
    BoxLocalisation,
    Degradation,
    Deletion,
    EffectiveHeatRatio,
    EnergyPointing,
    FaithfulnessCorrelation,
    GridPointing,
    Infidelity,
    Insertion,
    MaskLocalisation,
    Metric,
    MuFidelity,
    PointingGame,
    RelevanceRank,
    SensitivityN,
)
from lit_coiba.metrics.shared import Shared
from lit_coiba.resources import resource

COUNT = 16
CELLS = {"grid_size": 8, "steps": 16}  # of 8 x 8 pixels, four a step


@pytest.fixture(scope="module")
def scene():
    name = "synthetic_parts_cnn"
    arguments = yaml.safe_load(resource(f"configs/experiment/{name}.yaml").read_text())["model"]["backbone"]
    model = Backbone(**arguments, checkpoint=str(resource(f"checkpoints/{name}.safetensors")))
    drawn = SyntheticParts().drawn("test")
    regions = torch.stack([drawn.region(i) for i in range(COUNT)])
    images = model.normalize(drawn.batch(range(COUNT)).float() / 255)
    oracle = avg_pool2d(regions.float().unsqueeze(1), 8).squeeze(1)  # share of part pixels per cell
    random = torch.rand(oracle.shape, generator=torch.Generator().manual_seed(0))
    return model, images, regions, {"oracle": oracle, "random": random, "half": oracle + oracle.mean() * random}


@pytest.mark.parametrize("preset", ["rise", "coiba"])
def test_insertion_and_deletion(scene, preset):
    model, images, _, maps = scene
    insertion, deletion = Insertion(preset=preset, **CELLS), Deletion(preset=preset, **CELLS)
    gain = {}
    for name, map in maps.items():
        scores = insertion.score(model, images, None, map) - deletion.score(model, images, None, map)
        gain[name] = scores.mean().item()
    assert gain["oracle"] > 0.65
    assert gain["oracle"] >= gain["half"] > gain["random"] + 0.2


def test_localisation(scene):
    _, _, regions, maps = scene
    area = regions.double().mean().item()
    for metric, least in (
        *((EnergyPointing(), 3 * area), (RelevanceRank(), 0.6), (PointingGame(), 0.9), (GridPointing(), 3 * area)),
        *((EffectiveHeatRatio(), 0.4), (EffectiveHeatRatio(weighted=False), 0.6)),
        (BoxLocalisation(), 0.6),
    ):
        means = {name: metric.score(map, regions).mean().item() for name, map in maps.items()}
        assert means["oracle"] >= least
        assert means["oracle"] >= means["half"] > means["random"], type(metric).__name__
        assert means["random"] < area + 0.2
    noisy = regions + 2 * torch.rand(regions.shape, generator=torch.Generator().manual_seed(1))
    pixels = {"oracle": regions.float(), "half": noisy, "random": maps["random"]}
    tenth = {name: MaskLocalisation().score(map, regions).nanmean().item() for name, map in pixels.items()}
    assert tenth["oracle"] > tenth["half"] > tenth["random"]


@pytest.mark.parametrize(
    ("metric", "least"),
    [
        (SRG(grid_size=8, log_steps=15), 0.6),
        (Degradation(tile=8, steps=8), 0.6),
        (MuFidelity(grid_size=8, subsets=40), 0.3),  # of a positive map: the larger subset costs more
        (FaithfulnessCorrelation(grid_size=8, removed=12, subsets=40), 0.6),
        (SensitivityN(levels=3, subsets=16, grid_size=8), 0.6),
        (Infidelity(perturbation="removal", grid_size=8, scaled=True), 1.0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Metric) else "",
)
def test_removal(scene, metric, least):
    """O1: the oracle beats a random map by more than three standard errors; what is drawn serves all maps."""
    model, images, _, maps = scene
    shared, sign = Shared(), 1 if metric.higher_is_better else -1
    scores = {name: sign * metric.score(model, images, None, m, shared=shared) for name, m in maps.items()}
    gain = scores["oracle"] - scores["random"]
    assert gain.mean() > max(least, 3 * gain.std() / COUNT**0.5)
    assert (scores["half"] - scores["random"]).mean() > least / 2
