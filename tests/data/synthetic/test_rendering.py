import numpy as np
import pytest

from lit_coiba.data.synthetic.classes import PARTS, class_table
from lit_coiba.data.synthetic.rendering import BODY_OWNER, render_layers
from lit_coiba.data.synthetic.scene import sample_scenes
from lit_coiba.data.synthetic.shapes import VARIANTS_OF

COUNT = 300
VARIANTS = np.random.default_rng(0).integers(4, size=(COUNT, 5))  # any combination, not only those of a class


@pytest.fixture(scope="module", params=[32, 64])
def layers(request):
    return render_layers(sample_scenes(0, range(COUNT)), VARIANTS, request.param)


def test_every_part_is_visible(layers):
    size = layers.owner.shape[-1]
    pixels = np.stack([(layers.owner == part + 1).sum((1, 2)) for part in range(5)], axis=1)
    assert pixels.min() * (64 / size) ** 2 >= 30
    changed = np.stack(
        [((layers.full != layers.bare).any(1) & (layers.owner == part + 1)).sum((1, 2)) for part in range(5)], axis=1
    )
    assert (changed >= 0.9 * pixels).all()


def test_pictures_with_and_without_parts_differ_on_parts_alone(layers):
    elsewhere = (layers.owner == 0) | (layers.owner == BODY_OWNER)
    assert (layers.full == layers.bare).all(1)[elsewhere].all()


def test_parts_do_not_overlap_whatever_their_variants(layers):
    """With all others swapped, a part still owns the same pixels, and they look the same: nothing lies over it."""
    size = layers.owner.shape[-1]
    for part in range(5):
        others = VARIANTS + np.where(np.arange(5) == part, 0, 1 + part % 3)
        swapped = render_layers(sample_scenes(0, range(COUNT)), others % 4, size)
        mine = layers.owner == part + 1
        assert (mine == (swapped.owner == part + 1)).all()
        assert (layers.full == swapped.full).all(1)[mine].all()


@pytest.mark.parametrize("part", range(5))
def test_a_part_shows_the_colour_of_its_variant(part):
    layers = render_layers(sample_scenes(0, range(COUNT)), VARIANTS, 64)
    for index in range(0, COUNT, 5):
        mine = layers.full[index][:, layers.owner[index] == part + 1].astype(float)
        near = []
        for look in VARIANTS_OF[PARTS[part]]:
            colour = np.array(look.colour, dtype=float)
            # lighting scales a colour: compare the shares of red, green and blue, and leave the dark line out
            distance = np.abs(mine / mine.sum(0).clip(1) - (colour / colour.sum())[:, None]).sum(0)
            near.append(((distance < 0.06) & (mine.max(0) > 110)).sum())
        assert int(np.argmax(near)) == VARIANTS[index, part]


def test_every_size_shows_the_same_scene():
    scenes, rows = sample_scenes(0, range(20)), VARIANTS[:20]
    small, large = render_layers(scenes, rows, 64).full, render_layers(scenes, rows, 128).full
    shrunk = large.reshape(20, 3, 64, 2, 64, 2).mean((3, 5))
    assert np.abs(shrunk - small).mean() < 3


def test_a_background_object_changes_only_the_background():
    scenes = sample_scenes(0, range(COUNT))
    rows = np.array(class_table())[np.arange(COUNT) % 20]
    layers = render_layers(scenes, rows, 64)
    for number in range(4):
        without = render_layers(scenes, rows, 64, without_objects=[number])
        changed = (without.full != layers.full).any(1)
        assert (without.owner == layers.owner).all()
        shown = changed.sum((1, 2))
        assert (shown[scenes.objects.number <= number] == 0).all()
        assert (shown[scenes.objects.number > number] >= 5).mean() > 0.98
        inside = layers.owner > 0
        # a smoothed edge of the object lets some of what is behind shine through, its inside nothing
        core = inside.copy()
        for axis in (1, 2):
            for step in (-1, 1):
                core &= np.roll(inside, step, axis)
        core &= np.roll(core, 1, 1) & np.roll(core, -1, 1) & np.roll(core, 1, 2) & np.roll(core, -1, 2)
        assert not (changed & core).any()


def test_no_background_is_flat():
    layers = render_layers(sample_scenes(0, range(20)), VARIANTS[:20], 64, background=False)
    nothing = layers.owner == 0
    assert (layers.full.transpose(0, 2, 3, 1)[nothing] == 214).all()
    kept = render_layers(sample_scenes(0, range(20)), VARIANTS[:20], 64)
    assert (kept.owner == layers.owner).all()
