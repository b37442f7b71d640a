"""The oracle is the paper's rescale rule with the linear layers as explicit matrices, one image at a time."""

import warnings

import pytest
import torch
from captum.attr import DeepLift as Captum
from torch import nn

from lit_coiba.attribution import DeepLift, IntegratedGradients
from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.core.frozen import frozen
from lit_coiba.perturbation.baselines import baseline_images
from tests._testers import tiny
from tests._testers.analytic import Analytic, Linear, network
from tests._testers.methods import StateTester
from tests._testers.model_state import assert_near, state
from tests._testers.steps import Overwriting


class TestDeepLift(StateTester):
    method = DeepLift
    unsupported = dict.fromkeys(("vit", "registers", "swin"), "DeepLift does not support .*: take IntegratedGradients")
    evaluations = (1.5, 1)  # of two images, and one reference for both

    def test_contributions_add_up(self, model):
        assert_complete(DeepLift().explain(model.double(), self.inputs(model)[0].double()))


def images(count=3):
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def assert_complete(explained, tolerance=1e-10):
    difference = explained.extras["score_difference"]
    assert difference.abs().min() > 1e-3
    assert_near(explained.extras["attribution_sum"], difference, tolerance)


def captum(model, given, classes):
    with frozen(model), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Captum(model).attribute(given.clone(), target=classes, return_convergence_delta=True)


def rescale_twin(chain, image, target):
    """Contributions of one image against zeros: multipliers from the last layer to the first."""
    values = [(image[None], torch.zeros_like(image[None]))]
    for layer in chain.layers:
        values.append(tuple(layer(value).detach() for value in values[-1]))
    multiplier = torch.zeros_like(values[-1][0])
    multiplier[0, target] = 1
    for layer, before, after in zip(reversed(chain.layers), values[-2::-1], values[:0:-1]):
        change, effect = before[0] - before[1], after[0] - after[1]
        if isinstance(layer, nn.MaxPool2d):
            multiplier = pool_twin(layer, *before, multiplier)
        elif isinstance(layer, (nn.Conv2d, nn.Linear, nn.Flatten)):
            matrix = torch.autograd.functional.jacobian(layer, before[0]).reshape(effect.numel(), change.numel())
            multiplier = (multiplier.flatten() @ matrix).view_as(change)
        else:
            multiplier = multiplier * effect / change
    return (multiplier * image)[0]


def pool_twin(pool, image, reference, multiplier):
    """Window by window: the winners of the image share what it rises above the reference's, and the other way round."""
    contributions, (height, width) = torch.zeros_like(image), image.shape[-2:]
    for index in torch.cartesian_prod(*[torch.arange(size) for size in multiplier.shape]).tolist():
        b, channel, row, column = index
        places = [
            (b, channel, y, x)
            for y in range(row * pool.stride - pool.padding, row * pool.stride - pool.padding + pool.kernel_size)
            for x in range(column * pool.stride - pool.padding, column * pool.stride - pool.padding + pool.kernel_size)
            if 0 <= y < height and 0 <= x < width
        ]
        here, there = (max(float(values[place]) for place in places) for values in (image, reference))
        for values, largest, effect in (
            (image, here, max(here, there) - there),
            (reference, there, here - max(here, there)),
        ):
            winners = [place for place in places if values[place] == largest]
            for winner in winners:
                contributions[winner] += multiplier[tuple(index)] * effect / len(winners)
    change = image - reference
    return torch.where(change == 0, 0, contributions / change)


ACTIVATIONS = [nn.ReLU, nn.ReLU6, nn.SiLU, nn.GELU, nn.Hardswish, nn.Mish, nn.Tanh, nn.LeakyReLU, nn.PReLU, nn.Sigmoid]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_it_is_the_rule_of_the_paper(activation):
    chain = network(nn.Conv2d(3, 4, 3), activation(), nn.Conv2d(4, 4, 3), activation(), nn.Flatten(), nn.Linear(64, 5))
    explained = DeepLift().explain(chain, images(), 2)
    assert_near(explained.maps, torch.stack([rescale_twin(chain, image, 2).sum(0) for image in images()]), 1e-10)
    assert_complete(explained)


