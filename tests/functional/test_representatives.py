import pytest
import torch

from lit_coiba.functional import representatives
from tests._testers.heads import slow_representatives


def some_features(seed=0, *, shape=(3, 4, 2, 5), signed=False):
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return values if signed else values.relu()


@pytest.mark.parametrize("refine", [True, False])
@pytest.mark.parametrize(("signed", "clamp"), [(False, False), (False, True), (True, False), (True, True)])
def test_all_is_as_in_a_double_loop(refine, signed, clamp):
    features = some_features(signed=signed)
    found = representatives(features, 3, refine, clamp)
    for i, image in enumerate(features):
        slow = slow_representatives(image, 3, refine, clamp)
        assert found.seeds[i].tolist() == slow["seeds"]
        for name in ("activity", "similarities", "maps"):
            expected = torch.tensor(slow[name], dtype=torch.float64).view(3, 2, 5)
            torch.testing.assert_close(getattr(found, name)[i], expected, rtol=1e-10, atol=1e-12)
        expected = torch.tensor(slow["vectors"], dtype=torch.float64)
        torch.testing.assert_close(found.vectors[i], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("signed", "clamp"), [(False, False), (True, True)])
def test_maps_sum_to_one_and_are_not_negative(signed, clamp):
    features = some_features(shape=(8, 6, 4, 4), signed=signed).float()
    maps = representatives(features, 4, clamp=clamp).maps
    torch.testing.assert_close(maps.sum((-2, -1)), torch.ones(8, 4), rtol=0, atol=1e-6)
    assert (maps >= 0).all()


def test_clamping_changes_nothing_for_features_that_are_not_negative():
    features = some_features()
    plain, clamped = representatives(features, 3), representatives(features, 3, clamp=True)
    assert all(torch.equal(a, b) for a, b in zip(plain, clamped))


def test_clamping_keeps_blank_pixels_from_enormous_gradients():
    """The cosine to a pixel of norm 0 has a slope of 1 / epsilon; from below it is clamped."""
    features = torch.tensor([[3.0, 2.0, 0.0], [1.0, 2.0, 0.0]]).view(1, 2, 1, 3).requires_grad_()
    sizes = [
        torch.autograd.grad(representatives(features, 1, clamp=clamp).vectors.sum(), features)[0].abs().max().item()
        for clamp in (False, True)
    ]
    assert sizes[0] > 1e4
    assert sizes[1] < 10


def test_identical_pixels_give_themselves_and_a_uniform_map():
    pixel = torch.tensor([1.0, 0.0, 3.0, 2.0])
    found = representatives(pixel.view(1, 4, 1, 1).expand(1, 4, 3, 5), 1)
    torch.testing.assert_close(found.vectors[0, 0], pixel, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.maps, torch.full((1, 1, 3, 5), 1 / 15), rtol=1e-5, atol=1e-7)


def test_permuted_pixels_permute_the_maps_and_leave_the_vectors():
    features = some_features(shape=(2, 6, 3, 4))
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    found = representatives(features, 3)
    permuted = representatives(features.flatten(2)[:, :, order].unflatten(2, (3, 4)), 3)
    for name in ("maps", "similarities", "activity"):
        expected = getattr(found, name).flatten(2)[:, :, order]
        torch.testing.assert_close(getattr(permuted, name).flatten(2), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(permuted.vectors, found.vectors, rtol=1e-12, atol=1e-12)
    assert torch.equal(order[permuted.seeds], found.seeds)


def test_orthogonal_clusters_come_in_the_order_of_their_norms():
    norms = torch.tensor([2.0, 5.0, 1.0, 3.0])
    cluster = torch.tensor([0, 1, 2, 3, 1, 0, 2, 3, 3])
    features = torch.zeros(1, 4, 9)
    features[0, cluster, torch.arange(9)] = norms[cluster]
    found = representatives(features.view(1, 4, 3, 3), 4)
    assert cluster[found.seeds[0]].tolist() == [1, 3, 0, 2]
    for map, vector, number in zip(found.maps[0].flatten(1), found.vectors[0], (1, 3, 0, 2)):
        assert map[cluster != number].abs().max() <= 1e-5
        torch.testing.assert_close(vector, norms[number] * torch.eye(4)[number], rtol=1e-5, atol=1e-5)


def test_a_seed_is_suppressed_and_the_next_is_another():
    features = some_features(shape=(20, 6, 3, 3)).float() + 0.1
    found = representatives(features, 3)
    left, seeds = found.activity.flatten(2), found.seeds
    for part in (0, 1):
        after = left[:, part + 1].gather(1, seeds[:, part, None])
        assert (after <= 1e-4 * left[:, 0].gather(1, seeds[:, part, None])).all()
        assert (seeds[:, part] != seeds[:, part + 1]).all()


@pytest.mark.parametrize("refine", [True, False])
def test_gradients_are_central_differences_with_the_seeds_fixed(refine):
    features = some_features(shape=(1, 3, 2, 2)) + 0.1
    weights = some_features(1, shape=(1, 2, 3), signed=True)
    leaf = features.clone().requires_grad_()
    found = representatives(leaf, 2, refine)
    (found.vectors * weights).sum().backward()
    for index in range(features.numel()):
        sums = []
        for step in (1e-5, -1e-5):
            moved = features.clone().flatten()
            moved[index] += step
            near = representatives(moved.view_as(features), 2, refine)
            assert torch.equal(near.seeds, found.seeds)
            sums.append((near.vectors * weights).sum().item())
        assert leaf.grad.flatten()[index].item() == pytest.approx((sums[0] - sums[1]) / 2e-5, rel=1e-6, abs=1e-9)


def test_without_refining_a_vector_is_its_seed_itself():
    features = some_features(signed=True)
    found = representatives(features, 3, refine=False)
    for image, vectors, seeds in zip(features, found.vectors, found.seeds):
        assert torch.equal(vectors, image.flatten(1)[:, seeds].T)


def test_given_scores_choose_the_seeds():
    features = some_features()
    scores = torch.rand(3, 2, 2, 5, generator=torch.Generator().manual_seed(5))
    found = representatives(features, 2, scores=scores)
    assert torch.equal(found.seeds, scores.flatten(2).argmax(-1))
    assert torch.equal(found.activity, scores.double())
    assert not torch.equal(found.seeds, representatives(features, 2).seeds)


def test_a_blank_image_has_blank_maps_and_spoils_no_gradient():
    features = torch.zeros(2, 3, 2, 2)
    features[1] = some_features(shape=(3, 2, 2))
    features.requires_grad_()
    found = representatives(features, 2)
    assert found.maps[0].abs().sum() == found.vectors[0].abs().sum() == 0
    found.vectors.sum().backward()
    assert features.grad.isfinite().all()


def test_sums_are_in_single_precision_also_under_autocast():
    features = some_features(shape=(4, 32, 5, 5)).bfloat16()
    expected = representatives(features.float(), 3)
    with torch.autocast("cpu", torch.bfloat16):
        found = representatives(features, 3)
    assert all(torch.equal(a, b) for a, b in zip(found, expected))
    assert found.vectors.dtype == torch.float32


def test_a_batch_equals_its_images_one_by_one():
    features = some_features()
    together = representatives(features, 3)
    for i in range(3):
        for alone, several in zip(representatives(features[i : i + 1], 3), together):
            torch.testing.assert_close(alone[0], several[i], rtol=1e-12, atol=1e-12)
