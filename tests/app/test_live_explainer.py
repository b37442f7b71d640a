"""What the page shows, without a page: classes, maps, decisions, concepts, and what is refused."""

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file, save_model

from lit_coiba.app.live_explainer import CHEAP, Candidate, LiveExplainer, line_of
from lit_coiba.app.models import model_named, models_of
from lit_coiba.attribution import GradCAM
from lit_coiba.attribution.presets import columns
from lit_coiba.concepts import CRAFT, SemiNMF
from lit_coiba.core.errors import InputError
from lit_coiba.data.in_hand import load_images
from lit_coiba.data.synthetic import SyntheticPartsDataset
from lit_coiba.pictures.overlay import overlay
from tests._testers import tiny

NUMBERS = [f"class {index}" for index in range(20)]


@pytest.fixture(scope="module")
def cnn():
    return model_named("synthetic_parts_cnn").eval()


@pytest.fixture(scope="module")
def picture():
    return SyntheticPartsDataset("val").image(0)


@pytest.fixture(scope="module")
def live(cnn):
    return LiveExplainer({"cnn": cnn, "vit": tiny.vit()}, ["grad_cam", "saliency", "attn_lrp", "rise:n_samples=16"])


def test_classes_are_the_most_probable_ones_by_name(live, cnn, picture, tmp_path):
    found = live.look(picture, "cnn", top=3)
    with torch.no_grad():
        probabilities = cnn(load_images(picture, cnn)).softmax(-1)[0]
    order = probabilities.argsort(descending=True)[:3].tolist()
    assert [one.number for one in found.classes] == order
    assert [one.probability for one in found.classes] == pytest.approx(probabilities[order].tolist(), abs=1e-5)
    assert [one.name for one in found.classes] == [(cnn.class_names or NUMBERS)[index] for index in order]
    assert found.picture.size == (64, 64)
    picture.save(tmp_path / "a.png")
    assert live.look(tmp_path / "a.png", "cnn", top=3).classes == found.classes


def test_methods_are_those_that_the_model_can_be_explained_by(live):
    assert live.methods("cnn") == ["grad_cam", "saliency", "rise n_samples=16"]
    assert live.methods("vit") == ["grad_cam", "saliency", "attn_lrp", "rise n_samples=16"]
    assert len(columns(list(CHEAP))) == len(CHEAP)


def test_maps_are_overlays_of_the_chosen_class(live, cnn, picture):
    found = live.explain(picture, "cnn", ["grad_cam", "rise n_samples=16"], target=4)
    assert found.target.number == 4
    assert [one.caption.split(",")[0] for one in found.maps] == ["grad_cam", "rise n_samples=16"]
    expected = overlay(picture, GradCAM().attribute(cnn, load_images(picture, cnn), 4), cnn)
    assert np.array_equal(np.asarray(found.maps[0].picture), np.asarray(expected))
    assert found.decision == found.concepts == []
    assert found.notes == []
    first = live.explain(picture, "cnn", ["saliency"])
    assert first.target == live.look(picture, "cnn").classes[0]


def test_a_method_that_fails_is_a_sentence_and_the_others_are_shown(live, picture):
    found = live.explain(picture, "cnn", ["attn_lrp", "saliency"])
    assert len(found.maps) == 1
    (note,) = found.notes
    assert note.startswith("attn_lrp: AttnLRP")


def test_a_head_that_explains_itself_shows_its_units():
    live = LiveExplainer({"head": tiny.infodisent()}, ["head_attribution"])
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8))
    found = live.explain(picture, "head", [])
    assert 1 <= len(found.decision) <= 4
    assert all("to the logit" in one.caption for one in found.decision)
    assert live.explain(picture, "head", [], decision=False).decision == []
    other = LiveExplainer({"head": tiny.infodisent()}, ["head_attribution"], prototypes="none")
    assert other.explain(picture, "head", []).notes[0].startswith("decision: ")


