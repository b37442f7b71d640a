"""`start="gradient"` of CoIBA: the closed form on a linear model, what it changes, and whose results it is."""

import pytest
import torch
from torch import nn

from lit_coiba.attribution import CoIBA
from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.core.old_names import current_identity
from lit_coiba.functional import BITS_PER_NAT
from tests._testers import tiny
from tests._testers.twins import kl

CHANNELS, SIDE = 5, 4


class Linear(nn.Module):
    """Logits are linear in the cells of the first layer, with a weight for each channel and place."""

    def __init__(self):
        super().__init__()
        self.cells = nn.Conv2d(3, CHANNELS, 8, stride=8)
        self.fc = nn.Linear(CHANNELS * SIDE * SIDE, 3)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for part in self.parameters():
                part.copy_(torch.randn(part.shape, generator=generator))

    def forward(self, images):
        return self.fc(self.cells(images).flatten(1))


@pytest.fixture(scope="module")
def model():
    return Backbone.wrap(Linear().eval(), image_size=32).double()


@pytest.fixture(scope="module")
def statistics(model):
    return tiny.statistics(model, ["cells"])


def method(model, statistics, **arguments):
    made = CoIBA(["cells"], **{"start": "gradient", "steps": 2, "copies": 2, "lr": 1e-9, **arguments})
    made.set_statistics(model, statistics, ())
    return made


def started(model, statistics, images, targets):
    """Logits of the ratios, ``(B, cells)``, by a loop over images and cells, from the weights themselves."""
    weight = model.model.fc.weight.detach().unflatten(1, (CHANNELS, SIDE, SIDE)).double()
    mean, std = statistics.mean["cells"].double(), statistics.std["cells"].double().clamp_min(0.01)
    activation = model.model.cells(images).detach()
    rows = []
    for image, target in zip(activation, targets):
        values = []
        for y in range(SIDE):
            for x in range(SIDE):
                w = weight[target, :, y, x]
                drop = (w * (image[:, y, x] - mean[:, y, x])).sum().abs()
                values.append(drop + (w * std[:, y, x]).norm())
        values = torch.stack(values)
        rows.append(2 * ((values - values.mean()) / values.std()).clamp(-2, 2))
    return torch.stack(rows), ((activation - mean) / std).square().mean(1).flatten(1)


def test_the_start_of_a_linear_model_is_its_closed_form(model, statistics):
    images, targets = tiny.images(3, (32, 32), seed=7).double(), torch.tensor([0, 2, 1])
    found = method(model, statistics).explain(model, images, targets).maps.flatten(1)
    alpha, squared = started(model, statistics, images, targets)
    assert alpha.min() < -1 < 2 < alpha.max()
    nats = kl(torch.sigmoid(alpha), squared.sqrt())
    torch.testing.assert_close(found, CHANNELS * BITS_PER_NAT * nats, rtol=1e-4, atol=1e-6)


def test_the_start_of_an_image_does_not_depend_on_its_batch_and_follows_the_class(model, statistics):
    images, targets = tiny.images(3, (32, 32), seed=7).double(), torch.tensor([0, 2, 1])
    warm = method(model, statistics)
    together = warm.attribute(model, images, targets)
    torch.testing.assert_close(warm.attribute(model, images[1:2], targets[1:2])[0], together[1], rtol=1e-10, atol=0)
    assert not torch.allclose(warm.attribute(model, images, 1)[0], together[0])


def test_a_score_without_a_slope_starts_alike_everywhere():
    flat = Backbone.wrap(Linear().eval(), image_size=32).double()
    with torch.no_grad():
        flat.model.fc.weight.zero_()
    statistics = tiny.statistics(flat, ["cells"])
    images = tiny.images(2, (32, 32), seed=7).double()
    found = method(flat, statistics).attribute(flat, images, 0).flatten(1)
    _, squared = started(flat, statistics, images, [0, 0])
    nats = kl(torch.sigmoid(torch.zeros_like(squared)), squared.sqrt())
    torch.testing.assert_close(found, CHANNELS * BITS_PER_NAT * nats, rtol=1e-4, atol=1e-6)


def test_the_fit_goes_on_from_there(model, statistics):
    """The first update by Adam moves every logit by its rate, whatever the gradient."""
    images, targets = tiny.images(2, (32, 32), seed=7).double(), torch.tensor([0, 2])
    moved = method(model, statistics, lr=0.5).attribute(model, images, targets).flatten(1)
    alpha, squared = started(model, statistics, images, targets)
    up, down = (CHANNELS * BITS_PER_NAT * kl(torch.sigmoid(alpha + s), squared.sqrt()) for s in (0.5, -0.5))
    assert (torch.isclose(moved, up, rtol=1e-3) | torch.isclose(moved, down, rtol=1e-3)).all()


def test_the_start_is_part_of_the_identity_and_what_has_none_began_open():
    warm, open_ = (CoIBA(start=start).identity() for start in ("gradient", "open"))
    assert (warm["start"], open_["start"]) == ("gradient", "open")
    old = {"class": "CoIBA", **{name: value for name, value in open_.items() if name not in ("class", "start")}}
    assert current_identity({"method": old})["method"] == {**old, "start": "open"}
    with pytest.raises(InputError, match="start is 'closed'"):
        CoIBA(start="closed")


@pytest.mark.parametrize("build", [tiny.vit, tiny.resnet, tiny.swin])
def test_it_leaves_less_open_than_a_fit_that_begins_open(build):
    """What is not needed is closed from the beginning, so that the same steps leave less open."""
    model = build()
    layers = CoIBA().statistics_layers(model)
    found = {}
    for start in ("gradient", "open"):
        made = CoIBA(layers[-1:], start=start, steps=5, copies=2)
        made.set_statistics(model, tiny.statistics(model, layers), ())
        found[start] = made.explain(model, tiny.images(2, model.preprocessing.size))
    assert found["gradient"].maps.isfinite().all()
    assert (found["gradient"].extras["bits"] < found["open"].extras["bits"]).all()
