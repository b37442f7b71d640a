import pytest
import torch

from lit_coiba.core.errors import InputError
from lit_coiba.data import AdditiveParts
from lit_coiba.data.synthetic.additive import CONTRIBUTIONS, AdditiveClassifier, AdditivePartsDataset
from lit_coiba.data.synthetic.part_samples import has_parts
from lit_coiba.functional.part_sets import part_subsets

COUNT = 40


@pytest.fixture(scope="module")
def dataset():
    return AdditivePartsDataset(range(COUNT))


@pytest.fixture(scope="module")
def model():
    return AdditiveClassifier().double()


def logits(model, pixels):
    with torch.no_grad():
        return model(pixels.double() / 255)


def test_samples_are_a_function_of_seed_and_number(dataset):
    again, other = AdditivePartsDataset([7, 9]), AdditivePartsDataset([7], seed=1)
    assert torch.equal(again.pixels(1), dataset.pixels(9))
    assert not torch.equal(other.pixels(0), dataset.pixels(7))
    assert other.ids == ["additive-000007"]
    assert again.labels == [dataset.labels[number] for number in (7, 9)]
    assert all(sorted(dataset.labels[start : start + 20]) == list(range(20)) for start in (0, 20))
    assert dataset.identity() != AdditivePartsDataset(range(COUNT), seed=1).identity()


def test_parts_and_things_do_not_touch(dataset):
    for i in range(COUNT):
        both = torch.cat([dataset.masks(i), dataset.background_masks(i)])
        assert both.sum(0).max() == 1
        assert both.flatten(1).sum(1).tolist() == [36] * 5 + [49] * (len(both) - 5)
        assert 2 <= len(both) - 5 <= 4
        assert torch.equal(dataset.region(i), dataset.masks(i).any(0))


def test_every_set_of_parts_adds_up(dataset, model):
    """Logits are the sums of the contributions of the parts that are there, of those that a class has."""
    classes, subsets = dataset.class_parts, part_subsets(5)
    for i in range(0, COUNT, 7):
        own = (classes == classes[dataset.labels[i]]).double() * torch.tensor(CONTRIBUTIONS)  # (K, 5)
        found = logits(model, dataset.subsets(i, subsets))
        torch.testing.assert_close(found, subsets.double() @ own.T, rtol=0, atol=1e-6)
        assert found[-1].argmax() == dataset.labels[i]


def test_things_in_the_background_add_nothing(dataset, model):
    without = dataset.without_each_object(3)
    assert len(without) == len(dataset.background_masks(3))
    changed = (without != dataset.pixels(3)).any(1)
    assert torch.equal(changed, dataset.background_masks(3))
    expected = logits(model, dataset.pixels(3)[None]).expand(len(without), -1)
    torch.testing.assert_close(logits(model, without), expected, rtol=0, atol=1e-12)


def test_the_truth_is_what_each_part_contributes(dataset, model):
    images = torch.stack([dataset.pixels(i) for i in range(6)]).double() / 255
    truth = model.truth(images, torch.tensor(dataset.labels[:6]))
    torch.testing.assert_close(truth.sum((1, 2)), torch.full((6,), sum(CONTRIBUTIONS)).double())
    for map, i in zip(truth, range(6)):
        sums = (map * dataset.masks(i)).sum((1, 2))
        torch.testing.assert_close(sums, torch.tensor(CONTRIBUTIONS).double(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("given", [(1.0, 2.0), (1.0, 1.0, 1.0, 1.0, 0.0)])
def test_contributions_are_one_for_each_part_and_positive(given):
    with pytest.raises(InputError, match="give 5 numbers above 0"):
        AdditiveClassifier(given)


def test_the_data_module_has_splits_that_are_apart():
    data = AdditiveParts(seed=2)
    parts = [data.dataset(split) for split in ("train", "val", "test")]
    assert [len(part) for part in parts] == [1000, 500, 1000]
    assert len({name for part in parts for name in part.ids}) == 2500
    assert data.dataset("predict").ids == parts[2].ids
    assert has_parts(parts[0])
