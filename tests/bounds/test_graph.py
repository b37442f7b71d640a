"""Traced programs compute what the network computes, and refuse what they do not know."""

import pytest
import torch
from torch import nn

from lit_coiba.backbones import Backbone
from lit_coiba.bounds import Box, propagate, specification, trace, upper_bounds
from lit_coiba.core.errors import InputError, Unsupported
from lit_coiba.core.targets import Class
from tests._testers import tiny
from tests._testers.steps import Called, Overwriting

MODELS = {
    "resnet": tiny.resnet,
    "average_shortcut": lambda: tiny.resnet(avg_down=True, act_layer="relu"),
    "tensorflow_padding": lambda: Backbone("tf_efficientnet_lite0", num_classes=10, image_size=64),
    "squeeze_excitation": lambda: Backbone("mobilenetv3_small_050", num_classes=10, image_size=64),
}


@pytest.mark.parametrize("name", MODELS)
def test_without_a_perturbation_bounds_are_the_logits(name):
    """So each rule is the step it stands for, in both directions."""
    model = MODELS[name]().double().eval().requires_grad_(False)
    tiny.randomise(model, 0)
    images = tiny.images(1, (64, 64)).double()
    program, logits = trace(model, dtype=torch.float64), model(images)
    output = propagate(program, Box.around(images, 0.0)).boxes[program.output]
    scale = logits.abs().max()
    assert (output.lower - logits).abs().max() < 1e-9 * scale
    assert (output.upper - logits).abs().max() < 1e-9 * scale
    rows = specification(Class(3).resolve(logits))[0].double()[:, :2]
    found = upper_bounds(program, Box.around(images, 0.0), rows, "crown_ibp")
    assert (found - (rows @ logits.unsqueeze(-1)).squeeze(-1)).abs().max() < 1e-9 * scale


@pytest.mark.parametrize("layer", ["layer2.1", "layer3", "layer4.0.act1", "global_pool"])
def test_a_program_may_start_behind_a_module(layer):
    model = tiny.resnet().double()
    images, seen = tiny.images(2, (64, 64)).double(), []
    model.model.get_submodule(layer).register_forward_hook(lambda module, args, output: seen.append(output))
    logits = model(images).detach()
    if layer == "layer4.0.act1":  # beside a shortcut
        with pytest.raises(InputError, match="not the only way"):
            trace(model, layer)
        return
    program = trace(model, layer, torch.float64)
    found = propagate(program, Box(seen[0].detach(), seen[0].detach())).boxes[program.output]
    torch.testing.assert_close(found.centre.detach(), logits)


class Odd(nn.Module):
    """Takes a way that depends on values, or a step without a rule."""

    def __init__(self, step: nn.Module | None) -> None:
        super().__init__()
        self.step, self.flatten, self.fc = step, nn.Flatten(), nn.Linear(12, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.step is not None:
            return self.fc(self.flatten(self.step(images)))
        return self.fc(self.flatten(images if images.sum() > 0 else -images))


@pytest.mark.parametrize(
    ("step", "what", "where"),
    [
        (None, "a forward that depends on values or shapes", ""),
        (nn.Softplus(), "Softplus", "step"),
        (nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"), "Conv2d", "step"),
        (nn.LayerNorm(2), "LayerNorm", "step"),
        (nn.BatchNorm2d(3, track_running_stats=False), "BatchNorm2d", "step"),
        (nn.Softmax2d(), "Softmax2d", "step"),
        (Called(torch.exp), "torch's exp", "step"),
        (Called(torch.relu_), "torch's relu", "step"),
        (Called(torch.multiply, 2), "torch's multiply", "step"),
    ],
)
def test_what_has_no_rule_is_refused(step, what, where):
    with pytest.raises(Unsupported) as refusal:
        trace(Odd(step).eval())
    assert (refusal.value.what, refusal.value.where) == (what, where)
    assert refusal.value.remedy == ("name a start_layer behind it" if step else "")


def test_what_is_no_network_is_refused():
    with pytest.raises(InputError, match="wrap a module"):
        trace(lambda images: images)
    with pytest.raises(InputError, match="start_layer 'nothing'"):
        trace(Odd(nn.ReLU()), "nothing")


class Arithmetic(nn.Module):
    """Constants on either side of each operator."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.1, 0.2, 0.3]))
        self.fc = nn.Linear(3, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        scaled = (images - self.mean.view(-1, 1, 1)) / 0.5
        pooled = nn.functional.avg_pool2d(1.0 - 2.0 * scaled, 2)
        return self.fc(torch.flatten(nn.functional.adaptive_avg_pool2d(pooled, 1) - 0.5, 1))


def test_arithmetic_with_constants():
    model, images = Arithmetic().double(), tiny.images(2, (8, 8)).double()
    program = trace(model, dtype=torch.float64)
    output = propagate(program, Box.around(images, 0.0)).boxes[program.output]
    torch.testing.assert_close(output.centre, model(images).detach())
    rows = torch.eye(2).double().expand(2, 2, 2)
    draws = images + 0.1 * (2 * torch.rand(500, 1, 3, 8, 8, generator=torch.Generator().manual_seed(0)).double() - 1)
    values = model(draws.flatten(0, 1)).detach().unflatten(0, (500, 2)).amax(0)
    for bound in ("ibp", "crown_ibp", "crown"):
        assert (values <= upper_bounds(program, Box.around(images, 0.1), rows, bound) + 1e-9).all()


def test_a_step_that_writes_into_what_is_used_again_is_refused():
    model = Overwriting(nn.ReLU(inplace=True)).eval()
    with pytest.raises(Unsupported, match=r"a tensor that is used again \(at activation\) is not supported"):
        trace(model)
    model.activation.inplace = False
    assert trace(model).steps
