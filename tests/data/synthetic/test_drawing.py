import numpy as np
import pytest

from lit_coiba.data.synthetic.drawing import Colours, Placement, draw
from lit_coiba.data.synthetic.shapes import VARIANTS_OF, Ellipse, Shape, disc, polygon
from tests.data.synthetic.test_shapes import contains

RED, BLUE, BLACK = (np.array([c], dtype=np.float64) for c in ((255, 0, 0), (0, 0, 255), (0, 0, 0)))
SIZE = 48


def placed(x=24.3, y=22.8, scale=15.0, turn=0.4, mirror=False) -> Placement:
    cos, sin, sign = np.cos(turn), np.sin(turn), -1 if mirror else 1
    matrix = np.array([[sign * cos], [-sin], [sign * sin], [cos]])
    return Placement(np.array([x]), np.array([y]), np.array([scale]), matrix)


def coverage(shape: Shape, where: Placement, outline: float = 0.0) -> np.ndarray:
    ink = draw(shape, where, 1.0, Colours(RED, BLUE, BLACK), outline, SIZE)
    whole = np.zeros((1, 3, SIZE, SIZE), dtype=np.float32)
    ink._replace(colour=np.ones_like(ink.colour)).paint(whole, np.array([0]))
    return whole[0, 0]


def supersampled(shape: Shape, where: Placement, factor: int = 16) -> np.ndarray:
    """Oracle: the share of a fine grid's points in each pixel that the shape contains."""
    at = (np.arange(SIZE * factor) + 0.5) / factor
    a, b, c, d = where.rotation[:, 0]
    x, y = np.meshgrid((at - where.x) / where.scale, (at - where.y) / where.scale)
    inside = contains(shape, a * x + c * y, b * x + d * y)
    return inside.reshape(SIZE, factor, SIZE, factor).mean((1, 3))


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("look", [look for looks in VARIANTS_OF.values() for look in looks], ids=lambda look: look.name)
def test_coverage_agrees_with_supersampling(look, mirror):
    where = placed(mirror=mirror)
    error = coverage(look.shape, where) - supersampled(look.shape, where)
    assert np.abs(error).max() < 0.5  # at a sharp corner
    assert np.abs(error).sum() < 0.04 * supersampled(look.shape, where).sum()


def test_a_shape_may_lie_partly_outside():
    where = placed(x=1.5, y=46.0)
    expected = supersampled(Shape((disc(0, 0, 0.9),)), where)
    assert np.abs(coverage(Shape((disc(0, 0, 0.9),)), where) - expected).max() < 0.15
    assert expected[:, 0].any()
    assert expected[-1].any()


def test_a_shape_far_outside_leaves_the_picture_alone():
    assert not coverage(Shape((disc(0, 0, 1),)), placed(x=-100.0)).any()


def test_the_line_is_as_wide_as_asked():
    circle = Shape((disc(0, 0, 0.8),))
    grown = coverage(circle, placed(), outline=1.0).sum()
    assert grown == pytest.approx(np.pi * (0.8 * 15 + 1) ** 2, rel=0.01)


@pytest.mark.parametrize("look", [look for looks in VARIANTS_OF.values() for look in looks], ids=lambda look: look.name)
def test_nothing_is_touched_beyond_the_disc_and_the_line(look):
    touched = coverage(look.shape, placed(), outline=0.7) > 0
    at = np.arange(SIZE) + 0.5
    distance = np.hypot(at - 24.3, (at - 22.8)[:, None])
    assert distance[touched].max() <= 15.0 + 0.7 + 0.5


def test_the_centre_of_an_ellipse_is_inside():
    where = placed(x=24.5, y=24.5, turn=0.0)
    assert coverage(Shape((Ellipse(0, 0, 0.9, 0.5),)), where)[24, 24] == 1


def test_colours_go_where_they_belong():
    shape = Shape((polygon((-0.7, -0.7), (0.7, -0.7), (0.7, 0.7), (-0.7, 0.7)),), (disc(0, 0, 0.3),))
    ink = draw(shape, placed(24.5, 24.5, turn=0.0), 1.0, Colours(RED, BLUE, BLACK), 1.5, SIZE)
    white = np.full((1, 3, SIZE, SIZE), 255, dtype=np.float32)
    ink.paint(white, np.array([0]))
    assert white[0, :, 24, 24].tolist() == [0, 0, 255]
    assert white[0, :, 24, 32].tolist() == [255, 0, 0]
    assert white[0, :, 24, 35].tolist() == [0, 0, 0]
    assert white[0, :, 24, 38].tolist() == [255, 255, 255]


def test_claiming_marks_what_is_touched():
    ink = draw(Shape((disc(0, 0, 0.5),)), placed(), 1.0, Colours(RED, BLUE, BLACK), 0.0, SIZE)
    owners = np.zeros((2, SIZE, SIZE), dtype=np.uint8)
    ink.claim(owners, np.array([1]), 3)
    assert not owners[0].any()
    assert ((owners[1] == 3) == (coverage(Shape((disc(0, 0, 0.5),)), placed()) > 0)).all()


def test_a_picture_does_not_depend_on_its_companions():
    shape = VARIANTS_OF["tail"][2].shape
    alone = np.zeros((1, 3, SIZE, SIZE), dtype=np.float32)
    draw(shape, placed(), 1.0, Colours(RED, BLUE, BLACK), 0.7, SIZE).paint(alone, np.array([0]))
    pair = [np.concatenate([v, w], axis=-1) for v, w in zip(placed(x=10.0, scale=19.0, turn=2.0), placed())]
    both = np.zeros((2, 3, SIZE, SIZE), dtype=np.float32)
    draw(shape, Placement(*pair), 1.0, Colours(RED, BLUE, BLACK), 0.7, SIZE).paint(both, np.array([0, 1]))
    assert (alone[0] == both[1]).all()
    assert (both[0] != both[1]).any()
