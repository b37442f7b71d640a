"""SRG: checks S1 to S5, unequal cells, superpixels, ties, what is run, errors."""

import itertools
from typing import ClassVar

import pytest
import torch

from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.functional import resize_map
from lit_coiba.metrics import SRG, Deletion, Insertion
from lit_coiba.metrics.shared import Shared
from lit_coiba.perturbation.segments import superpixels
from tests._testers import tiny
from tests._testers.metrics import SIZE, FaithfulnessTester, network, uniform
from tests._testers.perturbation import probability
from tests._testers.removal import Additive, cell_totals, row, without

GRID = (4, 4)  # of which 6 x 9 pixels make unequal cells


def slow_area(model, image, target, order, sizes, grid, counts):
    """Trapezoid over the pixels that are gone, one image a forward; `order` lists cells in the order of removal."""
    model = model.eval()
    points = []
    for count in counts:
        gone = set(order[:count])
        share = sum(sizes[cell] for cell in gone) / sum(sizes)
        points.append((share, probability(model, without(image, gone.__contains__, grid), target)))
    return sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in itertools.pairwise(points))


def slow_srg(model, image, target, map, grid=GRID, counts=range(17)):
    values = cell_totals(map, grid)
    means = [sum(found) / len(found) for found in values]
    order = sorted(range(len(means)), key=lambda cell: -means[cell])
    sizes = [len(found) for found in values]
    first, last = (slow_area(model, image, target, o, sizes, grid, counts) for o in (order, order[::-1]))
    return last - first


class TestSRG(FaithfulnessTester):
    metric = SRG
    arguments: ClassVar = {"grid_size": GRID}

    def oracle(self, model, images, targets, maps):
        return slow_srg(model, images[0], int(targets), resize_map(maps, SIZE)[0])


class TestFewSteps(FaithfulnessTester):
    metric = SRG
    arguments: ClassVar = {"grid_size": GRID, "log_steps": 4, "chunk": 3}

    def oracle(self, model, images, targets, maps):
        return slow_srg(model, images[0], int(targets), resize_map(maps, SIZE)[0], counts=[0, 1, 3, 6, 16])


def test_s1_exact_values():
    model, images, maps = row([0.4, 0.3, 0.2, 0.1])
    settings = {"grid_size": (1, 4), "baseline": "zero", "output": "logit"}
    found = [metric(**settings, step=1).score(model, images, None, maps).item() for metric in (Insertion, Deletion)]
    assert found == pytest.approx([0.625, 0.375])
    assert SRG(**settings).score(model, images, None, maps).item() == pytest.approx(0.25)
    assert SRG(**settings).score(model, images, None, -maps).item() == pytest.approx(-0.25)


def test_s1_additive_contributions_have_the_closed_form():
    """SRG = sum of c_i (n + 1 - 2 i) / n."""
    contributions = [0.5, 0.4, -0.1, 0.2, -0.3]
    model, images, maps = row(contributions)
    ordered, n = sorted(contributions, reverse=True), 5
    exact = sum(c * (n + 1 - 2 * i) / n for i, c in enumerate(ordered, start=1))
    assert SRG(grid_size=(1, 5), output="logit").score(model, images, None, maps).item() == pytest.approx(exact)


class SetFunction(torch.nn.Module):
    """A random number for every set of cells that are present, of which each is one pixel."""

    def __init__(self, scale=1.0, shift=0.0):
        super().__init__()
        self.values = scale * uniform(64, seed=7) + shift

    def forward(self, images):
        numbers = ((images.flatten(1) != 0).long() * 2 ** torch.arange(6)).sum(1)
        return self.values[numbers].unsqueeze(1)


@pytest.mark.parametrize("seed", range(5))
def test_s2_of_any_set_function_it_is_insertion_minus_deletion_at_one_baseline(seed):
    images, maps = torch.ones(1, 1, 2, 3, dtype=torch.float64), uniform(1, 2, 3, seed=seed)
    settings = {"grid_size": (2, 3), "baseline": "zero", "output": "logit"}
    insertion, deletion = (
        m(**settings, step=1).score(SetFunction(), images, None, maps) for m in (Insertion, Deletion)
    )
    found = SRG(**settings).score(SetFunction(), images, None, maps)
    assert found.item() == pytest.approx((insertion - deletion).item(), abs=1e-14)


@pytest.mark.parametrize("steps", [2, 3, 9])
def test_s2_counts_need_their_complements_for_that(steps):
    model, images, maps = network(), uniform(4, 3, *SIZE), uniform(4, 3, 3, seed=2)
    settings = {"grid_size": 3, "baseline": 0.2, "steps": steps}
    insertion, deletion = (metric(**settings).score(model, images, None, maps) for metric in (Insertion, Deletion))
    found = SRG(**settings).score(model, images, None, maps)
    if steps == 2:  # of 9 cells 4, whose complement does not occur
        assert (found - (insertion - deletion)).abs().max() > 1e-6
    else:
        torch.testing.assert_close(found, insertion - deletion, rtol=1e-10, atol=1e-12)


def test_s3_a_constant_model_has_none():
    model = Additive(torch.zeros(2, 3, *SIZE), bias=0.7)
    found = SRG(grid_size=GRID).score(model, uniform(3, 3, *SIZE), 1, uniform(3, *SIZE, seed=1))
    assert found.tolist() == pytest.approx([0, 0, 0], abs=1e-12)


