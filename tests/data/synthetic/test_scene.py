import colorsys

import numpy as np
import pytest

from lit_coiba.data.synthetic.scene import FRAME, MAX_SCALE, MIN_SCALE, OUTLINE, _rgb, sample_scenes


@pytest.fixture(scope="module")
def scenes():
    return sample_scenes(0, range(1000))


def flat(value) -> list[np.ndarray]:
    return [array for item in value for array in flat(item)] if isinstance(value, tuple) else [value]


def test_a_scene_is_the_same_in_any_company(scenes):
    for index in (0, 17, 999):
        for alone, together in zip(flat(sample_scenes(0, [index])), flat(scenes)):
            assert np.array_equal(alone[0], together[index])


def test_another_seed_gives_other_scenes(scenes):
    assert not np.isclose(sample_scenes(1, range(1000)).x, scenes.x).any()


def test_every_part_and_its_line_are_in_the_frame(scenes):
    parts = scenes.parts
    for centre in (parts.x, parts.y):
        assert (centre - parts.radius - OUTLINE).min() >= 0.5
        assert (centre + parts.radius + OUTLINE).max() <= FRAME - 0.5


def test_pose_varies(scenes):
    assert 0.45 < scenes.mirror.mean() < 0.55
    assert scenes.scale.min() < MIN_SCALE + 0.01
    assert scenes.scale.max() > MAX_SCALE - 0.01
    assert np.ptp(scenes.x) > 5
    assert np.ptp(scenes.y) > 10
    assert np.ptp(np.rad2deg(scenes.turn)) > 30


def test_there_are_two_to_four_background_objects_of_every_shape(scenes):
    assert np.bincount(scenes.objects.number, minlength=5)[2:].min() > 280
    assert np.bincount(scenes.objects.shape.ravel()).min() > 600
    assert np.bincount(scenes.background.pattern).min() > 200


def test_colours_agree_with_the_standard_library():
    hsv = np.random.default_rng(0).random((200, 3))
    expected = [colorsys.hsv_to_rgb(*row) for row in hsv]
    assert np.allclose(_rgb(*hsv.T), 255 * np.array(expected))
