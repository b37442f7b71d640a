import pytest
import torch
from torch.utils.data import DataLoader

from lit_coiba.core.errors import InputError
from lit_coiba.data.synthetic import (
    PARTS,
    DroppedPartsDataset,
    MultiTargetDataset,
    SyntheticPartsDataset,
    class_table,
    multi_target_accuracy,
)


@pytest.fixture(scope="module")
def dataset():
    return SyntheticPartsDataset("val")


def visible(dataset: SyntheticPartsDataset, index: int, image: torch.Tensor) -> list[bool]:
    """Oracle: the parts that are still there, from the pixels alone."""
    return [bool((image == dataset.pixels(index))[:, mask].all()) for mask in dataset.masks(index)]


def fitting(dataset: SyntheticPartsDataset, index: int, seen: list[bool]) -> list[bool]:
    """Oracle: the classes that agree with the sample on every part seen."""
    own = dataset.variants(index)
    return [all(row[p] == own[p] for p in range(len(PARTS)) if seen[p]) for row in class_table()]


class TestMultiTargetDataset:
    def test_targets_agree_with_the_pixels(self, dataset):
        torch.manual_seed(0)
        training = MultiTargetDataset(dataset, drop_probability=1.0)
        images, targets = training.batch(range(100))
        assert images.dtype == torch.uint8
        for index, (image, target) in enumerate(zip(images, targets)):
            seen = visible(dataset, index, image)
            assert 1 <= sum(seen) <= 4
            fits = torch.tensor(fitting(dataset, index, seen), dtype=torch.float32)
            torch.testing.assert_close(target, fits / fits.sum())
        torch.testing.assert_close(targets.sum(1), torch.ones(100))

    def test_as_many_parts_are_dropped_as_documented(self, dataset):
        torch.manual_seed(0)
        present = MultiTargetDataset(dataset, drop_probability=0.55).present_in(range(40_000))
        share = torch.bincount(5 - present.sum(1), minlength=6) / 40_000
        torch.testing.assert_close(share, torch.tensor([0.45] + [0.55 / 4] * 4 + [0.0]), atol=0.01, rtol=0)
        dropped = (~present).float().mean(0)
        torch.testing.assert_close(dropped, torch.full((5,), 0.55 * 2.5 / 5), atol=0.01, rtol=0)

    def test_never_dropping_gives_the_sample_and_its_label(self, dataset):
        images, targets = MultiTargetDataset(dataset, drop_probability=0.0).batch([4, 5])
        assert torch.equal(images, dataset.batch([4, 5]))
        assert targets.argmax(1).tolist() == dataset.labels[4:6]
        assert targets.max(1).values.tolist() == [1, 1]

    def test_a_loader_takes_it_and_the_seed_decides(self, dataset):
        training = MultiTargetDataset(dataset)

        def epoch() -> list[tuple[torch.Tensor, torch.Tensor]]:
            return [tuple(batch) for batch in DataLoader(training, batch_size=64, shuffle=True)]

        torch.manual_seed(0)
        first, second = epoch(), epoch()
        torch.manual_seed(0)
        again = epoch()
        assert first[0][0].shape == (64, 3, 64, 64)
        assert first[0][1].shape == (64, training.num_classes)
        assert all(torch.equal(a, b) for one, other in zip(first, again) for a, b in zip(one, other))
        assert not torch.equal(first[0][0], second[0][0])

    def test_one_sample_is_a_batch_of_one(self, dataset):
        training = MultiTargetDataset(dataset)
        torch.manual_seed(3)
        image, target = training[9]
        torch.manual_seed(3)
        images, targets = training.batch([9])
        assert torch.equal(image, images[0])
        assert torch.equal(target, targets[0])
        assert len(training) == 1000

    @pytest.mark.parametrize("probability", [-0.1, 1.5])
    def test_no_probability_is_refused(self, dataset, probability):
        with pytest.raises(InputError, match=r"drop_probability is .* from 0 to 1"):
            MultiTargetDataset(dataset, probability)


class TestDroppedPartsDataset:
    def test_it_is_always_the_same(self, dataset):
        one, other = DroppedPartsDataset(dataset), DroppedPartsDataset(dataset)
        torch.manual_seed(1)
        images, fits = one.batch(range(50))
        for index in reversed(range(50)):
            image, classes = other[index]
            assert torch.equal(image, images[index])
            assert torch.equal(classes, fits[index])
        assert not torch.equal(DroppedPartsDataset(dataset, seed=1).present, one.present)

    def test_answers_agree_with_the_pixels(self, dataset):
        dropped = DroppedPartsDataset(dataset)
        for index in range(100):
            image, fits = dropped[index]
            seen = visible(dataset, index, image)
            assert seen == dropped.present[index].tolist()
            assert fits.tolist() == fitting(dataset, index, seen)

    def test_one_to_four_parts_are_missing(self, dataset):
        missing = 5 - DroppedPartsDataset(dataset).present.sum(1)
        assert torch.bincount(missing, minlength=5)[1:].min() > 200
        assert set(missing.tolist()) == {1, 2, 3, 4}
        assert len(DroppedPartsDataset(dataset)) == 1000

    def test_a_negative_seed_is_refused(self, dataset):
        with pytest.raises(InputError, match="seed is -1"):
            DroppedPartsDataset(dataset, seed=-1)


def test_accuracy_counts_any_class_that_fits():
    fits = torch.tensor([[True, True, False], [False, False, True], [True, False, False]])
    logits = torch.tensor([[0.0, 1.0, 0.5], [0.0, 1.0, 2.0], [0.0, 0.1, 0.2]])
    assert multi_target_accuracy(logits, fits).item() == pytest.approx(2 / 3)