@pytest.mark.parametrize("pool", [nn.MaxPool2d(2, 2, 0), nn.MaxPool2d(3, 2, 1)], ids=["apart", "overlapping"])
@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU, nn.Identity])
def test_max_pools_hand_back_to_their_winners(pool, activation):
    chain = network(nn.Conv2d(3, 4, 3), activation(), pool, nn.Flatten(), nn.Linear(36, 5))
    if activation is nn.Identity:
        chain.layers[1] = nn.Flatten(0, 0)  # linear for the twin
    explained = DeepLift().explain(chain, images(), 2)
    assert_complete(explained)
    if activation is not nn.ReLU:  # the twin divides by differences, which a ReLU makes zero
        assert_near(explained.maps, torch.stack([rescale_twin(chain, image, 2).sum(0) for image in images()]), 1e-10)


def test_it_is_captum_where_captum_has_the_rules():
    model, classes = tiny.resnet(act_layer="relu").double(), torch.tensor([1, 5, 2])
    model.model.maxpool = nn.Identity()  # whose rule differs
    given = tiny.images(3, (64, 64)).double()
    values, delta = captum(model, given, classes)
    assert delta.abs().max() < 1e-10
    assert_near(DeepLift(reduce="mean").attribute(model, given, classes), values.mean(1).detach(), 1e-9)


def test_where_captum_is_incomplete():
    """Overlapping pools behind a linear layer, activations it does not know, an input that is used twice."""

    class Residual(Analytic):
        def __init__(self):
            super().__init__()
            self.first, self.act, self.last = nn.Linear(192, 8), nn.ReLU(), nn.Linear(8, 5)

        def forward(self, x):
            x = self.first(x.flatten(1))
            return self.last(x + self.act(x))

    torch.manual_seed(0)
    pooled = network(nn.Conv2d(3, 4, 3), nn.MaxPool2d(3, 2, 1), nn.Flatten(), nn.Linear(36, 5))
    unknown = network(nn.Conv2d(3, 4, 3), nn.SiLU(), nn.Flatten(), nn.Linear(144, 5))
    for model in (pooled, unknown, Residual().double()):
        explained = DeepLift().explain(model, images(), 2)
        _, delta = captum(model, images(), 2)
        assert_complete(explained)
        assert delta.abs().max() > 1e-2 * explained.extras["score_difference"].abs().max()


def test_where_captum_passes_over_a_pool():
    """Its hook on a ReLU takes the gradient before the rule of the pool behind it; seen where the reference varies."""
    model = network(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 5))
    explained = DeepLift("blur").explain(model, images(), 2)
    with frozen(model), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        references = baseline_images("blur", images(), model)
        _, delta = Captum(model).attribute(images(), references, target=2, return_convergence_delta=True)
    assert_complete(explained)
    assert delta.abs().max() > 1e-2 * explained.extras["score_difference"].abs().max()


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "tf_efficientnet_lite0", "densenet121"])
def test_networks_of_timm_are_complete(name):
    small = {"layers": [1, 1, 1, 1]} if "resnet" in name else {"block_config": (1, 1)} if "dense" in name else {}
    model = Backbone(name, num_classes=10, image_size=64, timm_kwargs=small).eval()
    tiny.randomise(model, 0)
    inside = [module for module in model.modules() if getattr(module, "inplace", None) is True]
    assert inside or name != "tf_efficientnet_lite0"
    before = state(model)
    explained = DeepLift("black").explain(model.double(), tiny.images(2, (64, 64)).double())
    assert_near(explained.extras["attribution_sum"], explained.extras["score_difference"], 1e-9)
    assert all(module.inplace for module in inside)
    assert state(model)["attributes"] == before["attributes"]


