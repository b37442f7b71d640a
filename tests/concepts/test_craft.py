"""CRAFT on tiny networks: what it reads, what it keeps, and what can be asked of what it found."""

import json

import pytest
import torch
from torch import nn

from lit_coiba.backbones import Backbone
from lit_coiba.concepts import CRAFT, NMF, PCA, Concepts, KMeans, SemiNMF, encode
from lit_coiba.concepts.crops import crop, crop_boxes
from lit_coiba.concepts.row_sample import RowSample
from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.functional import resize_map
from tests._testers import tiny


def test_crops_overlap_by_a_fifth():
    assert len(crop_boxes((224, 224), 64)) == 16
    assert len(crop_boxes((224, 224), 80)) == 9
    assert len(crop_boxes((32, 48), 16)) == 2 * 3
    assert len(crop_boxes((16, 16), 16)) == 1
    image = torch.rand(2, 3, 16, 16)
    assert torch.equal(crop(image, crop_boxes((16, 16), 16)), image)


def test_rows_are_pooled_activations_of_the_crops_of_the_images_of_the_class(relu_net, images, cls, concepts):
    numbers = (relu_net(images).argmax(1) == cls).nonzero().flatten()
    boxes = crop_boxes((32, 32), 16)
    with torch.no_grad():
        pooled = relu_net.model[:4](crop(images[numbers], boxes)).mean((2, 3))
    assert torch.equal(concepts.images, numbers.repeat_interleave(len(boxes)))
    assert torch.equal(concepts.places, torch.arange(len(boxes)).repeat(len(numbers)))
    assert (concepts.about.used, concepts.about.seen) == (len(numbers), 24)
    direct = NMF(4).fit(pooled, "3")
    torch.testing.assert_close(concepts.dictionary, direct.dictionary, rtol=1e-3, atol=1e-3)
    assert concepts.about.error == pytest.approx(direct.error, abs=1e-4)
    assert json.loads(concepts.about.factorization)["class"] == "NMF"


def test_the_batches_of_the_stream_and_of_the_crops_make_no_difference(relu_net, images, cls, concepts):
    stream = ((part, "anything") for part in images.split(5))
    again = CRAFT(NMF(4), layer="3", crop_size=16, batch_size=3).fit(relu_net, stream, cls)
    assert torch.equal(again.images, concepts.images)
    torch.testing.assert_close(again.dictionary, concepts.dictionary, rtol=1e-3, atol=1e-3)


def test_the_model_is_left_as_it_was(relu_net, images, cls, concepts):
    relu_net.train()
    state = torch.random.get_rng_state()
    before = {name: value.clone() for name, value in relu_net.state_dict().items()}
    CRAFT(NMF(2), layer="3", crop_size=16).fit(relu_net, images, cls)
    concepts.importance(relu_net, images)
    assert relu_net.training
    assert all(parameter.requires_grad for parameter in relu_net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in relu_net.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), state)
    relu_net.eval()


