"""The evaluation of prototypes on a network whose prototypes are known: channels that see one part each."""

import json

import pytest
import torch
from torch import nn

from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data import SyntheticParts, blocks
from lit_coiba.data.synthetic import PARTS
from lit_coiba.heads import BRNPAHead, InfoDisentHead, LinearHead
from lit_coiba.prototypes.evaluation import PrototypePatches, evaluate_prototypes
from tests._testers import tiny

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers")


def data(limit=8, **arguments):
    return SyntheticParts(limit=limit, batch_size=16, num_workers=0, **arguments)


def network(head=InfoDisentHead, **arguments):
    backbone = tiny.vit(image_size=64)
    torch.manual_seed(0)
    backbone.attach(head(backbone.feature_channels, 20, **arguments))
    return backbone


def evaluate(backbone=None, module=None, **arguments):
    return evaluate_prototypes(backbone or network(), module or data(), progress=False, **arguments)


def patches_on(part, count=10, unit=0):
    """Training patches of 8 pixels around a part."""
    dataset = SyntheticParts().dataset("train")
    corners = torch.stack([dataset.parts(i).xy[PARTS.index(part)].floor().flip(0) - 4 for i in range(count)]).long()
    return PrototypePatches(dataset.ids[:count], torch.cat([corners, corners + 8], 1), torch.full((count,), unit))


class TestPartPurity:
    def test_patches_on_one_part_are_pure_and_others_are_not(self):
        on, off = patches_on("wing"), patches_on("eye", unit=4)
        boxes = torch.cat([on.boxes, torch.tensor([[0, 0, 8, 8]]).expand(10, 4)])  # a corner, where no bird is
        found = evaluate(prototypes=PrototypePatches([*on.ids, *off.ids], boxes, torch.cat([on.units, off.units])))
        assert found.part_names == PARTS
        assert found.part_purity.units.tolist() == [0, 4]
        assert found.part_purity.purity.tolist() == [1, 0]
        assert found.part_names[found.part_purity.part[0]] == "wing"

    def test_only_the_first_patches_of_a_prototype_count(self):
        on = patches_on("wing", 6)
        boxes = torch.cat([on.boxes[:3], torch.tensor([[0, 0, 8, 8]]).expand(3, 4)])
        for count, expected in ((3, 1.0), (6, 0.5)):
            found = evaluate(prototypes=on._replace(boxes=boxes), patches=count, module=data())
            assert found.part_purity.purity.tolist() == [expected]

    def test_large_patches_are_cut(self):
        dataset = SyntheticParts().dataset("train")
        whole = PrototypePatches(dataset.ids[:20], torch.tensor([[0, 0, 64, 64]]).expand(20, 4), torch.zeros(20).long())
        assert evaluate(prototypes=whole, patch_size=64, module=data()).part_purity.purity.item() == 1
        found = evaluate(prototypes=whole, patches=20, module=data())
        assert found.settings["patch_size"] == 9
        middle = [(dataset.parts(i).xy - 32).abs() < 4.5 for i in range(20)]
        share = torch.stack([near.all(-1) for near in middle]).double().mean(0).max()
        assert found.part_purity.purity.item() == pytest.approx(share.item(), abs=0.05)

    def test_splits_are_not_mixed(self):
        with pytest.raises(InputError, match=r"synthetic-00.* is also among the images to evaluate"):
            evaluate(prototypes=patches_on("eye"), module=data(split="train"))
        strange = patches_on("eye", 1)._replace(ids=["synthetic-011000"])
        with pytest.raises(InputError, match="synthetic-011000 is not a sample of the training split"):
            evaluate(prototypes=strange)


class Painted(nn.Module):
    """Stands for a backbone that finds parts without fail: channel p is the mask of part p, by the image itself."""

    def __init__(self, dataset):
        super().__init__()
        self.known = {dataset.pixels(i).sum().item(): dataset.masks(i).float() for i in range(len(dataset))}
        self.empty = nn.Parameter(torch.zeros(1))
        self.noise = False

    def features(self, images):
        sums = (images * 255).round().long().sum((1, 2, 3)).tolist()
        found = [self.known.get(value) for value in sums]
        return torch.stack([torch.rand(5, 64, 64) if mask is None else mask for mask in found]) + self.empty


