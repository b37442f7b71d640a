"""A dictionary of all classes: its file, what it says of new images, and how dictionaries compare."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from lit_coiba.attribution import GradCAM, Saliency
from lit_coiba.bottlenecks.statistics import describe_preprocessing
from lit_coiba.concepts import (
    NMF,
    Concept,
    ConceptDictionary,
    ConceptNetwork,
    Factors,
    SemiNMF,
    SparseAutoencoder,
    dictionary_score,
    dictionary_table,
)
from lit_coiba.concepts.dictionary_file import DIGEST, HEADER, DictionaryHeader
from lit_coiba.core.errors import InputError
from tests._testers import tiny

LAYER = "layer2"


def made(model, layer=LAYER, k=3, selection="topk"):
    """A dictionary that nobody trained."""
    autoencoder = SparseAutoencoder(model.grid(layer).channels, n_concepts=40, k=k, selection=selection, seed=1)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        autoencoder.pre_bias.copy_(0.1 * torch.randn(autoencoder.pre_bias.shape, generator=generator))
        autoencoder.encoder_bias.copy_(0.1 * torch.randn(autoencoder.encoder_bias.shape, generator=generator))
    about = DictionaryHeader(
        layer, model.digest(), describe_preprocessing(model), k, selection, 0, 100, 0.5, float(k), 0.25
    )
    return ConceptDictionary(about, autoencoder.eval().requires_grad_(False), torch.rand(40, generator=generator))


@pytest.fixture(scope="module")
def model():
    return tiny.resnet()


@pytest.fixture(scope="module")
def concepts(model):
    return made(model)


@pytest.fixture(scope="module")
def images(model):
    return tiny.images(6, model.preprocessing.size)


def test_coefficients_are_those_of_each_place(model, concepts, images):
    split = model.split([LAYER])
    with torch.no_grad():
        spatial = split.grids[0].to_spatial(split.lower(images).activation)
    found = concepts.transform(model, images)
    assert found.shape == (6, 40, 8, 8)
    encoder = concepts.autoencoder
    for image, row, column in ((0, 0, 0), (3, 5, 2)):
        dense = (encoder.encoder @ (spatial[image, :, row, column] - encoder.pre_bias) + encoder.encoder_bias).relu()
        least = dense.sort().values[-3]
        expected = torch.where(dense >= least, dense, 0)
        torch.testing.assert_close(found[image, :, row, column], expected, rtol=1e-4, atol=1e-5)
    assert concepts.maps(model, images).shape == (6, 40, 64, 64)


def test_any_method_explains_a_concept(model, concepts, images):
    network = concepts.network(model)
    assert network.num_classes == 40
    assert network.encoding == "sparse"
    torch.testing.assert_close(network(images), concepts.transform(model, images).mean((2, 3)))
    for method in (Saliency(), GradCAM()):
        maps = method.attribute(network, images, Concept("strongest"))
        assert maps.isfinite().all()
        assert (maps.abs().amax((1, 2)) > 0).all()
    assert not any(parameter.requires_grad for parameter in network.autoencoder.parameters())
    other = ConceptNetwork(model, LAYER, concepts.dictionary, made(model, k=4).autoencoder)
    plain = ConceptNetwork(model, LAYER, concepts.dictionary)
    assert len({network.digest(), other.digest(), plain.digest()}) == 3
    assert network.digest() == concepts.network(model).digest()


def test_the_gradient_of_a_concept_is_that_of_finite_differences(model, concepts, images):
    network = concepts.network(model).double()
    try:
        few = images[:2].double()
        leaf = few.clone().requires_grad_()
        concept = int(network(few)[0].argmax())
        (gradient,) = torch.autograd.grad(network(leaf)[:, concept].sum(), leaf)
        direction = torch.randn(few.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        direction /= direction.norm()
        step = 1e-7
        with torch.no_grad():
            up, down = (network(few + sign * step * direction)[:, concept].sum() for sign in (1, -1))
        torch.testing.assert_close((gradient * direction).sum(), (up - down) / (2 * step), rtol=1e-4, atol=1e-9)
    finally:
        model.float()


def test_importance_has_the_closed_form_where_a_linear_layer_follows(model, images):
    concepts = made(model, "layer4")
    cls = int(model(images).argmax(1).mode().values)
    chosen = images[model(images).argmax(1) == cls]
    others = images[model(images).argmax(1) != cls]
    found = concepts.importance(model, [others, chosen] if len(others) else [chosen], cls)
    assert found.exact == 1
    assert found.images == len(chosen)
    coefficients = concepts.transform(model, chosen).mean((2, 3)).double()
    weights = (model.model.get_classifier().weight[cls] @ concepts.dictionary.T).double().detach()
    parts = coefficients * weights
    expected = (parts.square() / parts.square().sum(1, keepdim=True)).mean(0)
    torch.testing.assert_close(found.total, expected, rtol=1e-3, atol=1e-5)
    with pytest.raises(InputError, match="none of the images the class"):
        concepts.importance(model, chosen, (cls + 1) % 10)


def test_strongest_images_are_those_of_a_full_sort(model, concepts, images):
    whole = concepts.transform(model, images).flatten(2)
    found = concepts.strongest(model, [images[:4], (images[4:], None)], count=2)
    assert found.strengths.shape == (40, 2)
    peaks, cells = whole.max(-1)
    for concept in range(40):
        order = [i for i in peaks[:, concept].argsort(descending=True, stable=True).tolist() if peaks[i, concept] > 0]
        expected = [*order, -1, -1][:2]
        assert found.samples[concept].tolist() == expected
        for image, cell in zip(expected, found.cells[concept].tolist()):
            assert cell == (int(cells[image, concept]) if image >= 0 else -1)
    with pytest.raises(InputError, match="images is empty"):
        concepts.strongest(model, [])


@pytest.mark.parametrize("selection", ["topk", "batch_topk"])
def test_a_file_comes_back_as_it_was(model, images, tmp_path, selection):
    concepts = made(model, selection=selection)
    concepts.save(tmp_path / "a" / "c.safetensors")
    again = ConceptDictionary.load(tmp_path / "a" / "c.safetensors")
    assert again.digest() == concepts.digest()
    assert again.about == concepts.about
    assert torch.equal(again.frequency, concepts.frequency)
    assert torch.equal(again.transform(model, images), concepts.transform(model, images))
    with pytest.raises(InputError, match="belong to another model"):
        again.transform(tiny.vit(), images)


def altered(file, change, header=None):
    """The file with other tensors or another header, its digest left as it was."""
    tensors, concepts = load_file(file), ConceptDictionary.load(file)
    about = json.loads(json.dumps({name: getattr(concepts.about, name) for name in concepts.about.__struct_fields__}))
    tensors = change(tensors)
    save_file(tensors, file, {HEADER: json.dumps({**about, **(header or {})}), DIGEST: concepts.digest()})


@pytest.mark.parametrize(
    ("change", "header", "sentence"),
    [
        (lambda t: {**t, "encoder": t["encoder"] + 1e-3}, None, "damaged, since its content is not what its digest"),
        (lambda t: {**t, "encoder": t["encoder"][:5].clone()}, None, "do not go together"),
        (lambda t: {**t, "frequency": t["frequency"][:5].clone()}, None, "do not go together"),
        (lambda t: {**t, "more": t["encoder"].clone()}, None, "do not go together"),
        (lambda t: {**t, "encoder_bias": t["encoder_bias"] / 0}, None, "numbers that are not finite"),
        (lambda t: {n: v for n, v in t.items() if n != "dictionary"}, None, "not written by this version"),
        (lambda t: {**t, "dictionary": t["dictionary"][0].clone()}, None, "its dictionary has shape"),
        (lambda t: t, {"k": 41}, "k is 41, but there are 40 concepts"),
        (lambda t: t, {"k": 0}, "not written by this version"),
        (lambda t: t, {"selection": "most"}, "not written by this version"),
        (lambda t: t, {"layer": "layer3"}, "damaged"),
    ],
)
def test_a_damaged_file_is_refused_in_a_sentence(concepts, tmp_path, change, header, sentence):
    file = tmp_path / "c.safetensors"
    concepts.save(file)
    altered(file, change, header)
    with pytest.raises(InputError, match=sentence) as refused:
        ConceptDictionary.load(file)
    assert "\n" not in str(refused.value)
    assert str(file) in str(refused.value)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        ConceptDictionary.load(tmp_path / "none.safetensors")
    save_file({"a": torch.ones(1)}, tmp_path / "a.safetensors")
    with pytest.raises(InputError, match="was not written by this version of lit-coiba: train one with"):
        ConceptDictionary.load(tmp_path / "a.safetensors")
    (tmp_path / "b.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match="cannot be read"):
        ConceptDictionary.load(tmp_path / "b.safetensors")


def test_scores_of_dictionaries_are_those_by_hand():
    rows = torch.rand(30, 6, generator=torch.Generator().manual_seed(0))
    autoencoder = SparseAutoencoder(6, n_concepts=9, k=2)
    with torch.no_grad():
        coefficients = autoencoder.encode(rows)
        made = autoencoder.decode(coefficients)
    one = dictionary_score("SAE", (rows, autoencoder))
    assert one.error == pytest.approx(float((rows - made).norm() / rows.norm()), rel=1e-5)
    assert one.l0 == pytest.approx(float((coefficients > 0).sum() / 30))
    assert one.dead == pytest.approx(float((coefficients.sum(0) == 0).double().mean()))
    assert (one.concepts, one.rows) == (9, 30)
    factors = NMF(3, max_iter=500).fit(rows)
    assert dictionary_score("NMF", (rows, factors)).error == pytest.approx(factors.error, abs=2e-3)
    parts = [(rows[:10], SemiNMF(2).fit(rows[:10])), (rows[10:], SemiNMF(2).fit(rows[10:]))]
    both = dictionary_score("Semi|NMF", *parts)
    errors = [dictionary_score("", part).error * part[0].norm() for part in parts]
    assert both.error == pytest.approx(float(torch.stack(errors).norm() / rows.norm()), rel=1e-5)
    assert (both.concepts, both.rows) == (4, 30)
    lines = dictionary_table([one, both]).splitlines()
    assert len(lines) == 4
    assert all(line.count("|") == 7 for line in lines)


def test_factors_encode_other_rows():
    factors = Factors(torch.eye(2), torch.eye(2), 0.0, "linear")
    rows = torch.tensor([[1.0, -2.0]])
    assert torch.equal(factors.decode(factors.encode(rows)), rows)
