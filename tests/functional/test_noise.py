import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest

from lit_coiba.functional import antithetic_noise, keyed_orders, noise

arguments = st.tuples(st.integers(-5, 2**40), st.integers(0, 50), st.integers(0, 50))


@given(arguments, arguments)
def test_different_arguments_give_different_numbers(first, second):
    assert torch.equal(noise(*first, (5,)), noise(*second, (5,))) == (first == second)


def test_digits_do_not_run_together():
    assert not torch.equal(noise(1, 11, 1, (3,)), noise(11, 1, 1, (3,)))


def test_global_random_state_is_neither_read_nor_moved():
    torch.manual_seed(0)
    before, first = torch.get_rng_state(), noise(0, 0, 0, (100,))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert torch.equal(noise(0, 0, 0, (100,)), first)


def test_numbers_do_not_depend_on_surroundings():
    expected = noise(3, 1, 2, (4, 1000))
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    try:
        torch.set_num_threads(2)
        torch.set_default_dtype(torch.float64)
        with torch.device("meta"), torch.inference_mode():
            found = noise(3, 1, 2, [4, 1000])
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)
    assert found.dtype == torch.float32
    assert found.device.type == "cpu"
    assert torch.equal(found, expected)


@pytest.mark.parametrize(("seed", "step", "layer"), [(0, 0, 0), (0, 8, 7), (31, 0, 1)])
def test_numbers_are_standard_normal(seed, step, layer):
    assert kstest(noise(seed, step, layer, (20, 1000)).flatten().numpy(), "norm").pvalue > 0.01


def test_draws_are_independent():
    draws = torch.stack([noise(seed, step, layer, (5000,)) for seed, step, layer in ((0, 0, 0), (1, 0, 0), (0, 1, 0))])
    assert (torch.corrcoef(draws) - torch.eye(3)).abs().max() < 0.05


@pytest.mark.parametrize("copies", [1, 2, 5, 10])
def test_antithetic_copies_cancel_in_pairs(copies):
    draw = antithetic_noise(0, 1, 2, (copies, 3, 4))
    assert draw.shape == (copies, 3, 4)
    half = (copies + 1) // 2
    assert torch.equal(draw[half:], -draw[: copies - half])
    assert torch.equal(draw[:half], noise(0, 1, 2, (half, 3, 4)))


def test_no_shape_at_all_is_one_number():
    assert noise(0, 0, 0, ()).shape == ()


def test_orders_are_those_of_the_sample_wherever_they_are_drawn():
    expected = keyed_orders(3, "a", "subsets", 4, 50)
    with torch.device("meta"), torch.inference_mode():
        found = keyed_orders(3, "a", "subsets", 4, 50)
    assert torch.equal(found, expected)
    assert torch.equal(expected.sort(1).values, torch.arange(50).expand(4, -1))
    others = [(4, "a", "subsets"), (3, "b", "subsets"), (3, "a", "orders")]
    assert not any(torch.equal(keyed_orders(*other, 4, 50), expected) for other in others)
    assert torch.equal(keyed_orders(3, "a", "subsets", 2, 50), expected[:2])


def test_every_unit_comes_first_as_often_as_any_other():
    counts = keyed_orders(0, "a", "subsets", 5000, 10).argmin(1).bincount().double()
    assert chisquare(counts).pvalue > 0.01