@pytest.fixture
def painted(monkeypatch):
    """A network whose five channels are the masks of the parts, and its data; where it sees noise it is at a loss."""
    module = data(100)
    masks = Painted(module.dataset("predict"))
    backbone = network(head=InfoDisentHead)
    backbone.preprocessing = Preprocessing((64, 64), 1.0, mean=(0, 0, 0), std=(1, 1, 1))
    head = InfoDisentHead(5, 20, rotation=False)
    head.init_from_linear(torch.ones(20, 5))
    monkeypatch.setattr(Backbone, "head", head)
    monkeypatch.setattr(backbone, "features", masks.features)
    return backbone, module


def test_channels_that_are_parts_are_consistent_and_pure(painted):
    backbone, module = painted
    found = evaluate(backbone, module, noise_std=0.0)
    assert found.annotated == found.images == 100
    assert found.consistency > 0.9  # a peak is the first pixel of a part, and the box may end before its middle
    assert found.stability == 1  # without noise nothing changes
    assert found.channel_purity.units == pytest.approx(1)


def test_noise_that_blinds_a_network_makes_it_unstable(painted):
    backbone, module = painted
    torch.manual_seed(0)
    found = evaluate(backbone, module)
    assert found.consistency > 0.9
    assert found.stability < 0.5


def test_without_noise_all_is_stable_also_in_a_network():
    assert evaluate(noise_std=0.0, module=data(20)).stability == 1


def test_blocks_make_no_difference():
    one, other = (
        evaluate(
            module=data(
                30,
            )
        ),
        evaluate(module=SyntheticParts(limit=30, batch_size=7, num_workers=0)),
    )
    first, second = one.to_dict(), other.to_dict()
    assert first["consistency"] == second["consistency"]
    assert first["stability"] == second["stability"]
    assert first["rv"] == pytest.approx(second["rv"], rel=1e-4)
    assert first["channel_purity"] == pytest.approx(second["channel_purity"], rel=1e-4)


def test_every_kind_of_head(capsys):
    for head in (LinearHead, InfoDisentHead, BRNPAHead):
        found = evaluate(network(head), data())
        channels = head is not BRNPAHead
        assert (found.rv is not None) == (found.channel_purity is not None) == channels
        assert found.sizes.everywhere == found.units if not channels else found.sizes.everywhere <= found.units
        assert 0 < found.sizes.per_image <= found.units
        assert found.histograms.units.sum() == 8 * found.units
        plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
        assert plain["settings"]["half"] == 10
        assert plain["settings"]["merge"]["left eye"] == "eye"
        table = str(found).splitlines()
        assert len(table) == len(found.rows()) + 2
        assert all(line.count("|") == 4 for line in table)
    assert capsys.readouterr().out == ""


def test_images_without_parts_are_measured_as_far_as_they_can_be(monkeypatch):
    monkeypatch.setattr("lit_coiba.data.synthetic.SyntheticPartsDataset.parts", lambda self, index: None)
    patch = PrototypePatches(["synthetic-000001"], torch.zeros(1, 4), torch.zeros(1))
    found = evaluate(module=data(), prototypes=patch)
    assert (found.part_purity, found.consistency, found.stability, found.annotated) == (None, None, None, 0)
    assert found.rv.units > 0
    assert "| consistency | - |" in str(found)


def test_a_network_without_a_head_is_refused():
    with pytest.raises(InputError, match="interpretable head"):
        evaluate(tiny.vit(image_size=64))


@pytest.mark.parametrize("name", ["top", "patches", "patch_size", "half"])
def test_sizes_are_positive(name):
    with pytest.raises(InputError, match=f"{name} is 0"):
        evaluate(**{name: 0})


def test_the_network_is_left_as_it_was():
    backbone = network().train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    evaluate(backbone, data(8))
    assert backbone.training
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
    assert all(parameter.requires_grad for parameter in backbone.head.parameters())


def test_one_of_several_processes_still_sees_all_images(monkeypatch):
    backbone, alone = network(), evaluate(network())
    monkeypatch.setattr(blocks.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(blocks.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(blocks.distributed, "get_rank", lambda: 0)
    found = evaluate_prototypes(backbone, SyntheticParts(limit=8, batch_size=2, num_workers=0), progress=False)
    assert found.images == 8
    assert found.sizes == alone.sizes
