import numpy as np
import pytest
import torch

from lit_coiba.attribution import CenterGaussian, EdgeDetector
from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data import SyntheticPatterns
from lit_coiba.data.class_order import ClassOrder, Reordered
from lit_coiba.data.subset import Subset
from lit_coiba.data.synthetic.patterns import SyntheticPatternsDataset
from lit_coiba.metrics import SuppressorShare
from tests._testers.analytic import Analytic

SCENARIOS = ["linear", "multiplicative", "moved", "xor"]
BACKGROUNDS = ["white", "correlated", "none"]


def values(dataset):
    return torch.stack([dataset.values(i) for i in range(len(dataset))])


class TestX1:
    """Spec of the metrics in distribution, check X1: the optimal rule subtracts the suppressor."""

    def test_the_ratio_of_a_least_squares_fit(self):
        generator = torch.Generator().manual_seed(0)
        label, n, e, g = torch.randn(4, 400_000, generator=generator, dtype=torch.float64)
        z = label.sign()
        x = torch.stack([z + n + 0.3 * e, n + 0.5**0.5 * g], 1)
        weights = torch.linalg.lstsq(x, z[:, None]).solution[:, 0]
        assert weights[1] / weights[0] == pytest.approx(-2 / 3, abs=1e-2)
        pattern = x.T @ z / len(z)  # covariance with what counts
        assert abs(pattern[1]) < 5e-3 < 0.9 < pattern[0]

    @pytest.mark.parametrize(("variance", "ratio"), [(2.0, -2 / 3), (1.0, -1 / 2)])
    def test_the_same_in_the_pictures(self, variance, ratio):
        """At the T and where what lies under it is copied to; the gray levels are those of the pictures."""
        dataset = SyntheticPatternsDataset(range(4000), size=32, suppressor=variance, alpha=0.2)
        levels = torch.stack([torch.from_numpy(np.asarray(dataset.image(i))[..., 0].copy()) for i in range(4000)])
        shape = np.kron([[1, 1, 1], [0, 1, 0]], np.ones((4, 4)))
        shape = torch.from_numpy(shape) / shape.sum()
        boxes = [(levels[:, top : top + 8, 3:15].double() * shape).sum((1, 2)) for top in (4, 20)]
        x = torch.stack([box - box.mean() for box in boxes], 1)
        z = 1 - 2 * torch.tensor(dataset.labels).double()
        weights = torch.linalg.lstsq(x, z[:, None]).solution[:, 0]
        assert weights[1] / weights[0] == pytest.approx(ratio, abs=0.05)
        correlations = [float(torch.corrcoef(torch.stack([column, z]))[0, 1]) for column in x.T]
        assert correlations[0] > 0.3 > 0.06 > abs(correlations[1])


def test_x4_a_map_of_edges_is_the_same_for_every_label():
    """Spec of the metrics in distribution, check X4."""

    class Small(Analytic):
        num_classes = 2
        preprocessing = Preprocessing(size=(32, 32))

    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for method in (EdgeDetector(), EdgeDetector("laplace"), CenterGaussian()):
        maps = [method.attribute(Small(), images, torch.tensor(labels)) for labels in ([0, 0, 0], [1, 1, 1], [1, 0, 1])]
        assert torch.equal(maps[0], maps[1])
        assert torch.equal(maps[0], maps[2])


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_parts_and_suppressor_do_not_meet(scenario, background):
    if (scenario, background) == ("multiplicative", "none"):
        return
    dataset = SyntheticPatternsDataset(range(40), scenario=scenario, background=background)
    for i in range(40):
        region, suppressor = dataset.region(i), dataset.suppressor(i)
        assert not (region & suppressor).any()
        assert region.sum() == (256 if scenario == "moved" else 512)
        assert suppressor.sum() == 384
        assert dataset.image(i).size == (64, 64)
        assert dataset.values(i).isfinite().all()


def test_a_sample_is_a_function_of_seed_and_number():
    dataset, other = SyntheticPatternsDataset(range(8), seed=1), SyntheticPatternsDataset([5, 7], seed=1)
    assert torch.equal(dataset.values(5), other.values(0))
    assert other.ids == ["pattern-000005", "pattern-000007"]
    assert other.labels == [dataset.labels[5], dataset.labels[7]]
    for step in (1, 2, 4, 5):  # whatever regular choice is made, both classes are there alike
        labels = SyntheticPatternsDataset(range(0, 1000 * step, step)).labels
        assert 0.45 < sum(labels) / 1000 < 0.55
    assert not torch.equal(SyntheticPatternsDataset([5]).values(0), other.values(0))
    assert dataset.identity() != SyntheticPatternsDataset(range(8)).identity()


