"""Concepts of the shipped CNN: its objects are made of five parts, and so is what its second stage sees of them."""

import pytest
import torch

from lit_coiba.backbones import Backbone
from lit_coiba.concepts import NMF
from lit_coiba.data.module import BlockDataModule
from lit_coiba.data.subset import Subset
from lit_coiba.data.synthetic import SyntheticPartsDataset
from lit_coiba.functional import resize_map
from lit_coiba.modules.concept_search import ConceptSearch
from lit_coiba.resources import resource
from tests._testers.runs import make_trainer

CLASSES = (0, 7)


class Members(BlockDataModule):
    """Training images of two classes."""

    def dataset(self, split):
        drawn = SyntheticPartsDataset("train", cache=True)
        return Subset(drawn, [i for i, label in enumerate(drawn.labels) if label in CLASSES][:160])


@pytest.fixture(scope="module")
def model():
    return Backbone.load(resource("checkpoints/synthetic_parts_cnn.safetensors"))


@pytest.fixture(scope="module")
def run(model, tmp_path_factory):
    search = ConceptSearch(model, factorization=NMF(10), layer="layer2", n_samples=32, measured=40, stability=False)
    folder = tmp_path_factory.mktemp("parts") / "run"
    return make_trainer().concepts(search, Members(32, num_workers=0), str(folder), classes=[str(c) for c in CLASSES])


def test_deleting_the_most_important_concept_costs_more_than_deleting_another(run):
    for cls in CLASSES:
        report = run.report(cls)
        assert report.top_deletion.high < 0, (cls, report.top_deletion)
        best = max((one for one in report.concepts if one.sign > 0), key=lambda one: one.importance)
        assert best.deletion.high < 0


@pytest.mark.parametrize("cls", CLASSES)
def test_three_parts_have_a_concept(model, run, cls):
    drawn = SyntheticPartsDataset("train", cache=True)
    own = [i for i, label in enumerate(drawn.labels) if label == cls][:60]
    images = model.normalize(drawn.batch(own) / 255)
    concepts = run.concepts(cls)
    maps = concepts.transform(model, images)  # (B, r, h, w)
    sized = resize_map(maps.flatten(0, 1), (64, 64), model.places("layer2")).unflatten(0, maps.shape[:2])
    masks = torch.stack([drawn.masks(i) for i in own]).bool()  # (B, 5, H, W)
    tuned, held = slice(0, 30), slice(30, 60)  # the threshold is chosen on other images than it is judged on
    best = torch.tensor([_iou(sized, masks[:, part], tuned, held) for part in range(masks.shape[1])])
    print(f"class {cls}: IoU of the best concept of each part {best.tolist()}")
    assert (best > 0.3).sum() >= 3, best


def _iou(maps, there, tuned, held):
    """IoU with a mask of the concept and the threshold that fit it best in other images."""

    def iou(concept, share, rows):
        found = maps[rows, concept] > share * maps[tuned, concept].max()
        return float((found & there[rows]).sum() / (found | there[rows]).sum())

    choices = [(concept, share) for concept in range(maps.shape[1]) for share in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)]
    return iou(*max(choices, key=lambda choice: iou(*choice, tuned)), held)
