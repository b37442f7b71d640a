import pytest
import torch
from PIL import Image

from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data import BlockDataModule, SyntheticParts
from lit_coiba.data.folds import Folds
from lit_coiba.data.labelled import LabelledImages
from lit_coiba.data.mapped import MappedBatch
from lit_coiba.data.subset import Subset
from lit_coiba.data.synthetic import DroppedPartsDataset
from lit_coiba.data.transforms import Transform
from tests._testers.pictures import Pictures

SIZE = 48
SAME = Preprocessing((64, 64), 1.0, "bicubic")
OTHER = Preprocessing((40, 56), 0.9, "bilinear")


class Points(Pictures):
    """A white square on black, whose importance is the same square; every third sample has no map."""

    def __init__(self, count=30, values=None, size=(SIZE, SIZE)):
        super().__init__(count, size=size)
        self.values = values

    def place(self, index):
        generator = torch.Generator().manual_seed(index)
        top, left = torch.randint(2, SIZE - 10, (2,), generator=generator).tolist()
        return slice(top, top + 8), slice(left, left + 8)

    def mask(self, index):
        mask = torch.zeros(SIZE, SIZE)
        mask[self.place(index)] = 1
        return mask

    def image(self, index):
        return Image.fromarray((self.mask(index) * 255).byte().numpy()).convert("RGB")

    def importance(self, index):
        if self.values is not None:
            return self.values
        return None if index % 3 == 2 else 5 * self.mask(index)


class PointData(BlockDataModule):
    def dataset(self, split):
        return Points()


def mapped(dataset, recipe, augment=False):
    examples = LabelledImages(dataset, Transform(recipe), augment)
    examples.read_importance()
    return examples


def brightness(images, recipe):
    """What was drawn white, 0 to 1, ``(B, H, W)``."""
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (recipe.mean, recipe.std))
    return (images * std + mean).mean(1)


def center(maps):
    weights = maps / maps.sum((1, 2), keepdim=True)
    rows, columns = (torch.arange(side) + 0.5 for side in maps.shape[1:])
    return torch.stack([(weights.sum(2) * rows).sum(1), (weights.sum(1) * columns).sum(1)], 1)


@pytest.mark.parametrize("recipe", [Preprocessing((SIZE, SIZE), 1.0, "bicubic"), OTHER])
@pytest.mark.parametrize("augment", [False, True])
def test_a_map_follows_its_picture_through_resize_crop_and_mirror(recipe, augment):
    torch.manual_seed(0)
    batch = mapped(Points(), recipe, augment).__getitems__(list(range(30)))
    assert isinstance(batch, MappedBatch)
    assert batch.importance.shape == (30, *recipe.size)
    assert batch.importance.dtype == torch.float32
    assert (batch.importance >= 0).all()
    assert not batch.mapped[2::3].any()
    assert (batch.importance[~batch.mapped] == 0).all()
    white = brightness(batch.images, recipe)
    seen = batch.mapped & (white.flatten(1).amax(1) > 0.9)
    assert seen.sum() > 10
    torch.testing.assert_close(center(batch.importance[seen]), center(white[seen].clamp_min(0)), rtol=0, atol=0.3)
    shown = batch.importance[seen] > 2.5
    agreement = ((white[seen] > 0.5) == shown).float().mean()
    assert agreement > 0.995
    if augment:  # cut out of the picture: nothing is known of what is left
        gone = white.flatten(1).amax(1) < 0.02
        assert gone[torch.arange(30) % 3 < 2].any()
        assert not batch.mapped[gone].any()


def test_pictures_and_draws_are_those_without_maps():
    for augment in (False, True):
        torch.manual_seed(3)
        images, labels = LabelledImages(Points(), Transform(OTHER), augment).__getitems__([0, 1, 5])
        torch.manual_seed(3)
        batch = mapped(Points(), OTHER, augment).__getitems__([0, 1, 5])
        assert torch.equal(batch.images, images)
        assert torch.equal(batch.targets, labels)