def test_transform_encodes_places_and_maps_resize_them(relu_net, images, concepts):
    with torch.no_grad():
        activation = relu_net.model[:4](images)
    found = concepts.transform(relu_net, images)
    expected = encode(activation.movedim(1, -1), concepts.dictionary).movedim(-1, 1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert not found.requires_grad
    maps = concepts.maps(relu_net, images)
    assert maps.shape == (24, 4, 32, 32)
    torch.testing.assert_close(maps[:, 1], resize_map(found[:, 1], (32, 32)))
    assert concepts.maps(relu_net, images[:2], (5, 7)).shape == (2, 4, 5, 7)


def test_the_closed_form_is_what_the_sobol_indices_are_estimates_of(relu_net, images, cls, concepts):
    exact = concepts.importance(relu_net, images)
    estimated = concepts.importance(relu_net, images, n_samples=512, closed_form=False, chunk=100)
    assert (exact.exact, estimated.exact) == (1, 0)
    assert (exact.total - estimated.total).abs().max() < 0.05
    assert exact.images == concepts.about.used
    chosen = images[relu_net(images).argmax(1) == cls]
    weights = relu_net.model[-1].weight[cls].detach()
    contributions = concepts.transform(relu_net, chosen).mean((2, 3)) * (concepts.dictionary @ weights)
    squares = contributions.square()
    torch.testing.assert_close(
        exact.total.float(), (squares / squares.sum(1, keepdim=True)).mean(0), rtol=1e-3, atol=1e-4
    )
    share = contributions.mean(0) / contributions.mean(0).sum()
    torch.testing.assert_close(exact.share.float(), share, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(exact.sign.float(), (concepts.dictionary @ weights).sign())
    assert exact.share.sum().item() == pytest.approx(1)


def test_scale_and_order_of_the_concepts_make_no_difference(relu_net, images, concepts):
    order, scale = torch.tensor([2, 0, 3, 1]), torch.tensor([0.1, 3.0, 1.0, 20.0])
    other = Concepts(
        concepts.about, (concepts.dictionary * scale[:, None])[order], (concepts.coefficients / scale)[:, order],
        concepts.images, concepts.places,
    )  # fmt: skip
    for closed_form in (True, False):
        one, two = (c.importance(relu_net, images, 256, closed_form=closed_form) for c in (concepts, other))
        tolerance = 1e-4 if closed_form else 0.05  # another permutation is another design
        torch.testing.assert_close(two.total, one.total[order], rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(two.share, one.share[order], rtol=1e-3, atol=1e-4)
    found, scaled = concepts.transform(relu_net, images), other.transform(relu_net, images)
    torch.testing.assert_close(scaled, (found / scale[:, None, None])[:, order], rtol=1e-3, atol=1e-4)


def test_a_head_that_is_not_linear_is_estimated(relu_net, images, cls):
    concepts = CRAFT(SemiNMF(3), layer="1", tokens=True).fit(relu_net, images, cls)
    found = concepts.importance(relu_net, images, n_samples=64)
    assert found.exact < 1
    assert found.total.sum() > 0.9
    assert found.total.isfinite().all()
    assert (found.standard_error >= 0).all()


def test_images_without_any_concept_have_finite_maps_and_no_importance(relu_net):
    torch.manual_seed(1)
    module = nn.Sequential(nn.Conv2d(3, 6, 4, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2))
    nn.init.constant_(module[0].bias, -1.0)
    model = Backbone.wrap(module, Preprocessing((32, 32), 1.0, "bilinear", (0.5,) * 3, (0.5,) * 3)).eval()
    images = 4 * tiny.images(8, (32, 32))
    cls = int(model(torch.zeros(1, 3, 32, 32)).argmax())
    concepts = CRAFT(NMF(2), layer="1", crop_size=16).fit(model, images, cls)
    empty = torch.zeros(2, 3, 32, 32)
    assert (concepts.maps(model, empty) == 0).all()
    for closed_form in (True, False):
        found = concepts.importance(model, empty, closed_form=closed_form)
        assert (found.total == 0).all()
        assert (found.share == 0).all()
        assert (found.sign.abs() <= 1).all()


@pytest.mark.parametrize("factorization", [SemiNMF(4), PCA(4), KMeans(4)], ids=lambda one: type(one).__name__)
def test_tokens_of_a_transformer(factorization):
    model = tiny.vit()
    images = tiny.images(12, (32, 32))
    cls = int(model(images).argmax(1).mode().values)
    concepts = CRAFT(factorization, layer="blocks.3", tokens=True).fit(model, images, cls)
    assert len(concepts.images) == 16 * concepts.about.used
    assert concepts.about.crop_size == 0
    assert concepts.transform(model, images).shape == (12, 4, 4, 4)
    found = concepts.importance(model, images, n_samples=16)
    assert found.total.isfinite().all()
    assert found.exact == 0
    split = model.split(["blocks.3"])
    first = split.grids[0].to_spatial(split.lower(images[concepts.images[:1]]).activation).flatten(2)[0].T
    expected = encode(first, concepts.dictionary, factorization.encoding)
    torch.testing.assert_close(concepts.coefficients[:16], expected, rtol=1e-2, atol=1e-2)


def test_strongest_rows_come_first(concepts):
    rows = concepts.strongest(1, 5)
    values = concepts.coefficients[rows, 1]
    assert (values.diff() <= 0).all()
    assert values[0] == concepts.coefficients[:, 1].max()
    with pytest.raises(InputError, match="concept 4 does not exist: give 0 to 3"):
        concepts.strongest(4)


def test_a_sample_of_the_rows_is_bounded_and_does_not_depend_on_the_batches():
    values, numbers = torch.arange(600.0).view(30, 10, 2), torch.arange(30)
    kept = []
    for size in (30, 7, 1):
        sample = RowSample(100, seed=3)
        for some, names in zip(values.split(size), numbers.split(size)):
            sample.add(some, names)
            assert len(sample.rows().values) <= 100
        kept.append(sample.rows())
    for other in kept[1:]:
        assert all(torch.equal(one, two) for one, two in zip(kept[0], other))
    rows = kept[0]
    assert len(rows.values) == 100
    assert torch.equal(rows.values, values[rows.images, rows.places])
    assert rows.images.unique().numel() > 20
    assert (rows.images * 10 + rows.places).diff().min() > 0
    assert RowSample(5, 0).rows() is None


def test_a_fit_keeps_no_more_than_max_rows(relu_net, images, cls):
    found = CRAFT(NMF(3), layer="3", crop_size=8, max_rows=30).fit(relu_net, images, cls)
    assert found.coefficients.shape == (30, 3)
    assert found.images.shape == found.places.shape == (30,)
