"""Methods at the same layer."""

import pytest
import torch

from lit_coiba.attribution import GradCAM, Saliency
from lit_coiba.attribution.at_layers import at_layers
from lit_coiba.bottlenecks import IBA
from lit_coiba.core.errors import InputError
from tests._testers import tiny


def test_each_method_with_a_layer_has_a_row_for_each():
    model, given = tiny.resnet(), {"cam": GradCAM(), "iba beta=3": IBA(beta=3), "saliency": Saliency()}
    rows = at_layers(given, model, ["middle", "layer3"])
    assert {name: getattr(method, "layer", None) for name, method in rows.items()} == {
        "cam at middle": (middle := rows["cam at middle"].layer),
        "cam at layer3": "layer3",
        "iba beta=3 at middle": middle,
        "iba beta=3 at layer3": "layer3",
        "saliency (own layer)": None,
    }
    assert middle in model.candidate_layers()
    assert rows["iba beta=3 at middle"].beta == 3
    assert at_layers(given, model, ["final"])["cam at final"].layer == model.cam_layer()


def test_maps_are_those_of_the_layer():
    model = tiny.resnet()
    images = tiny.images(2, model.preprocessing.size)
    rows = at_layers({"cam": GradCAM()}, model, ["layer2.1", "final"])
    for name, layer in (("cam at layer2.1", "layer2.1"), ("cam at final", None)):
        assert torch.equal(rows[name].attribute(model, images, 1), GradCAM(layer=layer).attribute(model, images, 1))


def test_what_is_no_layer_is_refused():
    model = tiny.resnet()
    with pytest.raises(InputError, match="laier3"):
        at_layers({"cam": GradCAM()}, model, ["laier3"])
    with pytest.raises(InputError, match="name one layer twice"):
        at_layers({"cam": GradCAM()}, model, ["final", model.cam_layer()])
