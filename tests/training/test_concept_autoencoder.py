"""A sparse autoencoder by `fit`: what is trained and what is not, logs, checkpoints, files, and the command."""

import numpy as np
import pytest
import torch
from lightning import seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lit_coiba.cli import main
from lit_coiba.concepts import ConceptDictionary
from lit_coiba.concepts.crops import crop, crop_boxes
from lit_coiba.core.errors import InputError
from lit_coiba.data import ImageFolder
from lit_coiba.data.transforms import Transform
from lit_coiba.trainer import Trainer
from lit_coiba.training.concept_autoencoder import ConceptAutoencoder
from tests._testers import tiny

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*LeafSpec.*")

LAYER = "blocks.3"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 5)):
        for index in range(count):
            file = folder / split / f"class{index % 3}" / f"{index}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(file)
    return folder


def data(photos):
    return ImageFolder(str(photos), batch_size=4, num_workers=0)


def module(**arguments):
    return ConceptAutoencoder(tiny.vit(), **{"layer": LAYER, "n_concepts": 48, "k": 4, "lr": 1e-2, **arguments})


def trainer(epochs=2, **arguments):
    calm = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "enable_checkpointing": False}
    return Trainer(accelerator="cpu", devices=1, max_epochs=epochs, **{**calm, **arguments})


def test_the_autoencoder_learns_and_the_model_stays(photos):
    found = module()
    before = {name: value.clone() for name, value in found.backbone.state_dict().items()}
    flags = [parameter.requires_grad for parameter in found.backbone.parameters()]
    seed_everything(0, verbose=False)
    fitted = trainer(1)
    fitted.fit(found, datamodule=data(photos))
    early = float(fitted.callback_metrics["train/error"])
    fitted = trainer(12)
    fitted.fit(found, datamodule=data(photos))
    assert float(fitted.callback_metrics["train/error"]) < 0.8 * early
    assert all(torch.equal(value, before[name]) for name, value in found.backbone.state_dict().items())
    assert flags == [parameter.requires_grad for parameter in found.backbone.parameters()]
    assert not any(name.startswith("backbone") for name in found.state_dict())
    torch.testing.assert_close(found.autoencoder.dictionary.norm(dim=1), torch.ones(48))


def test_what_is_logged_and_saved_is_measured_on_the_validation_images(photos, tmp_path):
    logger = TensorBoardLogger(tmp_path, name="", version="")
    found = module()
    trainer(3, logger=logger, log_every_n_steps=1).fit(found, datamodule=data(photos))
    events = EventAccumulator(str(tmp_path)).Reload()
    measures = {f"{split}/{name}" for split in ("train", "val") for name in ("error", "l0", "dead")}
    assert measures | {"train/loss", "train/auxiliary", "lr"} <= set(events.Tags()["scalars"])
    concepts = found.concepts()
    dataset = data(photos).dataset("val")
    images = torch.stack([Transform(found.preprocessing)(dataset.image(index)) for index in range(5)])
    split = found.backbone.split([LAYER])
    with torch.no_grad():
        rows = split.grids[0].to_spatial(split.lower(images).activation).flatten(2).transpose(1, 2).flatten(0, 1)
        coefficients = concepts.encode(rows)
        error = (concepts.decode(coefficients) - rows).norm() / rows.norm()
    assert concepts.about.rows == len(rows) == 5 * 16
    assert concepts.about.error == pytest.approx(float(error), rel=1e-3)
    assert concepts.about.l0 == pytest.approx(float((coefficients > 0).sum() / len(rows)), rel=1e-3)
    torch.testing.assert_close(concepts.frequency, (coefficients > 0).float().mean(0), rtol=1e-3, atol=1e-3)
    assert events.Scalars("val/error")[-1].value == pytest.approx(concepts.about.error, rel=1e-4)
    torch.testing.assert_close(found(rows), coefficients, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*ckpt_path", "ignore:Checkpoint directory")
def test_a_fit_that_was_interrupted_ends_with_the_same_weights(photos, tmp_path):
    whole, first, second = module(), module(), module()
    seed_everything(3, verbose=False)
    trainer(4).fit(whole, datamodule=data(photos))
    seed_everything(3, verbose=False)
    keeping = ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1, every_n_epochs=1, save_on_train_epoch_end=True)
    trainer(4, enable_checkpointing=True, callbacks=[keeping]).fit(first, datamodule=data(photos))
    seed_everything(3, verbose=False)
    file = tmp_path / "epoch=1.ckpt"
    assert file.stat().st_size < 200_000  # without the model
    trainer(4).fit(second, datamodule=data(photos), ckpt_path=str(file))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name
    assert second.concepts().digest() == whole.concepts().digest()


