"""Part purity against counts by hand, and against chance."""

import math

import pytest
import torch

from lit_coiba.functional import (
    LEFT_RIGHT,
    centre_cropped,
    merge_parts,
    merged_names,
    part_purity,
    parts_inside,
)


def bools(*rows):
    return torch.tensor(rows, dtype=torch.bool)


def random_points(count, parts, generator):
    return 224 * torch.rand(count, parts, 2, generator=generator)


def test_a_prototype_that_is_always_on_one_keypoint_is_pure():
    points = random_points(10, 4, torch.Generator().manual_seed(0))
    corner = points[:, 2].flip(-1).floor() - 16  # row and column
    inside = parts_inside(torch.cat([corner, corner + 32], 1), points, torch.ones(10, 4, dtype=torch.bool))
    found = part_purity(inside, torch.ones(10, 4, dtype=torch.bool), torch.full((10,), 7))
    assert (found.units.tolist(), found.patches.tolist()) == ([7], [10])
    assert (found.purity.item(), found.part.item()) == (1, 2)


def test_patches_without_keypoints_have_no_purity():
    points = torch.full((10, 3, 2), 200.0)
    boxes = torch.tensor([[0, 0, 32, 32]]).expand(10, 4)
    visible = torch.ones(10, 3, dtype=torch.bool)
    found = part_purity(parts_inside(boxes, points, visible), visible, torch.arange(10) // 5)
    assert found.purity.tolist() == found.frequent_purity.tolist() == [0, 0]


def test_a_box_holds_its_upper_left_edge_only_and_nothing_hidden():
    points = torch.tensor([[[2.0, 1.0], [6.0, 1.0], [2.0, 4.0], [5.99, 3.99], [3.0, 2.0]]])
    box = torch.tensor([[1, 2, 4, 6]])  # rows 1 to 3, columns 2 to 5
    visible = bools([1, 1, 1, 1, 0])
    assert parts_inside(box, points, visible).tolist() == [[True, False, False, True, False]]


@pytest.mark.parametrize("dtype", [torch.int32, torch.float32])
def test_oversize_patches_are_cropped_about_their_middle(dtype):
    boxes = torch.tensor([[10, 20, 74, 60], [0, 0, 32, 32], [0, 0, 33, 5], [5, 5, 6, 105]], dtype=dtype)
    expected = [[26, 24, 58, 56], [0, 0, 32, 32], [0, 0, 32, 5], [5, 39, 6, 71]]
    cropped = centre_cropped(boxes)
    assert cropped.tolist() == expected
    assert cropped.dtype == dtype
    assert centre_cropped(boxes, 8)[0].tolist() == [38, 36, 46, 44]


@pytest.mark.parametrize("share", ["visible", "patches"])
def test_random_boxes_have_the_base_rate_of_the_parts(share):
    generator = torch.Generator().manual_seed(1)
    count, side, size = 20_000, 32, 224
    corner = torch.randint(0, size - side + 1, (count, 2), generator=generator)
    places = torch.tensor([[112.3, 100.7], [40.2, 60.9]]).expand(count, 2, 2)  # far from the edges: all boxes reach
    shown = torch.rand(count, 2, generator=generator) < torch.tensor([0.9, 0.5])
    inside = parts_inside(torch.cat([corner, corner + side], 1), places, shown)
    base = (side / (size - side + 1)) ** 2  # boxes that hold a given pixel, of all boxes
    expected = [base, base] if share == "visible" else [0.9 * base, 0.5 * base]
    found = [part_purity(inside[:, [p]], shown[:, [p]], torch.zeros(count).long(), share).purity.item() for p in (0, 1)]
    seen = shown.sum(0).tolist() if share == "visible" else [count, count]
    for value, rate, n in zip(found, expected, seen):
        assert abs(value - rate) < 3 * math.sqrt(rate * (1 - rate) / n)


def test_left_and_right_are_one_part():
    names, into = merged_names(["beak", "left eye", "right eye"])
    inside = bools([0, 1, 0], [0, 0, 1], [0, 1, 0], [0, 0, 1])
    visible, units = torch.ones(4, 3, dtype=torch.bool), torch.zeros(4).long()
    apart = part_purity(inside, visible, units)
    merged = part_purity(merge_parts(inside, into), merge_parts(visible, into), units)
    assert (apart.purity.item(), merged.purity.item(), names[merged.part.item()]) == (0.5, 1, "eye")


def test_the_table_has_the_paired_parts_of_cub():
    assert LEFT_RIGHT == {
        "left eye": "eye",
        "right eye": "eye",
        "left leg": "leg",
        "right leg": "leg",
        "left wing": "wing",
        "right wing": "wing",
    }
    assert merged_names(["left eye", "right eye"], {})[0] == ("left eye", "right eye")


def test_the_denominator_is_what_can_be_seen_or_all():
    inside, visible = bools([1, 0], [0, 0], [0, 0], [1, 0]), bools([1, 1], [0, 1], [0, 1], [1, 1])
    units = torch.zeros(4).long()
    assert part_purity(inside, visible, units).purity.item() == 1
    assert part_purity(inside, visible, units, "patches").purity.item() == 0.5


def test_the_most_frequent_part_need_not_be_the_purest():
    inside = bools([1, 1], [0, 1], [0, 1], [0, 0])
    visible = bools([1, 1], [0, 1], [0, 1], [0, 1])  # the first part is seen once, and then always in the patch
    found = part_purity(inside, visible, torch.zeros(4).long())
    assert (found.purity.item(), found.part.item()) == (1, 0)
    assert (found.frequent_purity.item(), found.frequent_part.item()) == (0.75, 1)


def test_of_equally_pure_parts_the_one_in_more_patches_is_named():
    found = part_purity(bools([1, 1], [0, 1]), bools([1, 1], [0, 1]), torch.zeros(2).long())
    assert (found.purity.item(), found.part.item()) == (1, 1)


def test_the_summary_is_over_prototypes():
    inside = bools([1], [1], [1], [0], [0], [0], [1])
    found = part_purity(inside, torch.ones(7, 1, dtype=torch.bool), torch.tensor([3, 3, 5, 5, 9, 9, 9]))
    values = [1, 0.5, 1 / 3]
    mean = sum(values) / 3
    told = found.summary()
    assert told["mean"] == pytest.approx(mean)
    assert told["std"] == pytest.approx(math.sqrt(sum((v - mean) ** 2 for v in values) / 3))
    assert told["frequent_mean"] == pytest.approx(mean)
    assert (told["prototypes"], told["part_related"]) == (3, 1)  # a half is not more than a half
    assert found.summary(0.4)["part_related"] == 2