def test_real_weights_are_complete(assets):
    weights = assets / "models" / "tf_efficientnet_lite0.fp16.safetensors"
    model = Backbone("tf_efficientnet_lite0", str(weights), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    explained = DeepLift().explain(model, tiny.images(2, (224, 224)))
    assert_complete(explained, 1e-4)


def test_a_module_that_runs_twice_is_refused_and_left_as_it_was():
    chain = network(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 8), nn.Linear(8, 5))
    act = nn.ReLU(inplace=True)
    chain.layers = nn.Sequential(chain.layers[0], act, chain.layers[1], chain.layers[2], act, chain.layers[3])
    hooks = [list(module._forward_hooks) + list(module._forward_pre_hooks) for module in chain.modules()]
    with pytest.raises(InputError, match=r"a ReLU that runs twice .*\(at layers.1\): give each use a module"):
        DeepLift().explain(chain, images())
    assert hooks == [list(module._forward_hooks) + list(module._forward_pre_hooks) for module in chain.modules()]
    assert act.inplace
    assert not {"input", "output"} & set(act.__dict__)


def test_what_has_no_rule_is_told_once():
    class Gated(Analytic):
        def __init__(self):
            super().__init__()
            self.first, self.gate, self.last = nn.Linear(192, 8), nn.Sigmoid(), nn.Linear(8, 5)

        def forward(self, x):
            x = self.first(x.flatten(1))
            return self.last(x * self.gate(4 * x))

    torch.manual_seed(0)
    model, method = Gated().double(), DeepLift()
    with pytest.warns(UserWarning, match=r"DeepLift: \d+% of the differences in logits are not in the maps"):
        method.explain(model, 3 * images())
    method.explain(model, 3 * images())  # says no more: warnings are errors


@pytest.mark.parametrize("layer", [nn.GroupNorm(2, 4), nn.InstanceNorm2d(4), nn.Softmax(1)])
def test_norms_over_the_input_are_refused(layer):
    chain = network(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 5))
    chain.layers.insert(1, layer)
    with pytest.raises(InputError, match=rf"does not support {type(layer).__name__} \(at layers.1\): take Int"):
        DeepLift().explain(chain.double(), images())


def test_the_baseline_is_the_reference():
    model = Linear()
    black = torch.tensor([0.485 / 0.229, 0.456 / 0.224, 0.406 / 0.225], dtype=torch.float64).view(-1, 1, 1)
    expected = (model.weight * (images() + black)).sum(1)
    assert_near(DeepLift("black").attribute(model, images(), 1), expected.detach(), 1e-12)
    assert_near(IntegratedGradients("black").attribute(model, images(), 1), expected.detach(), 1e-6)
    with pytest.raises(InputError, match="baseline is 'white'"):
        DeepLift("white")


def test_an_image_that_is_the_reference_has_a_zero_map():
    explained = DeepLift().explain(tiny.resnet(), torch.zeros(2, 3, 64, 64), 1)
    assert not explained.maps.any()
    assert explained.extras["score_difference"].abs().max() < 1e-6


def test_an_activation_that_changes_what_is_used_again_is_refused():
    model = Backbone.wrap(Overwriting(nn.ReLU(inplace=True)).eval(), image_size=8, num_classes=5)
    with pytest.raises(InputError, match=r"in place into a tensor that is used again: build .*=False, or take Int"):
        DeepLift().attribute(model, tiny.images(2, (8, 8)), 1)
    model.model.activation.inplace = False
    assert DeepLift().attribute(model, tiny.images(2, (8, 8)), 1).isfinite().all()


@pytest.mark.filterwarnings("ignore:Model returns a softmax of its logits")
@pytest.mark.parametrize(
    ("operation", "name"),
    [
        (lambda x: nn.functional.scaled_dot_product_attention(x, x, x), "scaled_dot_product_attention"),
        (lambda x: (x @ x.mT).softmax(-1) @ x, "softmax"),
        (lambda x: nn.functional.group_norm(x, 3), "group_norm"),
    ],
)
def test_attention_and_norms_that_are_no_modules_are_refused(operation, name):
    class Model(Overwriting):
        def forward(self, x):
            return self.head(self.conv(operation(x)).flatten(1)).softmax(1)

    model = Backbone.wrap(Model(nn.Identity()).eval(), image_size=8, num_classes=5)
    with pytest.raises(InputError, match=f"DeepLift does not support torch's {name}: take Int"):
        DeepLift().attribute(model, tiny.images(2, (8, 8)), 1)