def test_checkpoints_of_other_activations_are_refused(photos, tmp_path):
    fitted = trainer(1)
    fitted.fit(module(), datamodule=data(photos))
    fitted.save_checkpoint(tmp_path / "a.ckpt")
    with pytest.raises(InputError, match="not of concepts of this model at this layer"):
        trainer(2).fit(module(layer="blocks.2"), datamodule=data(photos), ckpt_path=str(tmp_path / "a.ckpt"))
    with pytest.raises(InputError, match="has the autoencoder without its model"):
        ConceptAutoencoder.load_from_checkpoint(tmp_path / "a.ckpt")


def test_images_without_labels_do(photos, tmp_path):
    for file in photos.rglob("*.png"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    found = module()
    trainer(1, limit_val_batches=0).fit(found, datamodule=ImageFolder(str(tmp_path), batch_size=4, num_workers=0))
    assert found.concepts().about.rows > 0


def test_crops_are_rows_too(photos):
    found = module(crop_size=16)
    images = tiny.images(2, (32, 32))
    with torch.no_grad():
        split = found.backbone.split([LAYER])
        pooled = split.grids[0].to_spatial(split.lower(crop(images, crop_boxes((32, 32), 16))).activation).mean((2, 3))
    torch.testing.assert_close(found._rows(images), pooled, rtol=1e-4, atol=1e-5)
    trainer(1).fit(found, datamodule=data(photos))
    assert found.concepts().about.crop_size == 16


def test_few_rows_of_a_step_and_dead_concepts(photos):
    found = module(rows_per_step=10, dead_after=1)
    trainer(1).fit(found, datamodule=data(photos))
    assert 0 < (found.idle == 0).sum() <= 40
    assert found.idle.max() == 30  # three steps of ten rows


def test_activations_that_do_not_vary_are_refused(photos):
    found = module()
    with torch.no_grad():
        for parameter in found.backbone.model.parameters():
            parameter.zero_()
    with pytest.raises(InputError, match=r"layer blocks\.3 do not differ from place to place"):
        trainer(1).fit(found, datamodule=data(photos))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"layer": "blocks.9"}, "blocks.9"),
        ({"k": 49}, "k is 49, but there are 48 concepts"),
        ({"crop_size": 64}, "crop_size is 64, and the images have 32 x 32 pixels"),
        ({"rows_per_step": 0}, "rows_per_step is 0"),
        ({"auxiliary": -1.0}, "auxiliary is -1"),
        ({"warmup": 2.0}, "warmup is 2.0"),
        ({"lr": 0.0}, "lr is 0"),
        ({"weights": "none.ckpt"}, "none.ckpt does not exist"),
    ],
)
def test_arguments_that_cannot_be(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        module(**arguments)


def test_what_is_not_trained_has_no_concepts():
    with pytest.raises(InputError, match="is not trained: fit it first"):
        module().concepts()


def test_the_command_writes_a_file_that_opens(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["dictionary", "-c", "configs/model/synthetic_parts_cnn.yaml", "--data.root", str(photos), "--model.k", "4"]
    words += ["--model.n_concepts", "32", "--data.num_workers", "0", "--trainer.accelerator", "cpu"]
    words += ["--trainer.enable_progress_bar", "false", "--trainer.log_every_n_steps", "1"]
    assert main([*words, "--trainer.max_epochs", "1", "--output", "c.safetensors"]) == 0
    assert "32 concepts of " in capsys.readouterr().out
    first = ConceptDictionary.load("c.safetensors")
    (checkpoint,) = tmp_path.rglob("*.ckpt")
    again = [*words, "--trainer.max_epochs", "2", "--output", "c.safetensors", "--ckpt_path", str(checkpoint)]
    assert main(again) == 0
    assert ConceptDictionary.load("c.safetensors").digest() != first.digest()
    (tmp_path / "other.txt").write_text("mine")
    assert main([*words, "--trainer.max_epochs", "1", "--output", "other.txt"]) == 2
    assert "other.txt is there, and is not what" in capsys.readouterr().err
    assert (tmp_path / "other.txt").read_text() == "mine"
