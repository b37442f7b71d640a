import math

import pytest
import torch
from lightning import LightningDataModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader, TensorDataset

from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.training.classifier import Classifier
from lit_coiba.training.hits import hits

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*LeafSpec.*")

CLASSES = 3


@pytest.fixture(autouse=True)
def _same_weights_in_every_run():
    torch.manual_seed(0)


def vit(**arguments):
    kwargs = {"patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2}
    return Backbone(
        "vit_tiny_patch16_224", num_classes=CLASSES, image_size=16, crop_pct=1.0, timm_kwargs=kwargs, **arguments
    )


def resnet(num_classes=CLASSES):
    return Backbone("resnet10t", num_classes=num_classes, timm_kwargs={"channels": [8, 8, 8, 8], "stem_width": 8})


def colours(samples=24):
    """Pictures whose class is their brightest channel."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(samples) % CLASSES
    images = 0.3 * torch.randn(samples, 3, 16, 16, generator=generator)
    images[torch.arange(samples), labels] += 1
    return images, labels


class Colours(LightningDataModule):
    def __init__(self, soft=False, named=False):
        super().__init__()
        images, labels = colours()
        targets = torch.nn.functional.one_hot(labels, CLASSES).float() if soft else labels
        self.loader = DataLoader(TensorDataset(images, targets), batch_size=7)
        self.named = named

    def train_dataloader(self):
        return self.loader

    def val_dataloader(self):
        return {"first": self.loader, "second": self.loader} if self.named else self.loader

    test_dataloader = val_dataloader


def fit(model, folder, data=None, epochs=1, **arguments):
    seed_everything(0, verbose=False)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=TensorBoardLogger(folder, name="", version="log", default_hp_metric=False),
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"enable_checkpointing": False, **arguments},
    )
    trainer.fit(model, datamodule=data or Colours())
    return trainer


def scalars(folder):
    events = EventAccumulator(str(folder / "log"))
    events.Reload()
    return {tag: [event.value for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def accuracy_one_by_one(model):
    images, labels = colours()
    model.eval()
    with torch.no_grad():
        return sum(int(model(image[None]).argmax()) == label for image, label in zip(images, labels.tolist())) / len(
            images
        )


def test_a_fit_learns_and_tensorboard_shows_it(tmp_path):
    model = Classifier(vit(), lr=1e-2, warmup=0.25)
    trainer = fit(model, tmp_path, epochs=10)
    found = scalars(tmp_path)
    assert set(found) == {"epoch", "lr", "train/loss", "train/accuracy", "val/loss", "val/accuracy"}
    steps = trainer.global_step
    assert steps == len(found["train/loss"]) == len(found["lr"]) == 40
    expected = [(k + 1) / 10 for k in range(10)] + [0.5 + 0.5 * math.cos(math.pi * k / 30) for k in range(30)]
    assert found["lr"] == pytest.approx([1e-2 * factor for factor in expected])
    assert found["train/loss"][-1] < 0.5 * found["train/loss"][0]
    assert found["val/accuracy"][-1] == pytest.approx(accuracy_one_by_one(model)) == 1.0
    assert found["val/loss"][-1] < found["val/loss"][0]


def test_validation_weighs_batches_by_their_size(tmp_path):
    model = Classifier(vit(), lr=1e-20)
    fit(model, tmp_path)
    images, labels = colours()
    model.eval()
    loss = torch.nn.functional.cross_entropy(model(images), labels).item()
    found = scalars(tmp_path)
    assert found["val/loss"] == pytest.approx([loss], rel=1e-5)
    assert found["val/accuracy"] == pytest.approx([accuracy_one_by_one(model)])


def test_soft_targets_of_one_class_are_labels(tmp_path):
    logs = {}
    for soft in (False, True):
        torch.manual_seed(1)
        fit(Classifier(vit(), lr=1e-2), tmp_path / str(soft), Colours(soft))
        logs[soft] = scalars(tmp_path / str(soft))
    assert logs[True].keys() == logs[False].keys()
    for tag, values in logs[False].items():
        assert logs[True][tag] == pytest.approx(values, rel=1e-5)


def test_loaders_are_logged_by_their_names(tmp_path):
    model = Classifier(vit())
    trainer = fit(model, tmp_path, Colours(named=True))
    assert {"val/first/loss", "val/second/accuracy"} <= set(scalars(tmp_path))
    (first, second) = trainer.test(model, datamodule=Colours(named=True), verbose=False)
    assert first["test/first/accuracy"] == second["test/second/accuracy"]


def test_label_smoothing_is_for_training_only(tmp_path):
    images, labels = colours()
    model = Classifier(vit(), lr=1e-20, label_smoothing=0.5)
    fit(model, tmp_path, limit_train_batches=1)
    logits = model.eval()(images).double()
    surprise = -logits.log_softmax(1)
    plain = surprise.gather(1, labels[:, None]).squeeze(1)
    found = scalars(tmp_path)
    assert found["val/loss"] == pytest.approx([plain.mean().item()], rel=1e-5)
    smoothed = 0.5 * plain[:7] + 0.5 * surprise[:7].mean(1)
    assert found["train/loss"] == pytest.approx([smoothed.mean().item()], rel=1e-5)


def test_a_frozen_backbone_stays_as_it_is(tmp_path):
    model = Classifier(resnet(), frozen=True, lr=0.1)
    before = {name: tensor.clone() for name, tensor in model.network.model.state_dict().items()}
    trainer = fit(model, tmp_path, epochs=2)
    changed = {k for k, v in model.network.model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {"fc.weight", "fc.bias"}
    assert sum(len(group["params"]) for group in trainer.optimizers[0].param_groups) == 2


def test_a_backbone_that_is_trained_moves_its_statistics(tmp_path):
    model = Classifier(resnet())
    before = model.network.model.bn1.running_mean.clone()
    fit(model, tmp_path)
    assert not torch.equal(before, model.network.model.bn1.running_mean)


def test_a_checkpoint_loads_with_weights_only_and_gives_equal_logits(tmp_path):
    model = Classifier(vit(mean=(0.1, 0.2, 0.3)), lr=0.02, label_smoothing=0.1)
    fit(model, tmp_path, enable_checkpointing=True, callbacks=[ModelCheckpoint(tmp_path / "kept", "last")])
    loaded = Classifier.load_from_checkpoint(tmp_path / "kept" / "last.ckpt", weights_only=True, map_location="cpu")
    images, _ = colours()
    torch.testing.assert_close(loaded.eval()(images), model.eval()(images), rtol=0, atol=0)
    assert loaded.hparams == model.hparams
    assert (loaded.lr, loaded.label_smoothing) == (0.02, 0.1)
    assert (
        loaded.preprocessing
        == model.preprocessing
        == Preprocessing((16, 16), 1.0, "bicubic", (0.1, 0.2, 0.3), (0.5,) * 3)
    )


def test_a_checkpoint_does_not_need_the_weights_it_began_with(tmp_path):
    first = Classifier(vit())
    torch.save(first.network.model.state_dict(), tmp_path / "start.pth")
    model = Classifier(vit(checkpoint=str(tmp_path / "start.pth")))
    images, _ = colours()
    torch.testing.assert_close(model.eval()(images), first.eval()(images), rtol=0, atol=0)
    assert model.hparams["backbone"]["checkpoint"] is None
    assert model.hparams["backbone"]["image_size"] == 16


def test_what_is_explained_is_the_backbone():
    backbone = vit()
    model = Classifier(backbone)
    assert model.network is backbone
    assert model.preprocessing is backbone.preprocessing


def test_soft_targets_accept_every_class_above_zero():
    logits = torch.eye(3)
    soft = torch.tensor([[0.0, 0.5, 0.5], [0.2, 0.8, 0.0], [0.9, 0.0, 0.1]])
    assert hits(logits, soft).tolist() == [False, True, True]
    assert hits(logits, torch.tensor([0, 0, 2])).tolist() == [True, False, True]


def test_a_schedule_needs_a_last_step(tmp_path):
    with pytest.raises(InputError, match=r"set trainer\.max_epochs"):
        fit(Classifier(vit()), tmp_path, epochs=-1)


def test_frozen_without_a_classifier_layer_is_refused():
    with pytest.raises(InputError, match="give num_classes"):
        Classifier(resnet(num_classes=0), frozen=True)
