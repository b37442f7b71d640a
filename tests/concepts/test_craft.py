"""CRAFT on tiny networks: what it reads, what it keeps, what it refuses, and what comes back from a file."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from lit_coiba.backbones import Backbone
from lit_coiba.concepts import CRAFT, NMF, PCA, Concepts, KMeans, SemiNMF, encode
from lit_coiba.concepts.crops import crop, crop_boxes
from lit_coiba.concepts.row_sample import RowSample
from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.functional import resize_map
from tests._testers import tiny


@pytest.fixture(scope="module")
def relu_net():
    """Convolutions and ReLUs, global average pooling and a linear layer."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 8, 4, 4), nn.ReLU(), nn.Conv2d(8, 12, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(12, 3),
    )  # fmt: skip
    tiny.randomise(module, 0)
    return Backbone.wrap(module, Preprocessing((32, 32), 1.0, "bilinear", (0.5,) * 3, (0.5,) * 3)).eval()


@pytest.fixture(scope="module")
def images():
    return tiny.images(24, (32, 32))


@pytest.fixture(scope="module")
def cls(relu_net, images):
    return int(relu_net(images).argmax(1).mode().values)


@pytest.fixture(scope="module")
def concepts(relu_net, images, cls):
    return CRAFT(NMF(4), layer="3", crop_size=16).fit(relu_net, images, cls)


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


class TestFile:
    def test_gives_back_what_was_saved(self, relu_net, images, concepts, tmp_path):
        concepts.save(tmp_path / "deeper" / "one.safetensors")
        again = Concepts.load(tmp_path / "deeper" / "one.safetensors")
        assert again.about == concepts.about
        assert again.digest() == concepts.digest()
        assert torch.equal(again.transform(relu_net, images), concepts.transform(relu_net, images))
        again.save(tmp_path / "two.safetensors")
        first, second = (tmp_path / name for name in ("deeper/one.safetensors", "two.safetensors"))
        assert first.read_bytes() == second.read_bytes()

    def test_another_model_is_refused(self, images, concepts):
        other = tiny.resnet()
        with pytest.raises(InputError, match="the concepts belong to another model or other weights"):
            concepts.transform(other, images)
        with pytest.raises(InputError, match="other weights"):
            concepts.importance(other, images)

    def test_another_preprocessing_is_refused(self, relu_net, images, concepts):
        other = Backbone.wrap(relu_net.model, Preprocessing((32, 32), 1.0, "bilinear", (0.4,) * 3, (0.5,) * 3)).eval()
        assert other.digest() == relu_net.digest()
        with pytest.raises(InputError, match="another preprocessing"):
            concepts.transform(other, images)

    def test_damage_is_found(self, concepts, tmp_path):
        file = tmp_path / "concepts.safetensors"
        concepts.save(file)
        content = bytearray(file.read_bytes())
        content[-3] ^= 1
        file.write_bytes(content)
        with pytest.raises(InputError, match="is damaged"):
            Concepts.load(file)

    @pytest.mark.parametrize(
        ("change", "text"),
        [
            (lambda t: t.pop("places"), "was not written by this version"),
            (lambda t: t.update(more=torch.ones(1)), "do not go together"),
            (lambda t: t.update(dictionary=t["dictionary"][:2]), "do not go together"),
            (lambda t: t.update(images=t["images"].float()), "no whole numbers"),
            (lambda t: t.update(dictionary=t["dictionary"] * torch.nan), "not finite"),
        ],
    )
    def test_what_no_fit_gives_is_refused(self, concepts, tmp_path, change, text):
        from safetensors import safe_open

        file = tmp_path / "concepts.safetensors"
        concepts.save(file)
        with safe_open(file, "pt") as opened:
            metadata = opened.metadata()
        tensors = load_file(file)
        change(tensors)
        save_file(tensors, file, metadata)
        with pytest.raises(InputError, match=text):
            Concepts.load(file)

    def test_other_files_are_refused(self, tmp_path):
        with pytest.raises(InputError, match=r"concepts: .*nothing.safetensors does not exist"):
            Concepts.load(tmp_path / "nothing.safetensors")
        save_file({"a": torch.ones(1)}, tmp_path / "other.safetensors")
        with pytest.raises(InputError, match="was not written by this version of lit-coiba"):
            Concepts.load(tmp_path / "other.safetensors")


class TestRefusals:
    def test_negative_activations(self):
        model, images = tiny.vit(), tiny.images(4, (32, 32))
        with pytest.raises(InputError, match=r"activations of layer blocks\.3 have negative values .* use SemiNMF\(\)"):
            CRAFT(NMF(2), layer="blocks.3", tokens=True).fit(model, images, int(model(images)[0].argmax()))

    def test_no_image_of_the_class(self, relu_net, images, concepts, cls):
        other = next(c for c in range(3) if c != cls)
        some = images[relu_net(images).argmax(1) == cls]
        with pytest.raises(InputError, match=f"the model gives class {other} to none of the {len(some)} images"):
            CRAFT(NMF(2), layer="3").fit(relu_net, some, other)
        with pytest.raises(InputError, match="gives none of the images the class"):
            concepts.importance(relu_net, images[relu_net(images).argmax(1) != cls])
        with pytest.raises(InputError, match="to no image: there is none"):
            CRAFT(NMF(2), layer="3").fit(relu_net, [], cls)

    @pytest.mark.parametrize("wrong", [-1, 3, True, "0"])
    def test_a_class_that_there_is_not(self, relu_net, images, wrong):
        with pytest.raises(InputError, match="give the number of a class, 0 to 2"):
            CRAFT(NMF(2), layer="3").fit(relu_net, images, wrong)

    def test_too_few_rows_and_a_layer_that_there_is_not(self, relu_net, images, cls):
        with pytest.raises(InputError, match="rows of activations of layer 3 for 500 concepts: give more images"):
            CRAFT(NMF(500), layer="3").fit(relu_net, images, cls)
        with pytest.raises(InputError, match="layer9"):
            CRAFT(NMF(2), layer="layer9").fit(relu_net, images, cls)
        with pytest.raises(InputError, match="crop_size is 33, and the images have 32 x 32 pixels"):
            CRAFT(NMF(2), layer="3", crop_size=33).fit(relu_net, images, cls)

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            ({"factorization": "nmf"}, r"give an object, such as NMF\(20\)"),
            ({"crop_size": 0}, "crop_size is 0"),
            ({"crop_size": 8, "tokens": True}, "both set"),
            ({"max_rows": 0}, "max_rows is 0"),
            ({"batch_size": "8"}, "batch_size is '8'"),
            ({"seed": -1}, "seed is -1"),
        ],
    )
    def test_bad_arguments(self, arguments, text):
        with pytest.raises(InputError, match=text):
            CRAFT(**arguments)
