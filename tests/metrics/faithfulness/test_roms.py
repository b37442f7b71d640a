"""R-OMS: its part of check S1, random orders one by one, and that no map is asked."""

import statistics
from typing import ClassVar

import pytest
import torch

from lit_coiba.core.errors import InputError
from lit_coiba.functional import keyed_orders
from lit_coiba.metrics import ROMS
from lit_coiba.metrics.shared import Shared
from tests._testers.metrics import CLASSES, SIZE, MetricTester, network, uniform
from tests._testers.removal import Additive, row
from tests.metrics.faithfulness.test_srg import slow_area

GRID = (4, 4)


def slow_roms(model, images, targets):
    places = keyed_orders(0, "", "roms", 2, 16).tolist()
    heights = [sum(place * 4 // 6 == i for place in range(6)) for i in range(4)]
    widths = [sum(place * 4 // 9 == j for place in range(9)) for j in range(4)]
    sizes = [height * width for height in heights for width in widths]
    orders = [sorted(range(16), key=place.__getitem__) for place in places]
    counts = [0, 1, 6, 11, 16]
    return statistics.mean(slow_area(model, images[0], int(targets), order, sizes, GRID, counts) for order in orders)


class TestROMS(MetricTester):
    metric = ROMS
    arguments: ClassVar = {"grid_size": GRID, "levels": 4, "draws": 2}
    oracle = staticmethod(slow_roms)

    def inputs(self, count):
        images = 2 * uniform(count, 3, *SIZE) - 1
        return [network(), images, torch.arange(count) % CLASSES]

    def test_uneven_splits_add_up_to_one(self):  # no map that could be spoilt: an image is
        model, images, targets = self.inputs(7)
        images[2] = torch.nan
        whole, parts = self.build(), [self.build(), self.build()]
        whole.update(model, images, targets)
        for part, rows in zip(parts, (slice(0, 5), slice(5, 7))):
            part.update(model, images[rows], targets[rows])
        parts[0].merge_state(parts[1])
        assert (parts[0].count, parts[0].undefined) == (whole.count, whole.undefined) == (6, 1)
        assert parts[0].compute().item() == pytest.approx(whole.compute().item(), rel=1e-14)


def test_s1_additive_contributions_lose_what_is_gone():
    """On average over orders the score falls in a straight line: the area is half of it."""
    model, images, _ = row([0.5, 0.4, -0.1, 0.2])
    metric = ROMS(grid_size=(1, 4), levels=4, draws=400, output="logit")
    assert metric.score(model, images, None).item() == pytest.approx(0.5, abs=0.02)


def test_draws_are_those_of_the_sample_and_computed_once():
    model, images = Additive(uniform(2, 3, *SIZE)), uniform(2, 3, *SIZE)
    metric, shared = ROMS(grid_size=3), Shared()
    both = metric.score(model, images, 1, ["a", "b"], shared)
    assert sum(model.seen) == 2 * metric.forwards(SIZE) == 2 * 10  # 9 levels of 9 cells
    assert metric.score(model, images, 1, ["a", "b"], shared) is both
    torch.testing.assert_close(metric.score(model, images[1:], 1, ["b"]), both[1:])
    assert not torch.equal(metric.score(model, images[1:], 1, ["c"]), both[1:])


def test_ten_levels_are_the_usual():
    assert ROMS().forwards((64, 64)) == 11
    assert ROMS()._counts(49) == [1, 6, 12, 17, 22, 28, 33, 38, 44, 49]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"levels": 1}, "levels is 1"), ({"draws": 0}, "draws is 0"), ({"grid_size": 0}, "grid")],
)
def test_arguments_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        ROMS(**arguments)


def test_too_many_cells_are_refused():
    with pytest.raises(InputError, match="grid_size is 7 x 7, but images have 6 x 9 pixels"):
        ROMS().check(SIZE)
