"""Equal maxima share: the map of a flipped image, under the flipped network, is the flipped map."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lit_coiba.attribution import EVA, CompositeLRP, DeepLift
from lit_coiba.functional import pointing_hit, relevance_rank, signed_max
from lit_coiba.functional.hsic import _median
from lit_coiba.heads import InfoDisentHead
from lit_coiba.propagation.max_pools import SharedMaxPool, windows_of
from tests._testers.analytic import network
from tests._testers.model_state import assert_near

BASELINES = ["zero", "black", "mean", "blur"]


def flipped(chain: nn.Module) -> nn.Module:
    """The same network for images that are flipped in both axes."""
    turned = network(*[type_of(layer) for layer in chain.layers])
    for own, layer in zip(turned.layers, chain.layers):
        if isinstance(layer, nn.Conv2d):
            own.weight.data, own.bias.data = layer.weight.data.flip(-2, -1), layer.bias.data
        elif isinstance(layer, nn.Linear):
            own.weight.data = layer.weight.data.unflatten(1, (4, -1)).flip(-1).flatten(1)
            own.bias.data = layer.bias.data
    return turned


def type_of(layer: nn.Module) -> nn.Module:
    """A fresh layer of the same kind."""
    if isinstance(layer, nn.Conv2d):
        return nn.Conv2d(layer.in_channels, layer.out_channels, layer.kernel_size, padding=layer.padding)
    return nn.Linear(layer.in_features, layer.out_features) if isinstance(layer, nn.Linear) else layer


def pooled(pool: nn.Module, places: int) -> nn.Module:
    """A convolution, a pool and a linear layer, on images of 8 x 8."""
    return network(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), pool, nn.Flatten(), nn.Linear(4 * places, 5))


POOLS = {"apart": (nn.MaxPool2d(2), 16), "adaptive": (nn.AdaptiveMaxPool2d(2), 4), "all": (nn.AdaptiveMaxPool2d(1), 1)}


def images() -> Tensor:
    """Two images of noise with a black border, whose windows are constant."""
    found = torch.zeros(2, 3, 8, 8, dtype=torch.float64)
    found[..., 4:, 3:] = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return found


@pytest.mark.parametrize("baseline", BASELINES)
def test_deep_lift(baseline):
    """It was off by .10 of the largest value: every fall went to the first place of a constant window."""
    chain, given = pooled(*POOLS["apart"]), images()
    if baseline == "blur":
        given = torch.randn_like(given)
    maps = DeepLift(baseline).explain(chain, given, 2).maps
    turned = DeepLift(baseline).explain(flipped(chain), given.flip(-2, -1), 2).maps
    assert_near(turned.flip(-2, -1), maps, 1e-10)


@pytest.mark.parametrize("composite", ["epsilon", "epsilon_plus", "epsilon_gamma_box", "epsilon_alpha2_beta1_flat"])
@pytest.mark.parametrize("pool", POOLS)
def test_relevance_propagation(composite, pool):
    pytest.importorskip("zennit", reason="the extra lrp is not installed")
    chain = pooled(*POOLS[pool])
    with torch.no_grad():
        chain.layers[0].bias.add_(0.5)  # so that constant places carry relevance
    maps = CompositeLRP(composite).explain(chain, images(), 2).maps
    turned = CompositeLRP(composite).explain(flipped(chain), images().flip(-2, -1), 2).maps
    assert_near(turned.flip(-2, -1), maps, 1e-8)


@pytest.mark.parametrize(
    ("pool", "shape"),
    [
        (nn.MaxPool1d(3, 2, 1), (2, 3, 9)),
        (nn.MaxPool2d(3, 2, 1, ceil_mode=True), (2, 3, 8, 9)),
        (nn.MaxPool2d((3, 2), (2, 1), (1, 0), (2, 1)), (2, 3, 9, 7)),
        (nn.MaxPool3d(2), (1, 2, 4, 4, 4)),
        (nn.AdaptiveMaxPool2d((3, 4)), (2, 3, 7, 9)),
    ],
    ids=str,
)
def test_windows_of_any_kind_share(pool, shape):
    """Against a loop over places: the gradient of a window goes in equal parts to its largest ones."""
    values = torch.randint(0, 3, shape, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    output = SharedMaxPool(pool, windows_of(pool))(values)
    assert torch.equal(output, pool(values))
    given = torch.randn(output.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    (found,) = torch.autograd.grad(output, values, given)
    reached = []  # by making each place a little larger: who decides a window alone then
    with torch.no_grad():
        for place in range(values.numel()):
            raised = values.detach().clone()
            raised.view(-1)[place] += 0.5
            reached.append((pool(raised) > output).flatten())
    winners = torch.stack(reached).double()  # (places, windows)
    expected = (winners / winners.sum(0, keepdim=True).clamp_min(1)) @ given.flatten()
    assert_near(found.flatten(), expected, 1e-12)


def test_where_one_place_is_largest_the_gradient_is_torchs():
    pool = nn.MaxPool2d(3, 2, 1)
    values = torch.randn(2, 3, 11, 9, requires_grad=True)
    given = torch.randn(2, 3, 6, 5)
    gradients = [
        torch.autograd.grad(f(values), values, given)[0] for f in (pool, SharedMaxPool(pool, windows_of(pool)))
    ]
    assert torch.equal(*gradients)


def test_pointing_game():
    maps = torch.tensor([[[1.0, 1.0, 0.0, 1.0]]])
    region = torch.tensor([[[False, False, False, True]]])
    assert pointing_hit(maps, region).item() == pytest.approx(1 / 3)
    assert pointing_hit(maps.flip(-1), region.flip(-1)).item() == pytest.approx(1 / 3)
    assert pointing_hit(maps, region, tolerance=2).item() == pytest.approx(2 / 3)
    generator = torch.Generator().manual_seed(0)
    for tolerance in (0, 1, 2.5, 4):  # one maximum: as the distance says
        single = torch.rand(5, 9, 7, generator=generator)
        regions = torch.rand(5, 9, 7, generator=generator) > 0.93
        peaks = [divmod(int(one.argmax()), 7) for one in single]
        near = [
            any((row - y) ** 2 + (column - x) ** 2 <= tolerance**2 for row, column in one.nonzero().tolist())
            for one, (y, x) in zip(regions, peaks)
        ]
        found = pointing_hit(single, regions, tolerance)
        there = regions.flatten(1).any(1)
        assert torch.equal(found[there], torch.tensor(near, dtype=found.dtype)[there])
        assert found[~there].isnan().all()


def test_relevance_rank():
    maps = torch.tensor([[[3.0, 1.0, 1.0, 1.0, 0.0]]])
    region = torch.tensor([[[False, False, False, True, True]]])
    assert relevance_rank(maps, region).item() == pytest.approx((1 / 3) / 2)  # one of three places is left, for two
    assert relevance_rank(maps.flip(-1), region.flip(-1)).item() == pytest.approx((1 / 3) / 2)
    constant = torch.ones(1, 4, 5)
    inside = torch.zeros(1, 4, 5, dtype=torch.bool)
    inside[:, 2:, 1:4] = True
    assert relevance_rank(constant, inside).item() == pytest.approx(6 / 20)  # the share of the area


def test_heads_that_pool_the_largest_value():
    maps = torch.tensor([[[[2.0, 2.0, -1.0, -1.0]]]], requires_grad=True)
    (gradient,) = torch.autograd.grad(signed_max(maps).sum(), maps)
    assert gradient.flatten().tolist() == [0.5, 0.5, 0.5, 0.5]
    head = InfoDisentHead(1, 2, pooling="hard")
    explained = head.explain(maps.detach(), torch.tensor([0])).maps.flatten()
    assert explained[0] == explained[1]
    assert explained[2] == explained[3]


def test_a_median_of_an_even_number_is_between_the_two_in_the_middle():
    assert _median(torch.tensor([[1.0, 7.0, 2.0, torch.nan, 4.0]])).item() == 3.0
    assert _median(torch.tensor([[1.0, 7.0, torch.nan, 2.0]])).item() == 2.0
    assert _median(torch.full((1, 3), torch.nan)).isnan().all()


@pytest.mark.parametrize("bound", ["ibp", "crown_ibp", "crown"])
def test_verified_bounds(bound):
    chain = pooled(*POOLS["apart"])
    maps = EVA(radius=0.05, patch=4, bound=bound).explain(chain, images(), 2)
    turned = EVA(radius=0.05, patch=4, bound=bound).explain(flipped(chain), images().flip(-2, -1), 2)
    assert_near(turned.maps.flip(-2, -1), maps.maps, 1e-8)
    assert_near(turned.extras["overlap"], maps.extras["overlap"], 1e-10)
