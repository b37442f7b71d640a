"""Dictionaries: planted factors are found (checks 2, 6 and 7 of the specification), and bad input is one sentence."""

import builtins
from itertools import pairwise

import pytest
import torch

from lit_coiba.concepts import NMF, PCA, KMeans, SemiNMF, encode, match_concepts, relative_error, stability
from lit_coiba.core.errors import InputError

ALL = [NMF, SemiNMF, KMeans, PCA]


def separable(seed=0, noise=0.0, rows=1500, channels=64, concepts=10):
    """Non-negative factors where every concept has rows of its own."""
    generator = torch.Generator().manual_seed(seed)
    dictionary = torch.rand(concepts, channels, generator=generator) * (
        torch.rand(concepts, channels, generator=generator) < 0.3
    )
    coefficients = torch.rand(rows, concepts, generator=generator)
    coefficients *= torch.rand(rows, concepts, generator=generator) < 0.3
    coefficients[: 5 * concepts] = torch.eye(concepts).repeat(5, 1)
    activations = coefficients @ dictionary
    noisy = activations + noise * activations.mean() * torch.rand(rows, channels, generator=generator)
    return noisy, dictionary


def signed(seed=0, rows=600, channels=64, concepts=8):
    """Dictionary of any sign, with coefficients that are often small."""
    generator = torch.Generator().manual_seed(seed)
    dictionary = torch.randn(concepts, channels, generator=generator)
    return -torch.rand(rows, concepts, generator=generator).clamp_min(1e-9).log() @ dictionary, dictionary


@pytest.mark.parametrize(("seed", "noise"), [(0, 0.0), (1, 0.0), (2, 0.05)])
def test_nmf_finds_planted_factors(seed, noise):
    activations, dictionary = separable(seed, noise)
    found = NMF(10).fit(activations)
    assert match_concepts(dictionary, found.dictionary).cosines.min() > 0.999
    if not noise:
        assert found.error < 3e-3
    torch.testing.assert_close(found.dictionary.norm(dim=1), torch.ones(10))
    assert found.coefficients.min() >= 0
    assert found.dictionary.min() >= 0


def test_more_iterations_never_make_nmf_worse():
    activations, _ = separable(3, 0.3, rows=300)
    errors = [NMF(10, max_iter=count, tol=1e-9).fit(activations).error for count in (1, 3, 10, 50, 200)]
    assert all(after <= before + 1e-7 for before, after in pairwise(errors))
    assert errors[-1] < errors[0]


@pytest.mark.parametrize("seed", range(3))
def test_semi_nmf_finds_planted_factors_of_any_sign(seed):
    activations, dictionary = signed(seed)
    found = SemiNMF(8).fit(activations)
    assert found.error < 5e-3
    assert match_concepts(dictionary, found.dictionary).cosines.mean() > 0.93
    assert found.coefficients.min() >= 0


