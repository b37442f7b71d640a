"""Semi-NMF and the k-means it starts from (checks 6 and 7 of the specification of CRAFT)."""

import torch
from sklearn.decomposition import NMF

from lit_coiba.functional.k_means import k_means, nearest
from lit_coiba.functional.semi_nmf import semi_nmf


def test_error_never_grows():
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(80, 12, generator=generator, dtype=torch.float64)
    errors = semi_nmf(rows, torch.rand(80, 4, generator=generator), iterations=40, tolerance=0.0).errors
    assert len(errors) > 10
    assert (errors.diff() <= 1e-12).all()


def test_from_the_solution_of_nmf_it_is_no_worse_than_that():
    generator = torch.Generator().manual_seed(1)
    rows = torch.rand(100, 16, generator=generator, dtype=torch.float64)
    model = NMF(5, init="nndsvda", random_state=0, max_iter=5000)
    start = torch.from_numpy(model.fit_transform(rows.numpy()))
    before = (rows - start @ torch.from_numpy(model.components_)).norm() / rows.norm()
    assert semi_nmf(rows, start).errors[-1] <= before + 1e-12


def test_coefficients_that_nobody_uses_stay_finite():
    rows = torch.randn(30, 6, generator=torch.Generator().manual_seed(2))
    start = torch.rand(30, 3, generator=torch.Generator().manual_seed(3))
    start[:, 1] = 0
    found = semi_nmf(rows, start)
    assert found.coefficients.isfinite().all()
    assert found.dictionary.isfinite().all()


def test_k_means_finds_clusters_that_are_far_apart():
    centers = 20 * torch.eye(5, 8)
    noise = torch.randn(200, 8, generator=torch.Generator().manual_seed(0))
    centroids, members = k_means(centers.repeat(40, 1) + noise, 5, seed=4)
    found = nearest(centers, centroids.float())[0]
    assert sorted(found.tolist()) == list(range(5))
    assert torch.equal(members, found.repeat(40))


def test_k_means_is_keyed_by_its_seed_and_leaves_the_global_generator_alone():
    rows = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    state = torch.random.get_rng_state()
    first, again, other = k_means(rows, 6, 1)[0], k_means(rows, 6, 1)[0], k_means(rows, 6, 2)[0]
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_k_means_keeps_as_many_clusters_as_there_are_different_rows():
    rows = torch.arange(4.0).repeat(5).unsqueeze(1)
    centroids, members = k_means(rows, 4)
    assert sorted(centroids.flatten().tolist()) == [0.0, 1.0, 2.0, 3.0]
    assert members.unique().numel() == 4
    assert k_means(torch.ones(6, 2), 3)[0].isfinite().all()
