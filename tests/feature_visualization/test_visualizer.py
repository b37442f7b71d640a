"""What an optimization leaves alone, what it shows, and what it refuses."""

import io

import pytest
import torch

from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.feature_visualization import MACO, Channel
from lit_coiba.training.classifier import Classifier
from tests._testers import tiny
from tests._testers.model_state import Bomb, disturb, state
from tests.feature_visualization.test_maco import FEW, PLAIN, Filters


@pytest.fixture(scope="module")
def filters():
    return Backbone.wrap(Filters(), PLAIN)


@pytest.mark.parametrize("build", [tiny.vit, tiny.swin])
def test_transformers_have_visualizations(build):
    model = build()
    found = MACO(**FEW).visualize(model, [0, Channel(model.cam_layer(), 1)])
    assert found.importance.amax((1, 2)).min() > 0


def test_the_model_and_the_random_state_stay():
    model = tiny.resnet()
    disturb(model)
    model.report  # noqa: B018 - which looks at the model, once
    before = state(model)
    MACO(**FEW).visualize(model, [0, Channel("layer2", 1)])
    compare(before, state(model))
    bomb = Bomb(model.model.layer3)
    model.model.layer3.forward = bomb
    before = state(model)
    bomb.fuse = bomb.calls + 3
    with pytest.raises(RuntimeError, match="the model failed"):
        MACO(**FEW).visualize(model, [0, Channel("layer2", 1)])
    compare(before, state(model))


def compare(before, after):
    for kind in ("parameters", "buffers"):
        assert all(torch.equal(value, after[kind][name]) for name, value in before[kind].items())
    for kind in ("requires_grad", "training", "hooks", "attributes", "fused attention", "modes"):
        assert before[kind] == after[kind], kind
    assert torch.equal(before["random state"], after["random state"])
    assert [value is None for value in before["gradients"].values()] == [
        value is None for value in after["gradients"].values()
    ]


def test_it_works_inside_no_grad_and_with_half_precision(filters):
    wanted = MACO(**FEW).visualize(filters, 0)
    with torch.inference_mode():
        found = MACO(**FEW).visualize(filters, 0)
    assert torch.equal(found.images, wanted.images)
    half = MACO(**FEW).visualize(Backbone.wrap(Filters().to(torch.bfloat16), PLAIN), 0)
    assert half.images.dtype == torch.float32
    assert half.images.isfinite().all()


def test_the_bar_is_for_people(filters, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for stream, progress, shown in ((Terminal, True, True), (Terminal, False, False), (io.StringIO, True, False)):
        out = stream()
        monkeypatch.setattr("sys.stderr", out)
        MACO(**{**FEW, "progress": progress}).visualize(filters, 0)
        assert ("Optimizing" in out.getvalue()) is shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"crops": 0}, "crops is 0"),
        ({"canvas": 8}, "canvas is 8: give a whole number, 16 or more"),
        ({"canvas": (64, 8)}, "canvas is 8"),
        ({"lr": 0.0}, "lr is 0"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"noise": -0.1}, "noise is -0.1"),
        ({"center_std": -1.0}, "center_std is -1"),
        ({"crop_side": 1.5}, "crop_side is 1.5"),
        ({"seed": -1}, "seed is -1"),
        ({"spectrum": "pink"}, "spectrum is 'pink': give shipped"),
        ({"chunk": 0}, "chunk is 0"),
    ],
)
def test_bad_arguments_are_refused_before_anything_runs(arguments, words):
    with pytest.raises(InputError, match=words):
        MACO(**arguments)


@pytest.mark.parametrize(
    ("objectives", "words"),
    [
        ([], "objectives is empty"),
        ([3.5], "objectives has"),
        (None, "objectives has"),
        (True, "objectives has"),
        (4, r"class 4 is outside the model's range 0 to 3"),
        (Channel("nowhere", 0), "nowhere"),
    ],
)
def test_bad_objectives_are_refused(filters, objectives, words):
    with pytest.raises(InputError, match=words):
        MACO(**FEW).visualize(filters, objectives)


def test_a_trained_classifier_is_its_network():
    network = tiny.resnet()
    objectives = [1, Channel("layer2", 3)]
    wanted = MACO(**FEW).visualize(network, objectives)
    assert torch.equal(MACO(**FEW).visualize(Classifier(network), objectives).images, wanted.images)


def test_what_is_no_model_is_refused(filters):
    with pytest.raises(InputError, match=r"wrap it first, Backbone\.wrap"):
        MACO(**FEW).visualize(Filters(), 0)


def test_a_model_without_gradients_is_refused():
    class Detached(Filters):
        def forward(self, images):
            return super().forward(images.detach())

    with pytest.raises(InputError, match="MACO"):
        MACO(**FEW).visualize(Backbone.wrap(Detached(), PLAIN), 0)


def test_steps_can_be_told_in_the_place_of_a_bar(filters, monkeypatch):
    told = []
    MACO(**FEW).visualize(filters, [0, 1], tell=told.append)
    assert told == [1, 2, 3]