def test_pca_has_the_smallest_error_and_k_means_the_largest():
    activations, _ = separable(4, 1.0, rows=300)
    errors = {kind.__name__: kind(6).fit(activations).error for kind in ALL}
    assert errors["PCA"] <= min(errors["NMF"], errors["SemiNMF"])
    assert errors["KMeans"] > errors["NMF"]
    concepts = PCA(6).fit(activations).dictionary
    torch.testing.assert_close(concepts @ concepts.T, torch.eye(6), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_encoding_the_same_rows_reconstructs_them_as_well_as_the_fit(kind):
    activations, _ = separable(5, 0.5, rows=200)
    factorization = kind(6)
    found = factorization.fit(activations)
    coefficients = encode(activations, found.dictionary, factorization.encoding)
    error = relative_error(activations, coefficients, found.dictionary)
    assert abs(error - found.error) < 1e-3
    assert error < 1
    if kind is not NMF:  # scikit-learn's coefficients are not quite the best
        torch.testing.assert_close(coefficients, found.coefficients, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_the_same_seed_gives_the_same_and_the_global_generators_stay(kind):
    activations, _ = separable(6, 0.5, rows=100)
    state = torch.random.get_rng_state()
    first, again = kind(5, seed=3).fit(activations), kind(5).fit(activations, seed=3)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(first.dictionary, again.dictionary)
    assert torch.equal(first.coefficients, again.coefficients)


def test_more_concepts_than_channels():
    activations = torch.rand(40, 4, generator=torch.Generator().manual_seed(0))
    for kind in ALL:
        found = kind(6).fit(activations)
        assert found.dictionary.shape == (6, 4)
        assert found.error < 0.5


def test_nmf_refuses_negative_activations_by_the_layer():
    with pytest.raises(InputError, match=r"layer blocks\.3 have negative values \(down to -0\.5\).*SemiNMF\(\)"):
        NMF(1).fit(torch.tensor([[1.0, -0.5]]), "blocks.3")


def test_nmf_says_how_to_get_scikit_learn(monkeypatch):
    original = builtins.__import__

    def missing(name, *args, **kwargs):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(InputError, match=r"scikit-learn: pip install 'lit-coiba\[concepts\]'"):
        NMF(1).fit(torch.ones(2, 2))


@pytest.mark.parametrize(
    ("activations", "text"),
    [
        (torch.ones(3, 4), "there are 3 rows of activations of layer norm for 5 concepts"),
        (torch.ones(8, 4, 2), r"activations is torch.float32 of shape \(8, 4, 2\)"),
        (torch.ones(8, 4, dtype=torch.int64), "activations is torch.int64"),
        (torch.full((8, 4), torch.nan), "layer norm have NaN"),
        (torch.zeros(8, 4), "all activations of layer norm are zero"),
    ],
)
def test_bad_activations_are_refused(activations, text):
    with pytest.raises(InputError, match=text):
        SemiNMF(5).fit(activations, "norm")


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: NMF(0), "n_concepts is 0"),
        (lambda: NMF(init="svd"), "init is 'svd'"),
        (lambda: NMF(tol=0.0), "tol is 0.0"),
        (lambda: SemiNMF(max_iter=0), "max_iter is 0"),
        (lambda: KMeans("3"), "n_concepts is '3'"),
        (lambda: PCA(seed=-1), "seed is -1"),
    ],
)
def test_bad_arguments_are_refused(build, text):
    with pytest.raises(InputError, match=text):
        build()


def test_concepts_that_are_there_are_stable_and_those_of_noise_are_not():
    planted = stability(SemiNMF(5), signed(0, rows=300, concepts=5)[0])
    noise = stability(SemiNMF(5), torch.randn(300, 64, generator=torch.Generator().manual_seed(0)))
    assert planted.cosines.shape == (2, 5)
    assert planted.mean > 0.9
    assert noise.mean < 0.8
    assert planted.mean == pytest.approx(planted.concepts.mean().item())
    with pytest.raises(InputError, match="two at least"):
        stability(SemiNMF(5), torch.ones(9, 2), seeds=(0,))


def test_matching_undoes_a_permutation_and_refuses_other_widths():
    dictionary = torch.randn(6, 9, generator=torch.Generator().manual_seed(0))
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    found = match_concepts(dictionary, 2 * dictionary[order])
    assert torch.equal(order[found.partners], torch.arange(6))
    torch.testing.assert_close(found.cosines, torch.ones(6, dtype=torch.float64))
    with pytest.raises(InputError, match=r"\(6, 9\) and \(6, 8\)"):
        match_concepts(dictionary, dictionary[:, :8])


def test_more_concepts_than_directions_are_finite():
    """The usual start divides by zero there."""
    rows = torch.zeros(12, 3)
    rows[:6, 0], rows[6:, 1] = 1.0, 2.0
    found = NMF(3).fit(rows)
    assert found.coefficients.isfinite().all()
    assert found.dictionary.isfinite().all()
    assert found.error < 1e-2