@pytest.mark.parametrize(("size", "blocks"), [(32, 4), (96, 12)])
def test_other_sizes_have_the_same_layout(size, blocks):
    dataset = SyntheticPatternsDataset([0, 1], size=size)
    assert dataset.region(0).shape == (size, size)
    assert dataset.region(0).sum() == 8 * blocks**2


def test_pattern_and_background_have_norm_one():
    dataset = SyntheticPatternsDataset(range(4), alpha=0.5, background="none", suppressor=0.0)
    assert dataset.suppressor(0) is None
    torch.testing.assert_close(values(dataset).norm(dim=(1, 2)), torch.full((4,), 32.0).double())
    ground = SyntheticPatternsDataset(range(4), alpha=0.0, suppressor=0.0)
    torch.testing.assert_close(values(ground).norm(dim=(1, 2)), torch.full((4,), 64.0).double())


def test_a_linear_class_is_where_the_pattern_is():
    dataset = SyntheticPatternsDataset(range(400), suppressor=0.0)
    x, labels, region = values(dataset), torch.tensor(dataset.labels), dataset.region(0)
    difference = x[labels == 0].mean(0) - x[labels == 1].mean(0)
    assert difference[:32][region[:32]].mean() > 0.4 > -0.4 > difference[32:][region[32:]].mean()
    assert difference[~region].abs().mean() < 0.1


def test_a_multiplicative_class_has_another_contrast_and_the_same_mean():
    dataset = SyntheticPatternsDataset(range(600), scenario="multiplicative", alpha=0.8, suppressor=0.0)
    x, labels = values(dataset)[:, 8:16, 6:30], torch.tensor(dataset.labels)
    spread = [x[labels == k].std() for k in (0, 1)]
    assert spread[0] < 0.5 * spread[1]
    assert abs(x[labels == 0].mean()) < 0.02


def test_neither_place_of_an_exclusive_class_says_anything_alone():
    dataset = SyntheticPatternsDataset(range(600), scenario="xor", alpha=0.3, suppressor=0.0)
    x, label = values(dataset), torch.tensor(dataset.labels).double() - 0.5
    first, second = x[:, 8:16, 6:30].mean((1, 2)), x[:, 40:48, 34:58].mean((1, 2))
    for alone in (first, second):
        assert abs(torch.corrcoef(torch.stack([alone, label]))[0, 1]) < 0.12
    assert torch.corrcoef(torch.stack([first * second, label]))[0, 1] > 0.9
    assert dataset.classes == ["different", "same"]


def test_moved_patterns_are_turned_and_everywhere_above():
    dataset = SyntheticPatternsDataset(range(300), scenario="moved")
    regions = torch.stack([dataset.region(i) for i in range(300)])
    assert len(torch.unique(regions, dim=0)) > 200
    assert regions.any(0)[:36].float().mean() > 0.95
    assert not regions[:, 36:].any()


def test_correlated_backgrounds_are_smooth():
    rough, smooth = (
        values(SyntheticPatternsDataset(range(8), background=b, alpha=0.0, suppressor=0.0))
        for b in ("white", "correlated")
    )
    steps = [(x[:, 1:] - x[:, :-1]).std() for x in (rough, smooth)]
    assert steps[1] < 0.15 * steps[0]


def test_masks_go_with_parts_of_the_data():
    dataset = SyntheticPatternsDataset(range(6))
    part = Subset(dataset, [1, 4])
    assert torch.equal(part.suppressor(1), dataset.suppressor(4))
    turned = Reordered(dataset, ClassOrder((1, 0), dataset.classes), ("L", "T"))
    assert torch.equal(turned.suppressor(2), dataset.suppressor(2))
    found = SuppressorShare().score(dataset.suppressor(0)[None].double(), dataset.suppressor(0)[None])
    assert found.item() == 1


def test_the_data_module_has_splits_that_are_apart():
    data = SyntheticPatterns(scenario="xor", split="val", limit=4)
    parts = [data.dataset(split) for split in ("train", "val", "test")]
    assert [len(part) for part in parts] == [10_000, 1000, 1000]
    assert len({name for part in parts for name in part.ids}) == 12_000
    assert data.dataset("predict").ids == parts[1].ids
    assert data.identity()["scenario"] == "xor"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scenario": "rotated"}, "scenario is 'rotated': choose linear, multiplicative, moved, xor"),
        ({"background": "pink"}, "background is 'pink'"),
        ({"size": 40}, "size is 40: give a multiple of 32"),
        ({"alpha": 1.5}, "alpha is 1.5"),
        ({"suppressor": -1.0}, "suppressor is -1.0"),
        ({"seed": -1}, "seed is -1"),
        ({"scenario": "multiplicative", "background": "none"}, "a multiplicative pattern is one of the background"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        SyntheticPatterns(**arguments)
