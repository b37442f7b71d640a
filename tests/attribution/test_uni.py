import hashlib
from itertools import pairwise
from typing import ClassVar

import pytest
import torch
from captum.attr import IntegratedGradients as Captum
from sklearn.datasets import load_digits
from torch import nn

from lit_coiba.attribution import UNI
from lit_coiba.core.errors import InputError
from lit_coiba.functional.unlearning import unlearned_logits
from tests._testers import tiny
from tests._testers.analytic import Chain, network
from tests._testers.methods import CopiesTester, StateTester
from tests._testers.model_state import assert_near

CLASSES = torch.tensor([1, 0, 4])


class TestUNI(CopiesTester, StateTester):
    method = UNI
    arguments: ClassVar = {"matching_steps": 2, "steps": 2}
    evaluations = (8, 7)


def images(count=3):
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.fixture
def softmax():
    return network(nn.Flatten(), nn.Linear(192, 5))


@pytest.fixture
def smooth():
    return network(nn.Conv2d(3, 6, 3), nn.Tanh(), nn.Flatten(), nn.Linear(6 * 36, 5))


@pytest.fixture(scope="module")
def digits():
    """A CNN of scikit-learn's digits, and 60 of them: (model, images, classes)."""
    data = load_digits()
    pixels = torch.tensor(data.images, dtype=torch.float32).div(8).sub(1)[:, None].repeat(1, 3, 1, 1)
    labels = torch.tensor(data.target)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Chain(
            *(nn.Conv2d(3, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(12, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(), nn.Flatten(), nn.Linear(384, 10)),
        )
        model.num_classes = 10
        optimizer = torch.optim.Adam(model.parameters(), 3e-3)
        for step in range(120):
            batch = torch.arange(64) + 64 * (step % 24)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(pixels[batch]), labels[batch]).backward()
            optimizer.step()
    model.eval()
    test, true = pixels[1600:], labels[1600:]
    with torch.no_grad():
        right = model(test).argmax(1) == true
    assert right.float().mean() > 0.85
    return model, test[right][:60], true[right][:60]


def completeness(explained):
    """Sum of each map, and the difference in probability that it stands for."""
    return explained.maps.sum((1, 2)), explained.extras["confidence"] - explained.extras["baseline_confidence"]


# U1: softmax regression


@pytest.mark.parametrize("eta", [0.1, 1.0])
def test_one_step_in_the_weights_has_a_closed_form(softmax, eta):
    logits = softmax(images()).detach()
    error = logits.softmax(1) - nn.functional.one_hot(CLASSES, 5)
    length = (images().flatten(1).square().sum(1, keepdim=True) + 1).sqrt()
    expected = logits + eta * length * error / error.norm(dim=1, keepdim=True)
    torch.testing.assert_close(unlearned_logits(softmax, images(), CLASSES, eta), expected, rtol=0, atol=1e-12)
    found = UNI(eta=eta).explain(softmax, images(), CLASSES).extras["unlearned_confidence"]
    torch.testing.assert_close(found, expected.softmax(1).gather(1, CLASSES[:, None])[:, 0], rtol=0, atol=1e-12)


def test_the_search_finds_the_unlearned_prediction(softmax):
    method = UNI(eta=0.1, eps=torch.inf, matching_steps=400, mu=0.5, decay=0.96)
    baselines = method.baseline(softmax, images(), CLASSES)
    expected = unlearned_logits(softmax, images(), CLASSES, 0.1).softmax(1)
    assert (softmax(images()).softmax(1) - expected).abs().max() > 1e-2
    assert (softmax(baselines).softmax(1) - expected).abs().max() < 1e-4


def test_steps_of_constant_length_oscillate(softmax):
    ends = [
        UNI(eta=0.1, eps=torch.inf, matching_steps=200, mu=0.3, decay=decay).explain(softmax, images(), CLASSES)
        for decay in (1.0, 0.95)
    ]
    constant, decaying = (explained.extras["kl_baseline"].max() for explained in ends)
    assert constant > 1e-6
    assert decaying < 1e-3 * constant


# U2: completeness


def test_the_error_of_the_sum_falls_with_the_points(smooth):
    errors = []
    for steps in (15, 30, 60):
        total, difference = completeness(UNI(eps=1.0, steps=steps).explain(smooth, images(), CLASSES))
        errors.append((total - difference).abs())
    for coarse, fine in pairwise(errors):
        assert (fine / coarse - 0.5).abs().max() < 0.05


@pytest.mark.parametrize("steps", [1, 4])
def test_linear_logits_are_complete_with_one_point(softmax, steps):
    method = UNI(output="logit", steps=steps)
    difference = softmax(images()) - softmax(method.baseline(softmax, images(), CLASSES))
    found = method.attribute(softmax, images(), CLASSES).sum((1, 2))
    torch.testing.assert_close(found, difference.gather(1, CLASSES[:, None])[:, 0].detach(), rtol=0, atol=1e-10)


@pytest.mark.parametrize(("eps", "tolerance"), [(0.25, 0.05), (2.0, 0.3)])
def test_networks_of_relus_are_complete_up_to_their_kinks(digits, eps, tolerance):
    model, given, classes = digits
    total, difference = completeness(UNI(eps=eps).explain(model, given, classes))
    assert (total - difference).abs().max() < tolerance


# U3: invariants


@pytest.mark.parametrize("projection", ["ball", "sphere"])
@pytest.mark.parametrize("delta0", ["zero", "random"])
@pytest.mark.parametrize("norm", [1.0, 2.0, torch.inf])
def test_the_baseline_stays_within_the_radius(smooth, projection, delta0, norm):
    explained = UNI(projection=projection, delta0=delta0, norm=norm).explain(smooth, images(), CLASSES)
    shift = UNI(projection=projection, delta0=delta0, norm=norm).baseline(smooth, images(), CLASSES) - images()
    lengths = shift.flatten(1).norm(norm, dim=1)
    torch.testing.assert_close(explained.extras["radius"], lengths)
    assert (lengths <= 0.25 * (1 + 1e-5)).all()
    assert (explained.extras["kl_baseline"] <= explained.extras["kl_image"]).all()
    if projection == "sphere":
        torch.testing.assert_close(lengths, torch.full_like(lengths, 0.25))


def test_weights_and_statistics_are_not_touched(digits):
    model, given, classes = digits

    def digest():
        values = [value.numpy().tobytes() for value in model.state_dict().values()]
        return hashlib.sha256(b"".join(values)).hexdigest()

    before = digest()
    UNI().explain(model, given[:4], classes[:4])
    assert digest() == before


def test_weights_that_are_not_trained_count(smooth):
    expected = UNI().attribute(smooth, images(), CLASSES)
    for parameter in smooth.parameters():
        parameter.requires_grad_(False)
    assert torch.equal(UNI().attribute(smooth, images(), CLASSES), expected)


# U4: nothing unlearned


@pytest.mark.parametrize("delta0", ["zero", "random"])
@pytest.mark.parametrize("model", [tiny.resnet, tiny.vit, tiny.swin])
def test_without_unlearning_the_map_is_zero(model, delta0):
    model = model()
    explained = UNI(eta=0, delta0=delta0, matching_steps=2, steps=2).explain(
        model, tiny.images(3, model.preprocessing.size), CLASSES
    )
    assert not explained.maps.any()
    assert not explained.extras["radius"].any()
    assert torch.equal(explained.extras["confidence"], explained.extras["baseline_confidence"])


def test_a_flat_model_has_a_zero_map():
    model = network(nn.Flatten(), nn.Linear(192, 5))
    nn.init.zeros_(model.layers[1].weight)
    explained = UNI().explain(model, 0 * images())
    assert not explained.maps.any()
    assert all(values.isfinite().all() for values in explained.extras.values())


def test_a_saturated_softmax_is_unlearned_in_the_true_direction(softmax):
    """Pitfall 2: the cross-entropy underflows in fp32, its direction does not."""
    with torch.no_grad():
        softmax.layers[1].bias[1] += 60
    single = network(nn.Flatten(), nn.Linear(192, 5)).float()
    single.load_state_dict({name: value.float() for name, value in softmax.state_dict().items()})
    assert (single(images().float()).softmax(1)[:, 1] == 1).all()
    shifts = [
        unlearned_logits(model, given, torch.tensor([1, 1, 1]), 1.0) - model(given).detach()
        for model, given in ((softmax, images()), (single, images().float()))
    ]
    assert_near(shifts[1].double(), shifts[0], 1e-4)


# U5: the path


@pytest.mark.parametrize("output", ["prob", "logit"])
def test_from_its_baseline_it_is_captum(output):
    model, given = tiny.vit().double(), tiny.images(3, (32, 32)).double()
    method = UNI(eta=0.1, matching_steps=3, steps=4, output=output, reduce="mean")
    score = nn.Sequential(model, nn.Softmax(1)) if output == "prob" else model
    baselines = method.baseline(model, given, CLASSES)
    values = Captum(score).attribute(given, baselines, target=CLASSES, n_steps=4, method="riemann_right")
    assert_near(method.attribute(model, given, CLASSES), values.detach().mean(1), 1e-6)


# U6: digits


def test_on_digits_confidence_falls_along_the_path(digits):
    model, given, classes = digits
    explained = UNI().explain(model, given, classes)
    extras = explained.extras
    assert (extras["baseline_confidence"] < extras["confidence"]).float().mean() >= 0.95
    assert (extras["kl_baseline"] < extras["kl_image"]).float().mean() >= 0.95
    assert (UNI(eta=0.01).explain(model, given, classes).extras["unlearned_confidence"] < extras["confidence"]).all()
    baselines = UNI().baseline(model, given, classes)
    with torch.no_grad():
        points = [model(baselines + share * (given - baselines)).softmax(1) for share in torch.linspace(0, 1, 16)]
    path = torch.stack([probabilities.gather(1, classes[:, None])[:, 0] for probabilities in points], 1)
    ranks = path.argsort(1).argsort(1).double() - 7.5
    spearman = (ranks * (torch.arange(16) - 7.5)).sum(1) / (16 * (16**2 - 1) / 12)
    assert spearman.mean() >= 0.95
    sphere = UNI(projection="sphere").attribute(model, given, classes)
    likeness = nn.functional.cosine_similarity(sphere.flatten(1), explained.maps.flatten(1))
    assert likeness.mean() > 0.95


# The rest


def test_in_pure_bf16_the_shift_is_not_rounded_away():
    """Of 224 x 224 pixels each moves by about 1e-3, and bf16 tells 1.000 from 1.008."""
    model, given = tiny.resnet(image_size=224), tiny.images(1, (224, 224))
    method = UNI(matching_steps=3, steps=3)
    fine = method.explain(model, given, 1)
    low = tiny.resnet(image_size=224).bfloat16()
    found, baseline = method.explain(low, given.bfloat16(), 1), method.baseline(low, given.bfloat16(), 1)
    moved = baseline - given.bfloat16().float()
    assert baseline.dtype == torch.float32
    assert (moved != 0).float().mean() > 0.9
    torch.testing.assert_close(moved.norm(), found.extras["radius"][0], rtol=1e-3, atol=0)
    assert nn.functional.cosine_similarity(fine.maps.flatten(1), found.maps.flatten(1)) > 0.8


def test_the_random_start_has_a_seed(smooth):
    maps = [UNI(delta0="random", seed=seed).attribute(smooth, images(), CLASSES) for seed in (0, 0, 1)]
    assert torch.equal(maps[0], maps[1])
    assert not torch.equal(maps[0], maps[2])


@pytest.mark.parametrize(
    "arguments",
    [
        {"eta": -1},
        {"matching_steps": -1},
        {"steps": 0},
        {"mu": 0},
        {"eps": 0},
        {"decay": 0},
        {"norm": 0.5},
        {"projection": "cube"},
        {"delta0": "one"},
        {"eps": torch.inf, "projection": "sphere"},
    ],
)
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(InputError, match=next(iter(arguments))):
        UNI(**arguments)


def test_what_has_no_weights_is_refused(softmax):
    class Callable:
        num_classes, preprocessing, __call__ = 5, softmax.preprocessing, staticmethod(softmax)

    with pytest.raises(InputError, match="UNI unlearns in the weights: give a torch module"):
        UNI().explain(Callable(), images())
