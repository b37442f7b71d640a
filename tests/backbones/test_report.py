import copy
import pickle
import warnings

import pytest
import torch
from torch import nn

from lit_coiba.attribution import CoIBA, GradCAM, Saliency
from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from tests._testers.model_state import assert_same_state, disturb, state
from tests.backbones.families import FAMILIES, family, images_for
from tests.faults.nets import SIZE, Net


def counted(backbone):
    """Forwards and backwards of a model from now on; each has the first convolution in it once."""
    first = next(module for module in backbone.model.modules() if isinstance(module, nn.Conv2d | nn.Linear))
    counts = [0, 0]

    def count(module, args, output):
        counts[0] += 1
        assert len(output) <= 2
        if output.requires_grad:
            output.register_hook(lambda gradient: counts.__setitem__(1, counts[1] + 1))

    first.register_forward_hook(count)
    return counts


@pytest.mark.filterwarnings("ignore:.*goes round")
@pytest.mark.parametrize("name", FAMILIES)
def test_it_costs_a_dozen_forwards_at_most_and_leaves_the_model_as_it_was(name):
    model = Backbone.wrap(family(name).model, family(name).preprocessing, look=False)
    disturb(model)
    model.look, counts, before = True, counted(model), state(model)
    text = str(model.report)
    assert counts[0] <= 12
    assert counts[1] == 1
    assert_same_state(state(model), before)
    assert "cuts" in text
    assert all(len(line) < 130 for line in text.splitlines())


def test_it_is_made_once_and_anew_when_weights_have_changed():
    model = family("resnet")
    counts = counted(model)
    first = model.report
    once = counts[0]
    assert model.report is first
    for _ in range(3):
        Saliency().attribute(model, images_for(model))
    assert counts[0] == once + 3
    with torch.no_grad():
        model.model.fc.weight.mul_(2)
    assert model.report is not first
    assert model.report == first


def test_it_can_be_switched_off():
    model = Backbone.wrap(Net().eval(), image_size=SIZE, look=False)
    assert model.behavior is None
    counts = counted(model)
    GradCAM().attribute(model, torch.zeros(1, 3, SIZE, SIZE), 1)
    assert counts[0] <= 2  # the layer's grid, and the map
    with pytest.raises(InputError, match=r"there is no report, since model\.look is False"):
        print(model.report)


def test_defaults_are_those_that_names_give_where_it_is_off():
    for name in ("vit", "resnet", "swin"):
        model = family(name)
        expected = model.cam_layer(), model.default_layers(), model.candidate_layers()
        model.look = False
        assert (model.cam_layer(), model.default_layers(), model.candidate_layers()) == expected


def test_a_copy_and_a_trip_to_another_process_keep_what_matters():
    model = family("resnet")
    expected = model.report
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin.report == expected


def test_low_precision_and_inference_mode():
    net = Net().bfloat16().eval()
    with torch.inference_mode():
        report = Backbone.wrap(net, image_size=SIZE).report
    assert report.behavior.dtype == "bfloat16"
    assert not report.behavior.batch
    assert not report.behavior.chance
    assert "f" in report.cuts


def test_a_method_does_not_look_at_what_it_does_not_need():
    model = family("resnet")
    counts = counted(model)
    Saliency().attribute(model, images_for(model), 1)
    assert counts[0] <= 5  # probe, three looks, the map
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CoIBA(steps=2, copies=1).statistics_layers(model)
