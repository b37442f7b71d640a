"""Check 9 of prototype_evaluation.md, and each measure by hand."""

import pytest
import torch
from torch.nn.functional import conv2d

from lit_coiba.core.errors import InputError
from lit_coiba.functional.misalignment import misalignment, outside_noise
from lit_coiba.metrics import SpatialMisalignment


def uniform(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def activations(images, filters, stride):
    """Maps of T filters, ``(..., T, h, w)``."""
    found = conv2d(images.flatten(0, -4), filters, stride=stride)
    return found.unflatten(0, images.shape[:-3])


def measured(images, filters, stride=8):
    """Boxes of 8 x 8 pixels, the cell that is strongest; maps before and after all else has become noise."""
    clean = activations(images, filters, stride)
    places = clean.flatten(2).argmax(-1)
    tops, lefts = places // clean.shape[-1] * 8, places % clean.shape[-1] * 8
    boxes = torch.stack([tops, lefts, tops + 8, lefts + 8], -1)
    versions = outside_noise(images, boxes, [str(i) for i in range(len(images))])
    return clean, activations(versions, filters, stride)


def test_check_9_a_receptive_field_that_is_the_box_shows_no_change():
    """One filter, planted in one cell of each image: nothing outside its box decides anything."""
    filters, images = uniform(1, 3, 8, 8) - 0.5, 0.1 * uniform(5, 3, 40, 32)
    images[:, :, 16:24, 8:16] += filters[0]
    clean, changed = measured(images, filters)
    metric = SpatialMisalignment()
    metric.update(clean, changed, torch.ones(5).bool(), torch.ones(5, 1).bool())
    assert metric.compute() == 0
    assert [float(value) for value in metric.scores()] == pytest.approx([0] * 5, abs=1e-12)


def test_a_receptive_field_beyond_the_box_shows():
    clean, changed = measured(2 * uniform(5, 3, 40, 32) - 1, uniform(4, 3, 16, 16) - 0.5)
    metric = SpatialMisalignment()
    metric.update(clean, changed, torch.ones(5).bool(), torch.zeros(5, 4).bool())
    assert metric.compute() > 0.3
    assert metric.scores().shift > 0.3
    assert metric.scores().accuracy == -1


def test_by_hand():
    """Two prototypes on a row of three cells; the second one falls from 4 to 1, two cells on, and behind the first."""
    clean = torch.tensor([[[[3.0, 0, 0]], [[4.0, 0, 0]]]])
    changed = clean.unsqueeze(1).repeat(1, 2, 1, 1, 1)
    changed[0, 1, 1] = torch.tensor([[0.5, 0.0, 1.0]])
    found = misalignment(clean, changed)
    assert found.moved.tolist() == [[False, True]]
    assert found.shift.tolist() == [[0, 2]]
    assert found.activation.tolist() == [[0, -0.75]]
    assert found.rank.tolist() == [[0, 1]]
    metric, parts = SpatialMisalignment(), [SpatialMisalignment() for _ in range(2)]
    metric.update(clean, changed, torch.tensor([True]), torch.tensor([[True, False]]))
    assert [float(value) for value in metric.scores()] == [0.5, 1, -0.375, 0.5, -0.5]
    parts[0].update(clean, changed, torch.tensor([True]), torch.tensor([[True, False]]))
    parts[0].merge_state(parts[1])
    assert parts[0].compute() == metric.compute()


def test_noise_lies_outside_the_box_and_follows_the_id():
    images = uniform(2, 3, 12, 10)
    boxes = torch.tensor([[[2, 3, 6, 9], [0, 0, 12, 10]]]).expand(2, -1, -1)
    made = outside_noise(images, boxes, ["a", "b"])
    assert torch.equal(made[:, 1], images)
    assert torch.equal(made[:, 0, :, 2:6, 3:9], images[:, :, 2:6, 3:9])
    assert (made[:, 0] == images).double().mean() == pytest.approx(24 / 120)
    turned = outside_noise(images.flip(0), boxes, ["b", "a"])
    assert torch.equal(turned.flip(0), made)


def test_shapes_that_do_not_fit_are_refused():
    clean = torch.zeros(2, 3, 4, 4)
    with pytest.raises(InputError, match="do not fit clean"):
        SpatialMisalignment().update(clean, clean, torch.ones(2).bool(), torch.ones(2, 3).bool())
