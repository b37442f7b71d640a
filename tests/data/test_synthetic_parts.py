import pytest
import torch

from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data import SyntheticParts
from lit_coiba.data.blocks import BlockDataset
from lit_coiba.data.synthetic import DroppedPartsDataset
from lit_coiba.data.synthetic_parts import DrawnBatches
from lit_coiba.data.transforms import Transform

SAME = Preprocessing((64, 64), 1.0, "bicubic", (0.4, 0.5, 0.6), (0.2, 0.3, 0.1))
OTHER = Preprocessing((40, 56), 0.9, "bilinear")


@pytest.mark.parametrize("recipe", [SAME, OTHER])
def test_training_sees_what_explaining_sees(recipe):
    data = SyntheticParts(split="val")
    data.preprocessing = recipe
    images, labels = data.examples("val").__getitems__([8, 9, 10])
    batch = BlockDataset(data.dataset("predict"), recipe, 3)[3]
    torch.testing.assert_close(images[1:], batch.images[:2], rtol=0, atol=0)
    assert torch.equal(labels[1:], batch.labels[:2])
    assert labels.dtype == torch.int64


def test_multi_target_training_drops_parts_and_spreads_the_target():
    data = SyntheticParts(seed=3)
    data.preprocessing = SAME
    chosen = list(range(64))
    torch.manual_seed(0)
    images, targets = data.examples("train").__getitems__(chosen)
    whole, labels = DrawnBatches(data.drawn("train"), Transform(SAME)).__getitems__(chosen)
    assert images.shape == whole.shape == (64, 3, 64, 64)
    assert targets.dtype == torch.float32
    assert targets.shape == (64, 20)
    torch.testing.assert_close(targets.sum(1), torch.ones(64))
    assert (targets[torch.arange(64), labels] > 0).all()
    changed = (images != whole).flatten(1).any(1)
    assert 0 < changed.sum() < 64
    assert (targets[~changed].max(1).values == 1).all()


@pytest.mark.parametrize("verb", ["val", "test"])
def test_evaluation_has_whole_objects_and_such_with_parts_dropped(verb):
    data = SyntheticParts(batch_size=50)
    data.preprocessing = SAME
    loaders = getattr(data, f"{verb}_dataloader")()
    assert list(loaders) == ["whole", "parts_dropped"]
    images, labels = next(iter(loaders["whole"]))
    assert (images.shape, labels.dtype) == ((50, 3, 64, 64), torch.int64)
    for _ in range(2):  # always the same parts
        dropped, targets = next(iter(loaders["parts_dropped"]))
        expected, fits = DroppedPartsDataset(data.drawn(verb)).batch(list(range(50)))
        torch.testing.assert_close(dropped, data.transform.normalize(expected), rtol=0, atol=0)
        assert ((targets > 0) == fits).all()
        torch.testing.assert_close(targets.sum(1), torch.ones(50))
        assert (targets.gather(1, labels[:, None]) > 0).all()
        assert (dropped != images).flatten(1).any(1).all()


def test_without_multi_target_there_is_one_loader_each():
    data = SyntheticParts(batch_size=50, multi_target=False)
    data.preprocessing = SAME
    for loader in (data.val_dataloader(), data.test_dataloader()):
        images, labels = next(iter(loader))
        assert (images.shape, labels.dtype) == ((50, 3, 64, 64), torch.int64)
    assert data.num_classes == 20


def test_how_often_parts_are_dropped_is_a_choice():
    for probability, changed in ((0.0, 0), (1.0, 64)):
        data = SyntheticParts(drop_probability=probability)
        data.preprocessing = SAME
        images, _ = data.examples("train").__getitems__(list(range(64)))
        whole, _ = DrawnBatches(data.drawn("train"), Transform(SAME)).__getitems__(list(range(64)))
        assert (images != whole).flatten(1).any(1).sum() == changed


def test_hard_targets_where_asked_for():
    data = SyntheticParts(multi_target=False)
    data.preprocessing = SAME
    images, label = data.examples("train")[5]
    assert label == data.dataset("train").labels[5]
    assert torch.equal(images, data.transform(data.dataset("train").image(5)))


def test_the_main_process_draws_and_the_limit_is_spread():
    data = SyntheticParts(limit=10)
    data.preprocessing = SAME
    data.setup("predict")
    assert data.predict_dataloader().num_workers == 0
    assert data.explained.ids == [f"synthetic-{index:06d}" for index in range(11000, 12000, 100)]


def test_arguments_are_refused_at_once():
    with pytest.raises(InputError, match="size is 63"):
        SyntheticParts(size=63)
    with pytest.raises(InputError, match="limit is -1"):
        SyntheticParts(limit=-1)
