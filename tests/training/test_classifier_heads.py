"""A classifier with an interpretable head: training, what stays as it is, checkpoints, and what is explained."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint

from lit_coiba.attribution import HeadAttribution, Saliency
from lit_coiba.backbones import Backbone
from lit_coiba.callbacks import ExportWeights
from lit_coiba.core.errors import InputError
from lit_coiba.heads import BRNPAHead, InfoDisentHead, LinearHead
from lit_coiba.modules.explainer import Explainer
from lit_coiba.training.classifier import Classifier
from tests.training.test_classifier import CLASSES, Colours, colours, fit, resnet, scalars, vit

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*LeafSpec.*")

HEADS = {
    "linear": LinearHead,
    "infodisent": InfoDisentHead,
    "br_npa": lambda channels, classes: BRNPAHead(channels, classes, parts=2, dropout=0.0),
}
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _same_weights_in_every_run():
    torch.manual_seed(0)


@pytest.mark.parametrize("backbone", [vit, resnet])
@pytest.mark.parametrize("head", HEADS)
def test_a_head_alone_learns_and_the_backbone_stays(tmp_path, backbone, head):
    model = Classifier(backbone(), HEADS[head], frozen=True, lr=0.1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fit(model, tmp_path, epochs=8)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all(".forward_head.head." in name for name in changed)
    losses = scalars(tmp_path)["train/loss"]
    assert sum(losses[-3:]) < 0.9 * sum(losses[:3])


# In bf16 a transformer: gradients of torch's bf16 convolutions of one position are not finite at times, on CPUs.
@pytest.mark.parametrize(("precision", "backbone"), [("32-true", resnet), ("bf16-mixed", vit)])
def test_infodisent_keeps_its_promises_in_training(tmp_path, precision, backbone):
    model = Classifier(backbone(), InfoDisentHead, lr=0.01)
    fit(model, tmp_path, epochs=3, precision=precision)
    head = model.backbone.head
    assert (head.class_weights >= 0).all()
    assert head.rotate.generator.abs().max() > 0
    assert head.rotate.orthogonality_error() < 1e-4
    assert head.temperature < 0.2  # it has been annealed
    logs = scalars(tmp_path)
    assert len(logs["head/orthogonality error"]) == 3
    assert max(logs["head/orthogonality error"]) < 1e-4
    assert all(0 <= share <= 1 for share in logs["head/unused weights"])


def test_a_mean_of_weights_keeps_them_too(tmp_path):
    model = Classifier(resnet(), InfoDisentHead, lr=0.01)
    fit(model, tmp_path, epochs=2, callbacks=[EMAWeightAveraging(decay=0.9)])
    assert (model.backbone.head.class_weights >= 0).all()
    assert model.backbone.head.rotate.orthogonality_error() < 1e-4


@pytest.mark.parametrize("head", HEADS)
def test_a_checkpoint_and_exported_weights_bring_the_head(tmp_path, head):
    model = Classifier(resnet(), HEADS[head], lr=0.01)
    saved = ModelCheckpoint(tmp_path / "saved", save_last=True)
    export = ExportWeights(str(tmp_path / "small.safetensors"), command="test")
    fit(model, tmp_path, callbacks=[saved, export], enable_checkpointing=True)
    images, _ = colours(4)
    images = images.repeat(1, 1, 14, 14)
    logits = model.eval()(images)
    loaded = Classifier.load_from_checkpoint(saved.last_model_path, weights_only=True).eval()
    torch.testing.assert_close(loaded(images), logits, rtol=1e-6, atol=1e-6)
    assert loaded.backbone.head.arguments() == model.backbone.head.arguments()
    for file, tolerance in ((saved.last_model_path, 1e-6), (str(export.file), 2e-2)):
        explainer = Explainer(resnet(), HeadAttribution(), weights=file).eval()
        torch.testing.assert_close(explainer(images), logits, rtol=tolerance, atol=tolerance)


def test_a_checkpoint_reloads_in_a_new_process(tmp_path):
    model = Classifier(resnet(), InfoDisentHead, lr=0.01)
    saved = ModelCheckpoint(tmp_path / "saved", save_last=True)
    fit(model, tmp_path, callbacks=[saved], enable_checkpointing=True)
    images = torch.rand(2, 3, 224, 224)
    torch.save(images, tmp_path / "images.pt")
    code = (
        "import sys, torch; from lit_coiba.training.classifier import Classifier;"
        f"model = Classifier.load_from_checkpoint({saved.last_model_path!r}, weights_only=True).eval();"
        f"torch.save(model(torch.load({str(tmp_path / 'images.pt')!r})).detach(), {str(tmp_path / 'logits.pt')!r})"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, cwd=ROOT, env=environment)
    torch.testing.assert_close(torch.load(tmp_path / "logits.pt"), model.eval()(images), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("head", HEADS)
def test_parts_of_a_heads_own_explanation_sum_to_the_logit(head):
    backbone = vit()
    backbone.attach(HEADS[head](backbone.feature_channels, CLASSES))
    backbone.eval()
    images = colours(5)[0]
    found = HeadAttribution(top=3).explain(backbone, images)
    logits = backbone(images)
    torch.testing.assert_close(found.extras["total"] + found.extras["bias"], logits.amax(1), rtol=1e-4, atol=1e-5)
    assert found.maps.shape == (5, 2, 2)
    assert found.extras["units"].shape == found.extras["contributions"].shape == (5, min(3, backbone.head.units))
    assert (found.extras["contributions"].abs().diff(dim=1) <= 0).all()


def test_any_method_explains_a_classifier_with_a_head():
    backbone = vit()
    backbone.attach(InfoDisentHead(backbone.feature_channels, CLASSES))
    assert Saliency().attribute(backbone.eval(), colours(2)[0]).abs().sum() > 0


def test_a_model_without_a_head_has_no_map_of_it():
    with pytest.raises(InputError, match="this model has none: train one"):
        HeadAttribution().explain(vit(), colours(2)[0])
    with pytest.raises(InputError, match="top is 0"):
        HeadAttribution(top=0)


@pytest.mark.parametrize("mixing", [{"mixup": 0.2}, {"cutmix": 1.0}, {"mixup": 0.2, "cutmix": 1.0}])
def test_mixed_images_train(tmp_path, mixing):
    fit(Classifier(vit(), **mixing), tmp_path, epochs=2)
    assert all(loss > 0 for loss in scalars(tmp_path)["train/loss"])


def test_mixed_targets_are_shares_of_two_classes(monkeypatch):
    model = Classifier(vit(), mixup=1.0)
    seen = []
    monkeypatch.setattr(model, "_loss", lambda batch, *_: seen.append(batch) or torch.zeros(()))
    monkeypatch.setattr(model, "log", lambda *_: None)
    monkeypatch.setattr(model, "optimizers", lambda: type("O", (), {"param_groups": [{"lr": 0}]}))
    images, labels = colours(6)
    model.training_step((images, labels), 0)
    ((mixed, targets),) = seen
    assert targets.shape == (6, CLASSES)
    torch.testing.assert_close(targets.sum(1), torch.ones(6))
    share = targets[0].max()
    expected = share * images + (1 - share) * images.roll(1, 0)
    other = (1 - share) * images + share * images.roll(1, 0)
    assert torch.allclose(mixed, expected, atol=1e-5) or torch.allclose(mixed, other, atol=1e-5)


def rates(model, name):
    model.trainer = type("T", (), {"estimated_stepping_batches": 10})()
    groups = model.configure_optimizers()["optimizer"].param_groups
    wanted = dict(model.named_parameters())[name]
    (rate,) = {group["initial_lr"] for group in groups if any(p is wanted for p in group["params"])}
    return rate


@pytest.mark.parametrize("head", [None, LinearHead])
def test_learning_rates_fall_towards_the_input(head):
    backbone = Backbone(
        "vit_tiny_patch16_224",
        num_classes=3,
        image_size=16,
        timm_kwargs={"patch_size": 8, "embed_dim": 16, "depth": 3, "num_heads": 2},
    )
    model = Classifier(backbone, head, lr=0.1, backbone_lr=0.01, layer_decay=0.5)
    classifier = "head.weight" if head is None else "forward_head.head.classifier.weight"
    assert rates(model, f"backbone.model.{classifier}") == pytest.approx(0.1)
    found = [rates(model, f"backbone.model.blocks.{k}.attn.qkv.weight") for k in range(3)]
    assert found == pytest.approx([0.01 * 0.5**3, 0.01 * 0.5**2, 0.01 * 0.5])
    assert rates(model, "backbone.model.patch_embed.proj.weight") == pytest.approx(0.01 * 0.5**4)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"layer_decay": 0.0}, "layer_decay is 0"),
        ({"layer_decay": 1.5}, "layer_decay"),
        ({"mixup": -1.0}, "mixup is -1"),
    ],
)
def test_numbers_out_of_range(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        Classifier(vit(), **arguments)


def test_top_five_is_logged_where_there_are_more_classes(tmp_path):
    backbone = Backbone("resnet10t", num_classes=7, timm_kwargs={"channels": [8, 8, 8, 8], "stem_width": 8})
    fit(Classifier(backbone), tmp_path, Colours())
    logs = scalars(tmp_path)
    assert logs["val/top5"][0] >= logs["val/accuracy"][0]
    assert "train/top5" not in logs