def test_concepts_of_the_class_are_shown_with_what_they_add(cnn, picture, tmp_path):
    dataset = SyntheticPartsDataset("val")
    images = cnn.normalize(dataset.batch(range(40)) / 255)
    cls = int(cnn(load_images(picture, cnn)).argmax())
    (tmp_path / "deep" / "er").mkdir(parents=True)
    CRAFT(SemiNMF(3), layer="layer2", tokens=True).fit(cnn, images, cls).save(tmp_path / "deep/er/c.safetensors")
    save_file({"a": torch.ones(1)}, tmp_path / "other.safetensors")
    live = LiveExplainer({"cnn": cnn}, ["saliency"], concepts=[str(tmp_path)])
    found = live.explain(picture, "cnn", [])
    assert 1 <= len(found.concepts) <= 3
    assert all("of layer2" in one.caption for one in found.concepts)
    assert live.explain(picture, "cnn", [], target=(cls + 1) % 20).concepts == []
    file = tmp_path / "deep/er/c.safetensors"
    with pytest.raises(InputError, match="no concepts"):
        LiveExplainer({"cnn": cnn}, ["saliency"], concepts=[str(tmp_path / "other.safetensors")])
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    (tmp_path / "bad.safetensors").write_bytes(content)
    damaged = LiveExplainer({"cnn": cnn}, ["saliency"], concepts=[str(tmp_path / "bad.safetensors")])
    assert "damaged" in damaged.explain(picture, "cnn", []).notes[0]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda live, picture: live.look(picture, "none"), "there is no model none here: choose one of cnn, vit"),
        (lambda live, picture: live.look(None, "cnn"), "there is no picture"),
        (lambda live, picture: live.look("none.png", "cnn"), "none.png cannot be read"),
        (lambda live, picture: live.look(Image.new("RGB", (10_000, 6_000)), "cnn"), "10000 x 6000 pixels"),
        (lambda live, picture: live.explain(picture, "cnn", ["coiba"]), "coiba is not offered"),
        (lambda live, picture: live.explain(picture, "cnn", [], target=20), "target is 20"),
        (lambda live, picture: live.explain(picture, "cnn", [], target="cat"), "target is cat: give the number"),
        (lambda live, picture: LiveExplainer({}, ["saliency"]), "models is empty"),
        (lambda live, picture: LiveExplainer({"a": None}, []), "methods is empty"),
        (lambda live, picture: LiveExplainer({"a": None}, ["grdcam"]), "is no method"),
        (lambda live, picture: LiveExplainer({"a": None}, concepts=["nowhere"]), "nowhere does not exist"),
    ],
)
def test_what_cannot_be_is_one_sentence(live, picture, call, sentence):
    with pytest.raises(InputError, match=sentence) as refused:
        call(live, picture)
    assert "\n" not in str(refused.value)


def test_lines():
    assert line_of(Candidate(0, "cat", 0.25)) == "cat, 25%"


def test_models_by_words(tmp_path):
    found = models_of(["synthetic_parts_cnn", "configs/model/synthetic_parts_vit.yaml"])
    assert list(found) == ["synthetic_parts_cnn", "synthetic_parts_vit"]
    assert not any(model.training for model in found.values())
    weights = tmp_path / "w.safetensors"
    save_model(tiny.Backbone("mobilenetv3_small_050").model, str(weights))
    assert model_named(f"mobilenetv3_small_050={weights}").num_classes == 1000
    config, more = tmp_path / "a.yaml", tmp_path / "more.safetensors"
    save_model(tiny.Backbone("resnet10t", num_classes=3).model, str(more))
    config.write_text(
        f"model:\n  backbone: {{name: resnet10t, checkpoint: '{more}', image_size: 64, num_classes: 3}}\n"
    )
    found = model_named(str(config))
    assert (found.preprocessing.size, found.num_classes) == ((64, 64), 3)
    with pytest.raises(InputError, match=r"set num_classes: 3.*configuration, FILE\.yaml"):
        model_named(f"resnet10t={more}")


@pytest.mark.parametrize(
    ("word", "content", "sentence"),
    [
        ("resnet50", None, r"neither a file nor a shipped model \(.*synthetic_parts_vit\)"),
        (
            "readout_coiba_synthetic_parts_vit",
            None,
            r"neither a file nor a shipped model \(br_npa.*, synthetic_parts_vit\)",
        ),
        ("resnet10t=none.pth", None, "none.pth does not exist"),
        ("none.yaml", None, "none.yaml"),
        ("a.yaml", "data: 1", "has no model.backbone"),
        ("a.yaml", "model: {backbone: {name: resnet10t}}", "names no weights"),
        ("a.yaml", "model: {backbone: {name: resnet10t, pretrained: true}}", "would be downloaded"),
        ("a.yaml", "model: {backbone: {nam: resnet10t}}", "nam"),
        ("a.yaml", "model: [", "has no model.backbone"),
    ],
)
def test_models_that_cannot_be(tmp_path, monkeypatch, word, content, sentence):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / word).write_text(content)
    with pytest.raises(InputError, match=sentence) as refused:
        models_of([word])
    assert "\n" not in str(refused.value)


def test_models_come_once():
    with pytest.raises(InputError, match="synthetic_parts_cnn comes twice"):
        models_of(["synthetic_parts_cnn", "synthetic_parts_cnn"])
    with pytest.raises(InputError, match="models is empty"):
        models_of([])
