import math
from itertools import pairwise

import pytest
import torch

from lit_coiba.functional import signed_gumbel, signed_log_sum_exp, signed_max, signed_top_k, spatial_average


def some_maps(seed=0, *, shape=(3, 4, 2, 5), dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def gumbel_noise(maps, seed=1):
    uniform = torch.rand((2, *maps.shape), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return -torch.log(-torch.log(uniform))


def both_sides(pool):
    """P(relu(J)) - P(relu(-J)) of one map's values, for a P of plain lists."""
    return lambda values: pool([max(v, 0.0) for v in values]) - pool([max(-v, 0.0) for v in values])


POOLINGS = {
    "max": (signed_max, both_sides(max)),
    "top 1": (lambda maps: signed_top_k(maps, 1), both_sides(max)),
    "top 3": (lambda maps: signed_top_k(maps, 3), both_sides(lambda v: sum(sorted(v)[-3:]) / 3)),
    "top 10": (lambda maps: signed_top_k(maps, 10), both_sides(lambda v: sum(v) / 10)),
    "top 99": (lambda maps: signed_top_k(maps, 99), both_sides(lambda v: sum(v) / 10)),
    "log sum exp": (
        lambda maps: signed_log_sum_exp(maps, 0.3),
        both_sides(lambda v: 0.3 * math.log(sum(math.exp(x / 0.3) for x in v) / len(v))),
    ),
    "average": (spatial_average, lambda values: sum(values) / len(values)),
}
every_pooling = pytest.mark.parametrize(("pool", "slow"), POOLINGS.values(), ids=POOLINGS)


@every_pooling
def test_values_are_those_of_the_formula(pool, slow):
    maps = some_maps()
    for image, pooled in zip(maps, pool(maps)):
        assert pooled.tolist() == pytest.approx([slow(plane.flatten().tolist()) for plane in image], rel=1e-12)


@every_pooling
def test_the_opposite_maps_have_the_opposite_values(pool, slow):
    assert torch.equal(pool(-some_maps()), -pool(some_maps()))


@every_pooling
def test_the_order_of_the_positions_makes_no_difference(pool, slow):
    maps = some_maps()
    order = torch.randperm(10, generator=torch.Generator().manual_seed(0))
    permuted = maps.flatten(2)[:, :, order].view(3, 4, 5, 2)
    torch.testing.assert_close(pool(permuted), pool(maps), rtol=1e-14, atol=1e-14)


@every_pooling
def test_zero_maps_have_zero_values(pool, slow):
    assert pool(torch.zeros(1, 2, 3, 3)).tolist() == [[0, 0]]


@every_pooling
@pytest.mark.parametrize("given", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_sums_are_in_single_precision_at_least(pool, slow, given):
    maps = some_maps(dtype=given)
    expected = torch.float64 if given == torch.float64 else torch.float32
    assert pool(maps).dtype == expected
    torch.testing.assert_close(pool(maps), pool(maps.double()).to(expected), rtol=1e-5, atol=1e-5)


@every_pooling
def test_gradients_are_those_of_differences(pool, slow):
    assert torch.autograd.gradcheck(pool, some_maps().requires_grad_())


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1.0, 3.0, 2.0], 3.0), ([-1.0, -3.0, -2.0], -3.0), ([1.0, -3.0, 2.0], -1.0), ([0.0, 0.0, 0.0], 0.0)],
    ids=["all positive", "all negative", "mixed", "zero"],
)
def test_signed_max_is_the_papers_mx_pool(values, expected):
    assert signed_max(torch.tensor(values).view(1, 1, 1, 3)).item() == expected


@pytest.mark.parametrize("maps", [some_maps(), some_maps().round(), some_maps().abs().ceil()], ids=["", "ties", "ones"])
def test_the_largest_value_of_each_side_gets_gradient_which_equal_ones_share(maps):
    maps = maps.clone().requires_grad_()
    signed_max(maps).sum().backward()
    flat, gradient = maps.detach().flatten(2), maps.grad.flatten(2)
    for sign in (1, -1):
        side = (sign * flat).clamp_min(0)
        winners = ((side == side.amax(-1, keepdim=True)) & (side > 0)).double()
        expected = winners / winners.sum(-1, keepdim=True).clamp_min(1)
        torch.testing.assert_close(gradient * (sign * flat > 0), expected)


