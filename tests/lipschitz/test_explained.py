"""Every attribution method on a 1-Lipschitz network: its maps, or one sentence that says why there are none."""

import pytest
import torch

from lit_coiba import attribution
from lit_coiba.bottlenecks import BottleneckMethod
from lit_coiba.core.errors import InputError
from lit_coiba.lipschitz.constraint import constrain, exported
from tests._testers import lipschitz as small
from tests._testers import readouts

REFUSED = {  # methods for other networks, and what they say
    "AttentionRollout": "a model without attention",
    "AttnLRP": "this model has no attention: take CompositeLRP",
    "Chefer": "a model without attention",
    "HeadAttribution": "this model has none: train one",
}
PLAIN_ONLY = ("CompositeLRP", "EVA")  # they walk the layers, which are plain in the export alone
FEWER = {
    "CoIBA": {"layers": ["stages.1"]},
    "IBA": {"layer": "stages.1"},
    "InputIBA": {"layer": "stages.1", "epochs": 2, "steps": 5},
    "EVA": {"radius": 0.05, "patch": 8},
    "HSIC": {"n_samples": 40},
    "KernelSHAP": {"n_samples": 40, "grid_size": 4},
    "LIME": {"n_samples": 40, "grid_size": 4},
    "RISE": {"n_samples": 40},
    "Sobol": {"n_samples": 4, "grid_size": 4},
    "SmoothGrad": {"n_samples": 4},
    "SquareGrad": {"n_samples": 4},
    "VarGrad": {"n_samples": 4},
}


def pair():
    """A network under its constraint, and its export."""
    backbone = small.backbone()
    constrain(backbone.model, backbone.preprocessing.size, "reshaped")
    backbone.double().eval()  # bottlenecks are fitted: in single precision rounding grows with every step
    return backbone, exported(backbone)


PAIR = pair()
IMAGES = torch.randn(2, 3, small.SIZE, small.SIZE, generator=torch.Generator().manual_seed(0)).double()


def maps_of(method, network):
    if isinstance(method, BottleneckMethod):
        method.prepare(network, [(IMAGES, torch.zeros(2))])
    return method.attribute(network, IMAGES)


OFFERED = [name for name in attribution.__all__ if name not in readouts.KINDS]  # a readout is for one of the two


@pytest.mark.filterwarnings("ignore:the bounds of")
@pytest.mark.parametrize("name", OFFERED)
def test_a_method_explains_the_export_as_it_does_the_network_or_says_why_not(name):
    if name == "CompositeLRP":
        pytest.importorskip("zennit", reason="the extra lrp is not installed")
    constrained, plain = PAIR
    method = getattr(attribution, name)(**FEWER.get(name, {}))
    if name in REFUSED:
        with pytest.raises(InputError, match=REFUSED[name]):
            maps_of(method, plain)
        return
    maps = maps_of(method, plain)
    assert maps.isfinite().all()
    if name in PLAIN_ONLY:
        with pytest.raises(InputError, match="ParametrizedConv2d"):
            maps_of(method, constrained)
    else:
        torch.testing.assert_close(maps_of(method, constrained), maps, rtol=1e-3, atol=1e-4)
