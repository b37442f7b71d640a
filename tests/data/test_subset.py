import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lit_coiba.data.keypoints import Keypoints
from lit_coiba.data.subset import Subset, limited
from tests._testers.pictures import Pictures


@given(st.integers(1, 200), st.integers(1, 200))
def test_spread_is_even_ascending_and_without_repeats(total, limit):
    pictures = Pictures(total)
    part = limited(pictures, limit)
    assert len(part) == min(limit, total)
    assert part.ids == sorted(set(part.ids))
    places = [pictures.ids.index(name) for name in part.ids]
    gaps = {b - a for a, b in zip(places, [*places[1:], total])}
    assert max(gaps) - min(gaps) <= 1


def test_spread_sees_every_class_of_class_folders_and_first_does_not():
    pictures = Pictures(300)
    pictures.labels = [index // 10 for index in range(300)]
    assert set(limited(pictures, 30).labels) == set(range(30))
    assert set(limited(pictures, 30, "first").labels) == {0, 1, 2}


@pytest.mark.parametrize("limit", [None, 7, 8])
def test_without_need_the_dataset_is_left_as_it_is(limit):
    pictures = Pictures(7)
    assert limited(pictures, limit) is pictures


def test_a_subset_gives_the_samples_of_the_whole():
    pictures = Pictures(10, broken={4})
    part = Subset(pictures, [2, 4, 7])
    assert (part.ids, part.labels, part.classes) == (
        ["picture_0002", "picture_0004", "picture_0007"],
        [2, 1, 1],
        pictures.classes,
    )
    assert part.image(2).getpixel((0, 0)) == (7, 100, 200)
    assert torch.equal(part.region(2), pictures.region(7))
    with pytest.raises(OSError, match="torn"):
        part.image(1)
    assert part.parts(1) is None


def test_a_subset_gives_the_parts_of_the_whole():
    class Dotted(Pictures):
        def parts(self, index):
            return Keypoints(("dot",), torch.tensor([[float(index), 0.0]]), torch.tensor([True]))

    assert Subset(Dotted(5), [1, 3]).parts(1).xy.tolist() == [[3.0, 0.0]]
