"""Targets that are no class go through every method: here the difference of two logits."""

from dataclasses import dataclass

import pytest
import torch

from lit_coiba import attribution
from lit_coiba.bottlenecks import BottleneckMethod
from lit_coiba.core.errors import InputError
from lit_coiba.core.targets import Resolved
from tests._testers import tiny
from tests._testers.model_state import assert_near

FIRST, SECOND = torch.tensor([1, 5, 0]), torch.tensor([4, 2, 9])

# Whose maps of a difference are differences of maps, and arguments with which they take no positive part of anything.
LINEAR = {
    "AttnLRP": {},
    "CompositeLRP": {"composite": "epsilon"},
    "DeepLift": {},
    "GradCAM": {"relu": False},
    "HiResCAM": {"relu": False},
    "InputXGradient": {},
    "IntegratedGradients": {"steps": 3},
    "KernelSHAP": {"grid_size": 2, "n_samples": 12},
    "LIME": {"grid_size": 2, "n_samples": 10},
    "NIB": {"steps": 3},
    "Occlusion": {"window": 16},
    "RISE": {"grid_size": 3, "n_samples": 8},
    "Saliency": {"reduce": "sum"},
    "SmoothGrad": {"n_samples": 3, "reduce": "sum"},
}
# What is about classes only has tests of its own below; bottlenecks and readouts have theirs in tests/bottlenecks.
ABOUT_CLASSES = ("EVA", "HeadAttribution", "UNI")
READOUTS = ("LearnedRanking", "ReadoutCoIBA", "ReadoutIBA")
CHEAP = {  # arguments of others; those that are not named have their defaults
    "HSIC": {"grid_size": 2, "n_samples": 8},
    "ScoreCAM": {"channels": 4},
    "Sobol": {"grid_size": 2, "n_samples": 4},
    "ViTCX": {"delta": 0.6},
}


def others() -> list[str]:
    """Every method that looks at the target, but for those that are tested otherwise."""
    kinds = {name: getattr(attribution, name) for name in attribution.__all__}
    tested = {*LINEAR, *ABOUT_CLASSES, *READOUTS} | {
        name for name, kind in kinds.items() if issubclass(kind, BottleneckMethod)
    }
    return [name for name, kind in kinds.items() if kind.card.class_dependent and name not in tested]


@dataclass(frozen=True, eq=False)
class Difference(Resolved):
    """Logit of `index` minus logit of `against`."""

    def score(self, out):
        return (out.gather(1, self.index[:, None]) - out.gather(1, self.against[:, None])).squeeze(1)

    def fidelity(self, out):
        raise NotImplementedError

    def linear(self):
        unit = torch.eye(tiny.CLASSES)
        rows = (unit[self.against] - unit[self.index]).unsqueeze(1)
        return rows, rows.new_zeros(rows.shape[:2])


def difference() -> Difference:
    return Difference(torch.arange(3), FIRST, SECOND, ("",) * 3, torch.full((3,), torch.nan))


def made(name, arguments):
    if name == "CompositeLRP":
        pytest.importorskip("zennit", reason="the extra lrp is not installed")
    method = getattr(attribution, name)(**arguments)
    model = tiny.resnet() if "CNN" in method.card.families else tiny.vit()
    return method, model.double(), tiny.images(3, model.preprocessing.size).double()


@pytest.mark.parametrize("name", LINEAR)
def test_maps_of_a_difference_are_differences_of_maps(name):
    method, model, images = made(name, LINEAR[name])
    first, second = (method.attribute(model, images, classes) for classes in (FIRST, SECOND))
    assert_near(method.attribute(model, images, difference()), first - second, 1e-8)


@pytest.mark.parametrize("name", others())
def test_maps_of_a_difference_are_its_own(name):
    method, model, images = made(name, CHEAP.get(name, {}))
    found = method.attribute(model, images, difference())
    assert found.isfinite().all()
    assert (found - method.attribute(model, images, FIRST)).abs().max() > 1e-3 * found.abs().max()


@pytest.mark.filterwarnings("ignore:the bounds of")
def test_bounds_of_a_difference_are_those_of_the_only_rival():
    method, model, images = made("EVA", {"radius": 1e-3, "patch": 32, "bound": "ibp"})
    found = method.explain(model, images, difference())
    for i, rival in enumerate(SECOND.tolist()):
        only = attribution.EVA(1e-3, 32, bound="ibp", rival=rival).explain(model, images[i : i + 1], FIRST[i : i + 1])
        assert_near(found.maps[i], only.maps[0], 1e-10)
        assert_near(found.extras["margin"][i], only.extras["margin"][0], 1e-10)
    for arguments in ({"rival": 3}, {"form": "independent"}):
        with pytest.raises(InputError, match="explains classes, and the target is a Difference: give a class"):
            attribution.EVA(1e-3, 32, bound="ibp", **arguments).explain(model, images, difference())


@pytest.mark.parametrize("name", ["HeadAttribution", "UNI"])
def test_what_is_about_classes_says_so(name):
    model = tiny.infodisent()
    with pytest.raises(InputError, match=f"{name} explains classes, and the target is a Difference: give a class"):
        getattr(attribution, name)().explain(model, tiny.images(3, (32, 32)), difference())


def test_every_method_that_is_named_here_is_offered():
    assert {*LINEAR, *ABOUT_CLASSES, *CHEAP, *READOUTS} <= set(attribution.__all__)
    assert CHEAP.keys() <= set(others())
