import pickle

import pytest
import torch

from lit_coiba.bottlenecks.prior import NoisePrior, PriorSettings, PriorSlot
from lit_coiba.bottlenecks.statistics import ActivationStatistics
from lit_coiba.functional import antithetic_noise, noise

LAYERS = ("first", "second")
LIKE = torch.zeros(5, 4, 3)  # a batch of activations
STATISTICS = ActivationStatistics(
    mean={layer: torch.randn(4, 3, generator=torch.Generator().manual_seed(i)) for i, layer in enumerate(LAYERS)},
    std={layer: torch.linspace(0, 1.1, 12).view(4, 3) for layer in LAYERS},
    active={layer: torch.ones(4, 3) for layer in LAYERS},
    count=10,
    model="",
    preprocessing="",
)
SETTINGS = PriorSettings(STATISTICS, LAYERS, copies=6, min_std=0.25, antithetic=False, seed=3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("antithetic", [False, True])
def test_a_draw_is_mean_plus_bounded_std_times_noise(dtype, antithetic):
    draw = NoisePrior(SETTINGS._replace(antithetic=antithetic)).draw(7, 1, LIKE.to(dtype))
    eps = (antithetic_noise if antithetic else noise)(3, 7, 1, (6, 4, 3))
    std = STATISTICS.std["second"].clamp(min=0.25)
    torch.testing.assert_close(draw, (STATISTICS.mean["second"] + std * eps).to(dtype), rtol=1e-6, atol=1e-6)
    assert draw.dtype == dtype


def test_low_precision_activations_are_mixed_in_single_precision():
    prior = NoisePrior(SETTINGS)
    assert prior.draw(0, 0, LIKE.bfloat16()).dtype == torch.float32
    assert prior.standardise(0, LIKE.bfloat16()).dtype == torch.float32


def test_standardise():
    expected = (LIKE - STATISTICS.mean["first"]) / STATISTICS.std["first"].clamp(min=0.25)
    torch.testing.assert_close(NoisePrior(SETTINGS).standardise(0, LIKE), expected)


def test_draws_are_kept_for_the_next_batch_as_far_as_there_is_room(monkeypatch):
    prior = NoisePrior(SETTINGS)
    monkeypatch.setattr("lit_coiba.bottlenecks.prior.KEPT_BYTES", int(2.5 * 6 * 12 * 4))
    draws = [prior.draw(step, 0, LIKE) for step in range(3)]
    again = [prior.draw(step, 0, LIKE) for step in range(3)]
    assert [a is b for a, b in zip(draws, again)] == [True, True, False]
    assert torch.equal(draws[2], again[2])


def test_what_is_kept_shares_no_memory_with_the_statistics():
    mean, std = NoisePrior(SETTINGS).parameters(0, LIKE)
    assert mean.data_ptr() != STATISTICS.mean["first"].data_ptr()
    assert std.data_ptr() != STATISTICS.std["first"].data_ptr()


def test_a_slot_keeps_the_prior_while_its_settings_stay():
    slot = PriorSlot()
    first = slot.of(SETTINGS)
    assert slot.of(SETTINGS._replace(copies=6)) is first
    for other in (
        {"copies": 4},
        {"seed": 4},
        {"antithetic": True},
        {"min_std": 0.1},
        {"layers": LAYERS[:1]},
        {"statistics": ActivationStatistics(**vars(STATISTICS))},
    ):
        assert slot.of(SETTINGS._replace(**other)) is not first
        first = slot.of(SETTINGS)


def test_a_slot_travels_without_its_draws():
    slot = PriorSlot()
    slot.of(SETTINGS).draw(0, 0, LIKE.expand(1000, -1, -1, -1))
    assert len(pickle.dumps(slot)) < 1000
