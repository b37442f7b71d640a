from itertools import combinations

import numpy as np
import pytest

from lit_coiba.data.synthetic.classes import PARTS, VARIANTS
from lit_coiba.data.synthetic.scene import MIN_SCALE, OUTLINE
from lit_coiba.data.synthetic.shapes import (
    BACKGROUND_SHAPES,
    BODY,
    BODY_EXTENT,
    BODY_REACH,
    SLOTS,
    VARIANTS_OF,
    Ellipse,
    Shape,
    bar,
    polygon,
)


def contains(shape: Shape, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Oracle: which points lie in any piece of a shape, from the definitions of a half-plane and an ellipse."""
    inside = np.zeros(x.shape, dtype=bool)
    for piece in shape.main + shape.accent:
        if isinstance(piece, Ellipse):
            inside |= ((x - piece.x) / piece.rx) ** 2 + ((y - piece.y) / piece.ry) ** 2 <= 1
        else:
            inside |= np.all([nx * x + ny * y <= c for nx, ny, c in zip(piece.nx, piece.ny, piece.offset)], axis=0)
    return inside


def rim(radius: float) -> tuple[np.ndarray, np.ndarray]:
    angles = np.linspace(0, 2 * np.pi, 721)
    return radius * np.cos(angles), radius * np.sin(angles)


LOOKS = [(part, variant) for part in PARTS for variant in VARIANTS_OF[part]]


def test_every_part_has_a_slot_and_four_variants_of_different_name_and_colour():
    assert tuple(SLOTS) == tuple(VARIANTS_OF) == PARTS
    for looks in VARIANTS_OF.values():
        assert len(looks) == len({look.name for look in looks}) == len({look.colour for look in looks}) == VARIANTS


@pytest.mark.parametrize("shape", [look.shape for _, look in LOOKS] + list(BACKGROUND_SHAPES))
def test_shapes_fill_some_of_the_unit_disc_and_nothing_beyond(shape):
    for radius in np.linspace(1.001, 3, 60):
        assert not contains(shape, *rim(radius)).any()
    x, y = np.meshgrid(np.linspace(-1, 1, 101), np.linspace(-1, 1, 101))
    assert contains(shape, x, y).mean() > 0.15


def test_slots_with_their_lines_are_disjoint_at_every_size_and_scale():
    smallest = MIN_SCALE * 32 / 64  # pixels per unit where half a pixel of smoothing weighs most
    for a, b in combinations(SLOTS.values(), 2):
        gap = np.hypot(a.x - b.x, a.y - b.y) - a.radius - b.radius
        assert gap * smallest > 2 * (OUTLINE * 32 / 64 + 0.5)


def test_the_body_lies_within_its_reach_and_its_extent():
    for radius in np.linspace(BODY_REACH + 0.01, 60, 60):
        assert not contains(BODY, *rim(radius)).any()
    x, y = np.meshgrid(np.linspace(-30, 30, 301), np.linspace(-30, 30, 301))
    covered = np.any([(x - s.x) ** 2 + (y - s.y) ** 2 <= s.radius**2 for s in BODY_EXTENT], axis=0)
    assert (contains(BODY, x, y) & ~covered).sum() < 0.03 * contains(BODY, x, y).sum()


def test_a_polygon_is_the_same_either_way_round():
    points = [(0.0, 0.0), (1.0, 0.0), (0.2, 0.8)]
    x, y = np.meshgrid(np.linspace(-1, 1, 50), np.linspace(-1, 1, 50))
    one, other = (contains(Shape((polygon(*p),)), x, y) for p in (points, points[::-1]))
    assert (one == other).all()
    assert one.any()


def test_a_bar_is_as_wide_as_it_says():
    shape = Shape((bar((-0.5, -0.5), (0.5, 0.5), 0.4),))
    across = np.array([0.0, 0.19, 0.21]) / np.sqrt(2)
    assert contains(shape, across, -across).tolist() == [True, True, False]
