"""The readouts that come with the package: their cards, what they are worth, and whom they look for."""

import pytest
import torch

from lit_coiba.attribution import CoIBA, RandomMap, ReadoutCoIBA
from lit_coiba.backbones import Backbone
from lit_coiba.bottlenecks.readout.trained_readout import TrainedReadout
from lit_coiba.data import SyntheticParts
from lit_coiba.functional import bootstrap_interval, paired_intervals
from lit_coiba.metrics import Deletion, EnergyPointing, Insertion
from lit_coiba.resources import resource
from tests.docs.test_checkpoints import card

VIT, CNN = "synthetic_parts_vit", "synthetic_parts_cnn"
OTHERS = {  # name -> experiment that made its readout, with a file of configs/model behind it
    "synthetic_parts_cnn_one_cell": CNN,
    "br_npa_high_resolution_synthetic_parts": CNN,
    "lipschitz_synthetic_parts": CNN,
    "infodisent_synthetic_parts": VIT,
}
MODELS = (VIT, CNN, *OTHERS)
COUNT = 48


def file(model):
    return resource(f"checkpoints/readout_coiba_{model}.safetensors")


def network(model):
    return Backbone.load(resource(f"checkpoints/{model}.safetensors")).eval()


def test_every_network_that_comes_along_has_one():
    networks = {file.stem for file in resource("checkpoints").glob("*.safetensors")}
    assert {name for name in networks if not name.startswith("readout_")} == set(MODELS)


@pytest.fixture(scope="module")
def samples():
    dataset = SyntheticParts().dataset("test")
    images = torch.stack([dataset.pixels(k).float() / 255 for k in range(200)])
    return dataset, images


@pytest.mark.parametrize("model", MODELS)
def test_the_card_tells_what_the_file_is(model):
    readout, claims = TrainedReadout.load(file(model)), card(f"readout_coiba_{model}")
    assert readout.about.model == network(model).digest()
    assert readout.digest() in claims["file"]
    assert f"{file(model).stat().st_size:,} bytes" in claims["file"]
    assert file(model).stat().st_size <= 4e6
    experiment = f"lit-coiba fit -c configs/experiment/readout_coiba_{OTHERS.get(model, model)}.yaml"
    assert claims["made by"] == experiment + (f" -c configs/model/{model}.yaml" if model in OTHERS else "")
    assert float(claims["val/gap"]) < (0.5 if model == VIT else 0.3)


@pytest.mark.parametrize("model", MODELS)
def test_it_keeps_nine_tenths_of_the_margin_of_coiba(model, samples):
    backbone, (dataset, pixels) = network(model), samples
    images, regions = backbone.normalize(pixels[:COUNT]), torch.stack([dataset.region(k) for k in range(COUNT)])
    readout = TrainedReadout.load(file(model))
    coiba = CoIBA(list(readout.about.layers), copies=4, antithetic=True)
    coiba.set_statistics(backbone, readout.statistics, ())
    curves, scores = (Insertion(grid_size=8, steps=8), Deletion(grid_size=8, steps=8)), {}
    for method in (coiba, ReadoutCoIBA(str(file(model))), RandomMap()):
        maps = method.attribute(backbone, images)
        added, removed = (curve.score(backbone, images, None, maps).mean() for curve in curves)
        scores[type(method)] = torch.stack([added - removed, EnergyPointing().score(maps, regions).mean()])
    share = (scores[ReadoutCoIBA] - scores[RandomMap]) / (scores[CoIBA] - scores[RandomMap])
    least = torch.tensor([0.9, 0.75 if model == "lipschitz_synthetic_parts" else 0.9])  # its energy keeps 0.8
    assert (share >= least).all(), share


@pytest.mark.parametrize("model", MODELS)
def test_of_two_objects_in_an_image_it_finds_the_one_that_is_asked_for(model, samples):
    """The 32 rows of one object above those of another, where the model's first two classes are theirs."""
    backbone, (dataset, pixels) = network(model), samples
    labels, rows = torch.tensor(dataset.labels), []
    for k in range(200):
        seen = dataset.region(k).any(1).nonzero()
        top = int((seen.min() + seen.max() + 1 - 32) // 2)
        rows.append(pixels[k, :, max(0, min(32, top)) :][:, :32])
    images = backbone.normalize(torch.cat([torch.stack(rows[:100]), torch.stack(rows[100:])], 2))
    with torch.no_grad():
        best = backbone(images).topk(2).indices
    both = torch.stack([labels[:100], labels[100:200]], 1)
    kept = (best.sort(1).values == both.sort(1).values).all(1) & (both[:, 0] != both[:, 1])
    assert kept.sum() >= (8 if model == "infodisent_synthetic_parts" else 10)
    images, both = images[kept], both[kept]
    method, shares = ReadoutCoIBA(str(file(model))), []
    for asked in both.T:
        maps = method.attribute(backbone, images, asked)
        shares.append(maps[:, : maps.shape[1] // 2].sum((1, 2)) / maps.sum((1, 2)))  # of the object above
    mine = torch.cat([shares[0], 1 - shares[1]])
    others = torch.cat([shares[1], 1 - shares[0]])
    assert bootstrap_interval(mine).low > 0.5
    assert paired_intervals((mine - others).unsqueeze(1))[0].low > 0
