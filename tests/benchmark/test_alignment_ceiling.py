import math

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from lit_coiba.benchmark import alignment_ceiling
from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data import ImageFolder
from lit_coiba.functional import keyed_orders
from tests._testers.alignment import smoothed
from tests._testers.people import SIZE, save_maps_of_people
from tests._testers.pictures import Pictures


class People(Pictures):
    """Each image has as many participants as `counts` says, who see a truth through noise."""

    def __init__(self, counts, noise=1.0):
        super().__init__(len(counts), size=SIZE[::-1])
        self.counts, self.noise = counts, noise

    def importances(self, index):
        if not self.counts[index]:
            return None
        generator = torch.Generator().manual_seed(index)
        truth = torch.rand(SIZE, generator=generator)
        return truth + self.noise * torch.rand(self.counts[index], *SIZE, generator=generator)


def test_the_halves_are_smoothed_compared_and_averaged():
    people = People([4, 0, 5, 1])
    found = alignment_ceiling(people)
    means = []
    for index in (0, 2):
        maps = [smoothed(one.double().numpy()) for one in people.importances(index)]
        half, values = len(maps) // 2, []
        for order in keyed_orders(0, people.ids[index], "halves", 10, len(maps)).tolist():
            one, other = (sum(maps[k] for k in part) for part in (order[:half], order[half : 2 * half]))
            values.append(spearmanr(one.ravel(), other.ravel()).statistic)
        means.append(np.mean(values))
    assert found.half == pytest.approx(np.mean(means), abs=1e-9)
    assert found.full == pytest.approx(math.sqrt(2 * found.half / (1 + found.half)))
    assert (found.images, found.left_out, found.participants, found.splits) == (2, 2, (4, 5), 10)
    assert str(found) == (
        f"split-half {found.half:.3f}, Spearman-Brown {found.full:.3f}: Spearman's correlation, mean over 2 images with"
        " 4 to 5 participants and 10 random splits of each; 2 images left out, with fewer than two participants who say"
        " something"
    )


def test_it_depends_on_the_seed_and_not_on_other_images():
    one, both = alignment_ceiling(People([6])), alignment_ceiling(People([6, 0]))
    assert one.half == both.half != alignment_ceiling(People([6]), seed=1).half
    plain = alignment_ceiling(People([6]), smooth=False)
    assert plain.half != one.half
    cropped = alignment_ceiling(People([6]), Preprocessing((16, 16), 0.8))
    assert cropped.half != one.half


def test_people_who_do_not_agree_have_no_ceiling():
    class Opposed(People):
        def importances(self, index):
            ramp = torch.arange(SIZE[0] * SIZE[1]).view(SIZE).float()
            return torch.stack([ramp, ramp.max() - ramp])

    found = alignment_ceiling(Opposed([2]), smooth=False)
    assert found.half == pytest.approx(-1)
    assert math.isnan(found.full)
    assert "the halves do not agree, so there is no ceiling" in str(found)


def test_what_has_no_ceiling_is_refused():
    with pytest.raises(InputError, match="none of 2 images has importance maps of two participants"):
        alignment_ceiling(People([1, 0]))
    with pytest.raises(InputError, match="splits is 9"):
        alignment_ceiling(People([4]), splits=9)


@pytest.fixture
def folder(tmp_path):
    return save_maps_of_people(tmp_path)


def test_a_map_that_cannot_be_read_is_named(folder):
    (folder / "maps/b/1.npy").write_bytes(b"torn")
    data = ImageFolder(str(folder / "images"), importance=str(folder / "maps"))
    with pytest.raises(InputError, match=r"sample b.png: the importance map .*1.npy cannot be read"):
        alignment_ceiling(data.dataset("predict"))