@pytest.mark.parametrize("tau", [0.1, 1.0, 3.0])
def test_a_given_draw_is_that_of_the_formula(tau):
    maps = some_maps(shape=(2, 3, 2, 2))
    noise = gumbel_noise(maps)
    soft, hard = signed_gumbel(maps, tau, noise, hard=False), signed_gumbel(maps, tau, noise)
    for b in range(2):
        for d in range(3):
            sides = []
            for side, sign in enumerate((1, -1)):
                values = [max(sign * v, 0.0) for v in maps[b, d].flatten().tolist()]
                scores = [v / tau + g for v, g in zip(values, noise[side, b, d].flatten().tolist())]
                weights = [math.exp(score) for score in scores]
                drawn = max(range(4), key=lambda p: scores[p])
                sides.append((sum(w * v for w, v in zip(weights, values)) / sum(weights), values[drawn]))
            assert soft[b, d].item() == pytest.approx(sides[0][0] - sides[1][0], rel=1e-12)
            assert hard[b, d].item() == sides[0][1] - sides[1][1]


def test_a_hard_draw_has_the_gradient_of_the_soft_weights():
    maps = some_maps(shape=(1, 2, 2, 2)).requires_grad_()
    noise = gumbel_noise(maps)
    signed_gumbel(maps, 0.7, noise).sum().backward()

    def surrogate(maps):
        """The draw held fixed, plus the soft weights' own change times the values as they are."""
        total = 0
        for sign, draw in zip((1, -1), noise):
            now, then = (sign * maps).relu().flatten(2), (sign * maps.detach()).relu().flatten(2)
            drawn = torch.nn.functional.one_hot((then / 0.7 + draw.flatten(2)).argmax(-1), 4)
            total = total + sign * (drawn * now + (now / 0.7 + draw.flatten(2)).softmax(-1) * then).sum()
        return total

    other = maps.detach().clone().requires_grad_()
    surrogate(other).backward()
    torch.testing.assert_close(maps.grad, other.grad, rtol=1e-12, atol=1e-12)


def test_a_soft_draw_has_the_gradient_of_differences():
    maps = some_maps(shape=(1, 2, 2, 2)).requires_grad_()
    noise = gumbel_noise(maps)
    assert torch.autograd.gradcheck(lambda m: signed_gumbel(m, 0.7, noise, hard=False), maps)


def test_opposite_maps_with_exchanged_draws_have_opposite_values():
    maps = some_maps()
    noise = gumbel_noise(maps)
    for hard in (True, False):
        found = signed_gumbel(-maps, 0.5, noise.flip(0), hard)
        torch.testing.assert_close(found, -signed_gumbel(maps, 0.5, noise, hard), rtol=1e-14, atol=1e-14)


def test_a_cold_draw_is_the_maximum():
    separated = torch.tensor([[3.0, -1.0, 1.0, -2.0], [0.5, 0.1, -0.3, -0.9]]).view(1, 2, 2, 2)
    for hard in (True, False):
        for seed in range(20):
            torch.manual_seed(seed)
            assert torch.equal(signed_gumbel(separated, 1e-4, hard=hard), signed_max(separated))


def test_noise_comes_after_the_division_so_that_the_temperature_sets_the_odds():
    """A hard draw pools position p with probability softmax(r / tau)_p: here one of two values, other than 0."""
    draws = 20_000
    maps = torch.tensor([1.0, 2.0]).expand(draws, 1, 1, 2)
    torch.manual_seed(0)
    for tau in (0.3, 1.0, 5.0):
        share = (signed_gumbel(maps, tau) == 2.0).double().mean().item()
        odds = 1 / (1 + math.exp(-1 / tau))
        assert share == pytest.approx(odds, abs=4 * math.sqrt(odds * (1 - odds) / draws))


def test_a_hot_soft_draw_is_uniform_on_average():
    torch.manual_seed(0)
    maps = torch.tensor([0.0, 0.1, 0.5]).expand(20_000, 1, 1, 3)
    assert signed_gumbel(maps, 1e6, hard=False).mean().item() == pytest.approx(0.2, abs=0.005)


def test_draws_come_from_the_global_generator():
    maps = some_maps(dtype=torch.bfloat16)
    torch.manual_seed(3)
    first = signed_gumbel(maps, 1.0)
    torch.manual_seed(3)
    assert torch.equal(signed_gumbel(maps, 1.0), first)
    assert not torch.equal(signed_gumbel(maps, 1.0), first)
    assert first.dtype == torch.float32


def test_log_sum_exp_lies_between_average_and_maximum():
    maps = some_maps().abs()
    values = [signed_log_sum_exp(maps, tau) for tau in (1e4, 3.0, 0.3, 1e-4)]
    assert all((a < b).all() for a, b in pairwise(values))
    torch.testing.assert_close(values[0], spatial_average(maps), rtol=1e-3, atol=0)
    torch.testing.assert_close(values[-1], signed_max(maps), rtol=1e-3, atol=0)
