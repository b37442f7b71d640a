import warnings
from typing import ClassVar

import pytest
import torch
from torch import nn

from lit_coiba.attribution import EVA
from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from tests._testers import tiny
from tests._testers.methods import CopiesTester, StateTester
from tests._testers.model_state import assert_near

pytestmark = pytest.mark.filterwarnings("ignore:the bounds of")  # large radii on random weights
REFUSED = "EVA does not support LayerNorm .*: name a start_layer behind it, or take a method that samples"


class TestEVA(CopiesTester, StateTester):
    method = EVA
    arguments: ClassVar = {"radius": 1e-3, "patch": 32, "bound": "ibp"}
    unsupported: ClassVar = {"vit": REFUSED, "registers": REFUSED, "swin": REFUSED}
    evaluations = (1 + 5, 0)  # the image itself, and a centre for each box


class Flat(nn.Module):
    """A linear classifier of images of 4 x 4 pixels."""

    def __init__(self, classes: int, seed: int = 0) -> None:
        super().__init__()
        self.flatten, self.fc = nn.Flatten(), nn.Linear(48, classes)
        generator = torch.Generator().manual_seed(seed)
        for parameter in self.parameters():
            nn.init.normal_(parameter, generator=generator)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(self.flatten(images))


class Small(nn.Module):
    """A convolution, a residual branch and two dense layers on images of 8 x 8 pixels; random weights."""

    def __init__(self, classes: int = 4, activation: type[nn.Module] = nn.ReLU, seed: int = 0) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2, padding=1), activation())
        self.branch = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6), activation())
        self.pool, self.flatten, self.fc = nn.AvgPool2d(2), nn.Flatten(), nn.Linear(24, classes)
        tiny.randomise(self, seed)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        stem = self.stem(images)
        return self.fc(self.flatten(self.pool(stem + self.branch(stem))))


def wrapped(module: nn.Module, size: int) -> Backbone:
    return Backbone.wrap(module.double().eval(), image_size=size)


def some(count: int, size: int, seed: int = 5) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed)).double()


@pytest.mark.parametrize("bound", ["ibp", "crown_ibp", "crown"])
@pytest.mark.parametrize("patch", [1, 2])
def test_of_a_linear_model_of_two_classes_it_is_the_absolute_weight(bound, patch):
    """E1."""
    module, radius = Flat(2), 0.3
    images, targets = some(3, 4), torch.tensor([0, 1, 0])
    weight = module.fc.weight.detach().double().view(2, 3, 4, 4)
    per_patch = nn.AvgPool2d(patch, divisor_override=1)
    difference = per_patch((weight[1] - weight[0]).abs().sum(0, keepdim=True))[0]
    each = per_patch(weight.abs().sum((0, 1)).unsqueeze(0))[0]
    for form, expected in (("margin", difference), ("independent", each)):
        maps = EVA(radius, patch, bound=bound, form=form).attribute(wrapped(module, 4), images, targets)
        torch.testing.assert_close(maps, (radius * expected).expand_as(maps), rtol=0, atol=1e-6)


def test_the_overlap_of_a_linear_model_has_a_closed_form():
    """E1, with more classes: the margin at the image and the radius times the length of the weights' difference."""
    module = Flat(5)
    images, targets = some(3, 4), torch.tensor([0, 3, 4])
    weight, logits = module.double().fc.weight.detach(), module(images).detach()
    own = logits.gather(1, targets[:, None])
    best = logits - own + 0.2 * (weight[None] - weight[targets][:, None]).abs().sum(-1)
    expected = best.scatter(1, targets[:, None], -torch.inf).amax(1)
    for bound in ("ibp", "crown_ibp"):
        found = EVA(0.2, 2, bound=bound).explain(wrapped(module, 4), images, targets).extras
        torch.testing.assert_close(found["overlap"], expected)
        others = (logits - own).scatter(1, targets[:, None], -torch.inf).amax(1)
        torch.testing.assert_close(found["margin"], others)
    fixed = EVA(0.2, 2, rival=1).explain(wrapped(module, 4), images, targets)
    torch.testing.assert_close(fixed.extras["overlap"], best[:, 1])


