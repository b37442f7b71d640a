"""A compiled model is not compiled again because it has been explained: no hook and no flag is left in it."""

import pytest
import torch
from torch import nn
from torch._dynamo import config

from lit_coiba.attribution import DeepLift, GradCAM, IntegratedGradients, Occlusion, Saliency, ScoreCAM
from lit_coiba.backbones import Backbone
from tests._testers import tiny

SIZE = 64


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.bn, self.act = nn.Conv2d(3, 8, 3, 4, padding=1), nn.BatchNorm2d(8), nn.ReLU()
        self.last, self.head = nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8, 5)

    def forward(self, images):
        return self.head(self.last(self.act(self.bn(self.conv(images)))).mean((2, 3)))


def compiled(way):
    """A network, and what people call."""
    network = Network().eval()
    if way == "wrapped":
        return network, torch.compile(network, backend="eager")
    network.compile(backend="eager")
    return network, network


@pytest.fixture(autouse=True)
def strict():
    """Compiled code that looks at hooks each time, which torch leaves out by default."""
    torch._dynamo.reset()
    with config.patch(skip_nnmodule_hook_guards=False):
        yield
    torch._dynamo.reset()


@pytest.mark.parametrize("way", ["wrapped", "in place"])
@pytest.mark.parametrize(
    "method",
    [
        Saliency(),
        GradCAM(),
        ScoreCAM(channels=2),
        DeepLift(),
        IntegratedGradients(steps=2),
        Occlusion(window=32),
    ],
    ids=lambda method: type(method).__name__,
)
def test_an_explanation_leaves_nothing_that_makes_torch_compile_again(method, way):
    network, call = compiled(way)
    images = tiny.images(2, (SIZE, SIZE))
    before = call(images)
    model = Backbone.wrap(network, image_size=SIZE)
    print(model.report)  # every look at the model
    method.attribute(model, images, 1)
    with torch.compiler.set_stance("fail_on_recompile"):
        assert torch.equal(call(images), before)


@pytest.mark.parametrize("way", ["wrapped", "in place"])
def test_a_hook_that_stays_would(way):
    network, call = compiled(way)
    images = tiny.images(2, (SIZE, SIZE))
    call(images)
    network.act.register_forward_hook(lambda module, inputs, output: None)
    with torch.compiler.set_stance("fail_on_recompile"), pytest.raises(RuntimeError, match="recompile"):
        call(images)