def test_one_sample_is_the_first_of_its_batch():
    examples = mapped(Points(), OTHER)
    one, batch = examples[4], examples.__getitems__([4])
    assert isinstance(one, MappedBatch)
    for part, parts in zip(one, batch):
        assert torch.equal(part, parts[0])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (torch.full((SIZE, SIZE), float("nan")), "sample picture_0000: its importance map has values that are not fi"),
        (torch.full((SIZE, SIZE), -0.5), "sample picture_0000: its importance map goes down to -0.5: give values of 0"),
        (torch.zeros(4, SIZE), "sample picture_0000: its importance map has 48 x 4 pixels, but its image has 48 x 48"),
    ],
)
def test_a_map_that_is_none_is_refused(values, message):
    with pytest.raises(InputError, match=message):
        mapped(Points(values=values), OTHER).__getitems__([0])


def test_a_map_that_is_the_same_everywhere_says_nothing():
    for value in (0.0, 1.0):
        batch = mapped(Points(values=torch.full((SIZE, SIZE), value)), SAME).__getitems__([0, 1])
        assert not batch.mapped.any()
        assert not batch.importance.any()


def test_the_region_is_a_weak_map():
    pictures = Pictures(4)
    assert torch.equal(pictures.importance(3), pictures.region(3).float())
    assert pictures.importance(3).dtype == torch.float32
    assert pictures.importances(3) is None
    assert pictures.importance_version(3) == pictures.region_version(3) != ""
    part = Subset(Points(), [4, 7])
    assert torch.equal(part.importance(1), Points().importance(7))
    assert part.importance_version(1) == Points().importance_version(7) != Points().importance_version(4)
    assert Points().importance_version(2) == ""


@pytest.mark.parametrize("recipe", [SAME, OTHER])
@pytest.mark.parametrize("split", ["train", "val"])
def test_of_dropped_parts_only_those_that_are_left_are_important(recipe, split):
    data = SyntheticParts(seed=3, batch_size=16)
    data.preprocessing = recipe
    data.importance_read = True
    if split == "train":
        torch.manual_seed(0)
        examples = data.examples("train")
        examples.read_importance()
        batch = examples.__getitems__(list(range(16)))
        torch.manual_seed(0)
        present = examples.dropped.present_in(list(range(16)))
    else:
        batch = next(iter(data.val_dataloader()["parts_dropped"]))
        present = DroppedPartsDataset(data.drawn("val")).present[:16]
    assert isinstance(batch, MappedBatch)
    assert batch.targets.shape == (16, 20)
    assert batch.mapped.all()
    drawn = data.drawn(split)
    for index, left in enumerate(present):
        expected = drawn.masks(index)[left].any(0).float()
        if recipe is OTHER:
            expected = data.transform.importance(expected)
        torch.testing.assert_close(batch.importance[index], expected, rtol=0, atol=0)


def test_whole_objects_have_their_region():
    data = SyntheticParts(multi_target=False, batch_size=4)
    data.preprocessing = SAME
    data.importance_read = True
    batch = next(iter(data.test_dataloader()))
    regions = torch.stack([data.drawn("test").region(index) for index in range(4)])
    assert torch.equal(batch.importance, regions.float())
    assert batch.targets.dtype == torch.int64


class Learner:
    preprocessing = SAME
    uses_importance = True


class FakeTrainer:
    lightning_module = Learner()
    num_devices, world_size, global_rank = 1, 1, 0


def test_the_model_at_hand_says_whether_maps_are_read():
    for uses in (True, False):
        data = PointData(batch_size=4, num_workers=0)
        data.trainer = FakeTrainer()
        data.trainer.lightning_module.uses_importance = uses
        data.setup("fit")
        assert data.importance_read is uses
        for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
            assert isinstance(next(iter(loader)), MappedBatch) is uses


def test_a_data_module_in_folds_gives_maps_too():
    data = Folds(PointData(num_workers=0, batch_size=4), 2, 0)
    data.preprocessing = data.data.preprocessing = SAME
    data.importance_read = True
    assert isinstance(next(iter(data.train_dataloader())), MappedBatch)


def test_examples_without_maps_are_refused():
    class Plain(PointData):
        def examples(self, split):
            return [(torch.zeros(3, 4, 4), 0)]

    data = Plain(num_workers=0)
    data.importance_read = True
    with pytest.raises(InputError, match="the model learns from importance maps, but list, which the data module"):
        data.test_dataloader()