@pytest.mark.parametrize("bound", ["ibp", "crown_ibp", "crown"])
def test_no_perturbation_no_score(bound):
    """E4: radius 0, and a region that is the whole image."""
    model, images, targets = wrapped(Small(), 8), some(2, 8), torch.tensor([1, 3])
    nothing = EVA(0.0, 4, bound=bound).explain(model, images, targets)
    assert nothing.maps.abs().max() < 1e-12
    torch.testing.assert_close(nothing.extras["overlap"], nothing.extras["margin"])
    whole = EVA(0.1, 8, bound=bound).explain(model, images, targets)
    torch.testing.assert_close(whole.maps.flatten(), whole.extras["overlap"] - whole.extras["margin"])


@pytest.mark.parametrize("bound", ["crown_ibp", "crown"])
def test_at_small_radii_it_is_the_absolute_gradient(bound):
    """E4: where no neuron changes its side, the net is linear."""
    model, images, radius = wrapped(Small(), 8), some(2, 8).requires_grad_(), 1e-7
    targets, rival = torch.tensor([1, 3]), 0
    logits = model(images)
    slope = (logits[:, rival] - logits.gather(1, targets[:, None])[:, 0]).sum()
    (gradient,) = torch.autograd.grad(slope, images)
    expected = nn.functional.avg_pool2d(gradient.abs().sum(1), 2, divisor_override=1)
    found = EVA(radius, 2, bound=bound, rival=rival).attribute(model, images.detach(), targets)
    assert_near(found / radius, expected, 1e-5)


@pytest.mark.parametrize("bound", ["ibp", "crown_ibp"])
def test_a_region_that_the_net_ignores_scores_zero(bound):
    """E4."""
    module = Small()
    forward = module.stem[0]
    module.stem = nn.Sequential(nn.ZeroPad2d((-4, 4, 0, 0)), forward, module.stem[1])  # the left half is cut off
    maps = EVA(0.05, 2, bound=bound).attribute(wrapped(module, 8), some(2, 8), torch.tensor([1, 3]))
    assert (maps[:, :, :2] == 0).all()
    assert (maps[:, :, 2:] != 0).all()


@pytest.mark.parametrize("activation", [nn.ReLU, nn.GELU, nn.SiLU])
@pytest.mark.parametrize("form", ["margin", "independent"])
def test_interval_scores_are_never_negative(activation, form):
    """E5."""
    for seed in range(4):
        model = wrapped(Small(activation=activation, seed=seed), 8)
        for radius in (0.01, 0.1, 1.0):
            maps = EVA(radius, 2, bound="ibp", form=form).attribute(model, some(2, 8, seed), torch.tensor([1, 3]))
            assert maps.min() >= -1e-6


@pytest.mark.parametrize("layer", ["stem", "branch.0"])
def test_the_hybrid_is_below_the_full_bound(layer):
    """E6; and the maps are those of masked draws of the same noise."""
    module = Small()
    if layer == "branch.0":
        module.forward = lambda images: module.fc(module.flatten(module.pool(module.branch(module.stem(images)))))
    model, images, targets = wrapped(module, 8), some(2, 8), torch.tensor([1, 3])
    full = EVA(0.1, 4, bound="ibp").explain(model, images, targets).extras["overlap"]
    before = None
    for samples in (1, 8, 64):
        found = EVA(0.1, 4, samples, layer, bound="ibp").explain(model, images, targets)
        overlap = found.extras["overlap"]
        assert (overlap <= full + 1e-5).all()
        assert (overlap > found.extras["margin"]).all()
        assert before is None or (overlap >= before).all()  # more draws, a larger box
        before = overlap


