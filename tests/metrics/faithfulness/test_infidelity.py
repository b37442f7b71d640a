"""Infidelity: check I1, equality with Captum for the same perturbations, sharing."""

from typing import ClassVar

import pytest
import torch
from captum.metrics import infidelity as captum_infidelity
from captum.metrics import infidelity_perturb_func_decorator

from lit_coiba.core.errors import InputError
from lit_coiba.functional import keyed_noise, keyed_subsets, resize_map
from lit_coiba.metrics import Infidelity
from lit_coiba.metrics.shared import Shared
from tests._testers.metrics import SIZE, FaithfulnessTester, network, uniform
from tests._testers.removal import Additive, cell_totals, logit, without


def slow_noise(model, images, targets, maps, local=False):
    noise = 0.1 * keyed_noise(0, [""], "infidelity", (4, *SIZE))[0].double()
    map, image, found = resize_map(maps, SIZE)[0], images[0], 0.0
    for drawn in noise:
        changed = image - (drawn if local else drawn * (image - 0.5))
        told = sum(float(map[i, j] * drawn[i, j]) for i in range(SIZE[0]) for j in range(SIZE[1]))
        found += (told - logit(model, image, int(targets)) + logit(model, changed, int(targets))) ** 2 / 4
    return found


def slow_removal(model, images, targets, maps):
    chosen = keyed_subsets(0, [""], "infidelity", (4, 20), 0.3)[0]
    cells, found = cell_totals(resize_map(maps, SIZE)[0], (4, 5)), 0.0
    for subset in chosen:
        told = sum(sum(values) for values, gone in zip(cells, subset) if gone)
        changed = without(images[0], lambda cell, subset=subset: bool(subset[cell]), (4, 5))
        found += (told - logit(model, images[0], int(targets)) + logit(model, changed, int(targets))) ** 2 / 4
    return found


class TestInputMultiplied(FaithfulnessTester):
    metric = Infidelity
    arguments: ClassVar = {"draws": 4, "baseline": 0.5}
    oracle = staticmethod(slow_noise)


class TestLocal(FaithfulnessTester):
    metric = Infidelity
    arguments: ClassVar = {"draws": 4, "pairing": "local", "chunk": 3}

    def oracle(self, *inputs):
        return slow_noise(*inputs, local=True)


class TestRemoval(FaithfulnessTester):
    metric = Infidelity
    arguments: ClassVar = {"draws": 4, "perturbation": "removal", "grid_size": (4, 5), "probability": 0.3}
    oracle = staticmethod(slow_removal)


class TestI1:
    model = Additive(uniform(2, 3, *SIZE, seed=3) - 0.5)
    images = uniform(2, 3, *SIZE) + 0.5
    gradient = model.weight[1].sum(0).expand(2, -1, -1)  # channels are perturbed alike
    product = (images * model.weight[1]).sum(1)

    def score(self, maps, **arguments):
        return Infidelity(**arguments).score(self.model, self.images, 1, maps)

    @pytest.mark.parametrize("perturbation", ["noise", "removal"])
    def test_i1_the_right_pairing_of_a_linear_model_is_exact(self, perturbation):
        arguments = {"perturbation": perturbation, "grid_size": 3}
        assert (self.score(self.product, **arguments) < 1e-20).all()
        assert (self.score(self.gradient, **arguments) > 1e-4).all()

    def test_i1_the_gradient_is_exact_for_noise(self):
        assert (self.score(self.gradient, pairing="local") < 1e-20).all()
        assert (self.score(self.product, pairing="local") > 1e-4).all()

    def test_i1_a_factor_does_not_matter_with_scaling(self):
        assert (self.score(3 * self.gradient, pairing="local", scaled=True) < 1e-20).all()
        assert (self.score(3 * self.gradient, pairing="local") > 1e-4).all()
        assert (self.score(-2 * self.product, scaled=True) < 1e-20).all()


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("pairing", ["local", "input_multiplied"])
def test_captum_has_the_same_numbers_for_the_same_perturbations(pairing, scaled):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(54, 7), torch.nn.Tanh(), torch.nn.Linear(7, 4))
    model, images, maps = model.double(), uniform(3, 1, *SIZE) + 0.2, uniform(3, *SIZE, seed=1)
    images[0, 0, 2, 2] = 0.1  # at the baseline: what is there has no share of the way
    targets, metric = torch.tensor([0, 3, 1]), Infidelity(pairing, baseline=0.1, draws=6, scaled=scaled)
    noise = metric.perturbations(metric.removal(model, images, targets), ["a", "b", "c"]).flatten(0, 1).unsqueeze(1)
    if pairing == "local":

        def perturbed(inputs):
            return noise, inputs - noise
    else:

        @infidelity_perturb_func_decorator(multiply_by_inputs=True)
        def perturbed(inputs, baselines):
            return inputs - noise * (inputs - baselines)

    arguments = {} if pairing == "local" else {"baselines": 0.1}
    theirs = captum_infidelity(
        model, perturbed, images, maps.unsqueeze(1), target=targets, n_perturb_samples=6, normalize=scaled, **arguments
    )
    found = metric.score(model, images, targets, maps, ["a", "b", "c"])
    torch.testing.assert_close(found, theirs.detach(), rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("perturbation", ["noise", "removal"])
def test_draws_are_those_of_the_sample_and_shared_by_all_methods(perturbation):
    model, images, maps = Additive(uniform(2, 3, *SIZE)), uniform(2, 3, *SIZE), uniform(2, *SIZE, seed=1)
    metric, shared = Infidelity(perturbation=perturbation, grid_size=3), Shared()
    both = [metric.score(model, images, 1, m, ["a", "b"], shared) for m in (maps, -maps)]
    assert sum(model.seen) == 2 * metric.forwards(SIZE) == 2 * 11
    assert torch.equal(metric.score(model, images[1:], 1, maps[1:], ["b"]), both[0][1:])
    assert not torch.equal(metric.score(model, images[1:], 1, maps[1:], ["c"]), both[0][1:])


def test_removed_pixels_are_paired_locally_too():
    model, images = Additive(uniform(2, 1, *SIZE)), uniform(2, 1, *SIZE)
    metric = Infidelity("local", "removal", grid_size=3, baseline=0.3)
    assert (metric.score(model, images, 1, model.weight[1, 0].expand(2, -1, -1)) < 1e-20).all()


def test_a_map_of_zeros_says_that_nothing_changes():
    model, images = network(), uniform(2, 3, *SIZE)
    plain, scaled = (Infidelity(scaled=s).score(model, images, None, torch.zeros(2, 2, 2)) for s in (False, True))
    assert (plain > 0).all()
    assert torch.equal(plain, scaled)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pairing": "global"}, "pairing is 'global'"),
        ({"perturbation": "blur"}, "perturbation is 'blur'"),
        ({"noise": 0.0}, "noise is 0.0"),
        ({"draws": 0}, "draws is 0"),
        ({"probability": 0.0}, "probability is 0.0"),
        ({"baseline": "tokens"}, "choose perturbation removal"),
        ({"baseline": "tokens", "perturbation": "removal", "pairing": "local"}, "choose perturbation removal"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Infidelity(**arguments)