def test_s3_an_affine_change_of_the_score_scales_it():
    images, maps = torch.ones(1, 1, 2, 3, dtype=torch.float64), uniform(1, 2, 3)
    metric = SRG(grid_size=(2, 3), output="logit")
    plain, changed = (metric.score(f, images, None, maps).item() for f in (SetFunction(), SetFunction(3.0, -5.0)))
    assert changed == pytest.approx(3 * plain)
    assert plain != 0


def test_s4_one_cell_that_carries_all():
    model, images, maps = row([0.0, 0.0, 1.0, 0.0, 0.0])
    found = SRG(grid_size=(1, 5), output="logit").score(model, images, None, maps)
    assert found.item() == pytest.approx(4 / 5)


@pytest.mark.parametrize("baseline", ["zero", "blur", "tokens"])
def test_s5_random_maps_have_none_in_expectation(baseline):
    model, size = tiny.vit(depth=1).double(), (32, 32)
    images = tiny.images(1, size).double().expand(100, -1, -1, -1)
    metric, scores = SRG(grid_size=4, log_steps=5, baseline=baseline), []
    for part in range(3):
        maps = uniform(100, 4, 4, seed=part)
        scores.append(metric.score(model, images, torch.zeros(100, dtype=torch.long), maps))
    found = torch.cat(scores)
    assert abs(found.mean()) < 3 * found.std() / 300**0.5
    assert found.std() > 0


def test_a_negated_map_has_the_negative():
    model, images, maps = network(), uniform(4, 3, *SIZE), uniform(4, *SIZE, seed=2)
    for baseline in ("zero", "mean", 0.3):
        metric = SRG(grid_size=GRID, baseline=baseline)
        torch.testing.assert_close(
            metric.score(model, images, None, -maps), -metric.score(model, images, None, maps), rtol=1e-10, atol=1e-12
        )


def test_ties_go_in_the_order_of_the_cells():
    model, images, _ = row([0.4, 0.3, 0.2, 0.1])
    found = SRG(grid_size=(1, 4), output="logit").score(model, images, None, torch.full((1, 1, 4), 0.1))
    assert found.item() == pytest.approx(0.25)
    pixels = SRG(grid_size=(3, 4)).score(network(), uniform(1, 3, *SIZE), 0, torch.full((1, *SIZE), 0.1))
    cells = SRG(grid_size=(3, 4)).score(network(), uniform(1, 3, *SIZE), 0, torch.full((1, 3, 4), 0.1))
    assert torch.equal(pixels, cells)  # means over cells of a constant map are ties whatever is rounded


@pytest.mark.parametrize(("arguments", "steps"), [({}, 16), ({"steps": 4}, 4), ({"log_steps": 4}, 4)])
def test_no_image_is_run_twice(arguments, steps):
    model, images, maps = Additive(uniform(2, 3, *SIZE)), uniform(3, 3, *SIZE), uniform(3, *SIZE, seed=1)
    metric, shared = SRG(grid_size=GRID, **arguments), Shared()
    metric.score(model, images, 1, maps, shared=shared)
    assert sum(model.seen) == 3 * metric.forwards(SIZE) == 3 * 2 * steps
    metric.score(model, images, 1, -maps, shared=shared)
    assert sum(model.seen) == 3 * 2 * (2 * steps - 1)  # the ends are those of the first map


def slow_superpixels(model, image, target, map):
    """Superpixels one at a time; both curves over the pixels that are gone."""
    numbers, model = superpixels(image[None], 25)[0], model.eval()
    order = sorted(range(int(numbers.max()) + 1), key=lambda number: -map[numbers == number].mean().item())
    areas = []
    for names in (order, order[::-1]):
        points = []
        for count in range(len(names) + 1):
            gone = torch.isin(numbers, torch.tensor(names[:count], dtype=torch.long))
            points.append((gone.double().mean().item(), probability(model, torch.where(gone, 0, image), target)))
        areas.append(sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in itertools.pairwise(points)))
    return areas[1] - areas[0]


def test_superpixels_of_unequal_number_are_scored_as_alone():
    pytest.importorskip("skimage")
    model, images = network((24, 32)), uniform(3, 3, 24, 32)
    images[1] = images[1].mean() + 0.01 * images[1]  # fewer superpixels
    model.preprocessing = Preprocessing(mean=(0.0,) * 3, std=(1.0,) * 3)
    maps, metric = uniform(3, 24, 32, seed=2), SRG(segments="slic")
    whole = metric.score(model, images, torch.tensor([0, 1, 2]), maps)
    assert whole[0].item() == pytest.approx(slow_superpixels(model, images[0], 0, maps[0]), rel=1e-9)
    alone = [metric.score(model, images[i : i + 1], torch.tensor([i]), maps[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(whole, torch.cat(alone), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(
        metric.score(model, images, torch.tensor([0, 1, 2]), -maps), -whole, rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"grid_size": (3, 0)}, "grid_size is"),
        ({"steps": 0}, "steps is 0"),
        ({"log_steps": 0}, "log_steps is 0"),
        ({"steps": 3, "log_steps": 3}, "give one of the two"),
        ({"segments": "squares"}, "segments is 'squares'"),
        ({"segments": "slic", "baseline": "tokens"}, "choose segments grid"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        SRG(**arguments)


def test_too_many_cells_are_refused():
    with pytest.raises(InputError, match="grid_size is 7 x 7, but images have 6 x 9 pixels"):
        SRG().check(SIZE)