def test_the_hybrid_refuses_a_layer_that_others_pass_by():
    with pytest.raises(InputError, match="not the only way"):
        EVA(0.1, 4, 4, "branch.0").attribute(wrapped(Small(), 8), some(1, 8), 0)
    model, images = tiny.vit(), tiny.images(1, (32, 32))
    with pytest.raises(InputError, match=r"EVA does not support torch's layer_norm \(at model\.blocks\.5"):
        EVA(0.1, 8, 2, "blocks.4").attribute(model, images, 0)


def test_masks_are_regions(tmp_path):
    model, images, file = wrapped(Small(), 8), some(2, 8), str(tmp_path / "masks.pt")
    patches = torch.zeros(4, 8, 8, dtype=torch.bool)
    for number in range(4):
        row, column = divmod(number, 2)
        patches[number, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = True
    torch.save(patches, file)
    by_patch = EVA(0.1, 4).attribute(model, images, 1)
    by_mask = EVA(0.1, None, masks=file)
    torch.testing.assert_close(
        by_mask.attribute(model, images, 1), by_patch.repeat_interleave(4, 1).repeat_interleave(4, 2)
    )
    first = by_mask.identity()["masks"]
    torch.save(patches[:2], file)
    assert by_mask.identity()["masks"] != first
    assert (by_mask.attribute(model, images, 1)[:, 4:] == 0).all()
    torch.save(patches[:, :4], file)
    with pytest.raises(InputError, match=r"not a bool tensor \(d, 8, 8\)"):
        by_mask.attribute(model, images, 1)
    with pytest.raises(InputError, match="cannot be read"):
        EVA(0.1, None, masks=str(tmp_path / "nothing.pt")).identity()


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"radius": -1.0, "patch": 4}, "radius is -1.0"),
        ({"radius": 0.1, "patch": None}, "patch is None"),
        ({"radius": 0.1, "patch": 4, "masks": "x"}, "patch is 4"),
        ({"radius": 0.1, "patch": 4, "n_samples": 3}, "n_samples is 3"),
        ({"radius": 0.1, "patch": 4, "start_layer": "stem"}, "n_samples is None"),
        ({"radius": 0.1}, "patch is None and masks None: give one of them"),
        ({"radius": 0.1, "patch": 4, "bound": "lirpa"}, "bound is 'lirpa'"),
        ({"radius": 0.1, "patch": 4, "form": "both"}, "form is 'both'"),
        ({"radius": 0.1, "patch": 3}, "patch 3 does not divide"),
        ({"radius": 0.1, "patch": 4, "rival": 1}, "rival is 1"),
        ({"radius": 0.1, "patch": 4, "rival": 9}, "rival is 9"),
        ({"radius": 1e308, "patch": 4}, "overflow"),
    ],
)
def test_wrong_arguments_are_refused(arguments, what):
    with pytest.raises(InputError, match=what):
        EVA(**arguments).attribute(wrapped(Small(), 8), some(1, 8), 1)


def test_bounds_that_say_nothing_are_warned_of_once():
    model, images = wrapped(Small(), 8), some(2, 8)
    near, far = EVA(1e-6, 4), EVA(10.0, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        near.attribute(model, images, 1)
    with pytest.warns(UserWarning, match="the bounds of 2 of 2 images are more than 10 times as large as"):
        far.attribute(model, images, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        far.attribute(model, images, 1)


class Code:
    def __reduce__(self):
        return print, ("a pickle ran",)


@pytest.mark.parametrize("content", [None, b"something else", Code(), torch.zeros(0, 8, 8).bool(), {"masks": 1}])
def test_a_file_that_holds_no_masks_is_refused_in_one_sentence(tmp_path, capsys, content):
    file = tmp_path / "masks.pt"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        torch.save(content, file)
    with pytest.raises(InputError, match=r"^masks") as refusal:
        EVA(0.1, None, masks=str(file)).explain(wrapped(Small(), 8), some(2, 8))
    assert "\n" not in str(refusal.value)
    assert capsys.readouterr().out == ""
