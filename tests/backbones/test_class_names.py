"""The names of a model's classes: where they are known, and where they are not guessed."""

import pytest
import torch
from torch import nn

from lit_coiba import Backbone, Classifier, Trainer
from lit_coiba.backbones.class_names import IMAGENET, imagenet_names, trained_on_imagenet
from lit_coiba.backbones.random_weights import has_random_weights
from lit_coiba.core.errors import InputError
from lit_coiba.heads import LinearHead
from tests._testers import tiny
from tests._testers.runs import NoiseData


@pytest.fixture(scope="module")
def lite0(assets):
    return Backbone("tf_efficientnet_lite0", str(assets / "models" / "tf_efficientnet_lite0.fp16.safetensors"))


def test_an_imagenet_head_has_imagenets_names(lite0):
    names = lite0.class_names
    assert len(names) == 1000
    assert (names[0], names[243], names[134], names[517]) == ("tench", "bull mastiff", "crane (134)", "crane (517)")
    assert len(set(names)) == 1000


def test_so_has_the_same_model_wrapped(lite0):
    assert Backbone.wrap(lite0.model).class_names == lite0.class_names


def test_a_thousand_other_classes_have_no_names(lite0):
    """The same rows in another order are a classifier of the same accuracy on other classes."""
    rows = lite0.model.classifier.weight.detach()
    assert trained_on_imagenet(rows)
    for seed in range(5):
        order = torch.randperm(1000, generator=torch.Generator().manual_seed(seed))
        assert not trained_on_imagenet(rows[order])
    assert not trained_on_imagenet(rows.roll(1, 0))  # labels from 1
    assert not trained_on_imagenet(rows.flip(0))


def test_related_neighbors_alone_make_no_imagenet():
    """Own classes in the order of a taxonomy."""
    steps = torch.randn(1000, 256, generator=torch.Generator().manual_seed(0))
    walk = torch.stack([sum(0.97**k * steps[max(i - k, 0)] for k in range(60)) for i in range(1000)])
    assert not trained_on_imagenet(walk)


def test_random_weights_have_no_names():
    assert Backbone("resnet18").class_names is None
    assert Backbone("resnet18", num_classes=11821).class_names is None
    assert tiny.vit().class_names is None


@pytest.mark.parametrize("count", IMAGENET)
def test_timm_has_as_many_names_as_classes(count):
    assert len(set(imagenet_names(count))) == count


def test_rows_in_wordnets_order_make_a_larger_imagenet():
    steps = torch.randn(11821, 32, generator=torch.Generator().manual_seed(0))
    assert not trained_on_imagenet(steps)
    assert trained_on_imagenet(steps[1:] + steps[:-1])


def test_a_new_head_has_no_names_of_the_old_one(lite0):
    model = Backbone.wrap(lite0.model)
    assert model.class_names
    other = Backbone("tf_efficientnet_lite0", num_classes=1000)
    other.model.load_state_dict(lite0.model.state_dict())
    other.attach(LinearHead(other.feature_channels, 1000))
    assert other.class_names is None


def test_names_can_be_set_and_belong_to_the_head_that_was_there():
    model = tiny.vit()
    model.class_names = [f"kind {k}" for k in range(tiny.CLASSES)]
    assert model.class_names[3] == "kind 3"
    model.class_names.clear()  # a copy
    assert len(model.class_names) == tiny.CLASSES
    model.attach(LinearHead(model.feature_channels, tiny.CLASSES))
    assert model.class_names is None
    for wrong, sentence in ((["a"], "class_names is 1 entries"), ("abc", "of type str"), ([1] * 10, "of type list")):
        with pytest.raises(InputError, match=sentence):
            model.class_names = wrong


def test_a_checkpoint_tells_its_names(tmp_path):
    model = tiny.vit()
    names = [f"kind {k}" for k in range(tiny.CLASSES)]
    state = {f"backbone.model.{key}": value for key, value in model.model.state_dict().items()}
    told = {"hyper_parameters": {"backbone": model.arguments, "class_names": names}, "state_dict": state}
    torch.save(told, tmp_path / "a.ckpt")
    assert Backbone.load(tmp_path / "a.ckpt").class_names == names
    again = Backbone(**{**model.arguments, "checkpoint": str(tmp_path / "a.ckpt")})
    assert again.class_names == names
    fresh = Backbone(**{**model.arguments, "checkpoint": str(tmp_path / "a.ckpt"), "new_head": True})
    assert fresh.class_names is None
    torch.save({**told, "hyper_parameters": {**told["hyper_parameters"], "class_names": ["one"]}}, tmp_path / "b.ckpt")
    assert Backbone.load(tmp_path / "b.ckpt").class_names is None


def test_hugging_faces_configuration_is_read():
    class Configured(nn.Module):
        def __init__(self, names):
            super().__init__()
            self.config = type("Config", (), {"id2label": names})()
            self.net = nn.Sequential(nn.Conv2d(3, 4, 8, 8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))

        def forward(self, images):
            return self.net(images)

    assert Backbone.wrap(Configured({0: "cat", 1: "dog"}), image_size=16).class_names == ["cat", "dog"]
    assert Backbone.wrap(Configured({0: "LABEL_0", 1: "LABEL_1"}), image_size=16).class_names is None
    assert Backbone.wrap(Configured({0: "cat"}), image_size=16).class_names is None


def test_random_weights_are_known_as_such(tmp_path):
    model = Backbone("resnet18", num_classes=3)
    assert has_random_weights(model)
    torch.save(model.model.state_dict(), tmp_path / "a.pth")
    with torch.no_grad():
        model.model.fc.bias += 1
    assert not has_random_weights(model)  # trained
    linear = nn.Sequential(nn.Conv2d(3, 4, 8), nn.Flatten())
    assert not has_random_weights(Backbone.wrap(linear, image_size=8))  # of which nothing is known


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_classifier_tells_its_backbone_the_names_of_its_classes():
    names = [f"kind {k}" for k in range(tiny.CLASSES)]
    model = Classifier(tiny.vit(), class_names=names)
    assert model.backbone.class_names == names
    trainer = Trainer(max_steps=1, logger=False, enable_checkpointing=False, enable_progress_bar=False)
    fitted, data = Classifier(tiny.vit()), NoiseData(4, 2)
    data.pictures.classes = names
    trainer.fit(fitted, datamodule=data)
    assert fitted.backbone.class_names == names
