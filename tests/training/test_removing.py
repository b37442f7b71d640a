import hashlib
import json
import math
import re
from contextlib import nullcontext

import pytest
import torch
from lightning import Trainer
from safetensors import safe_open

from lit_coiba.backbones import Backbone
from lit_coiba.backbones.missing_parts import MissingParts, missing_parts, tell_missing_parts
from lit_coiba.callbacks import ExportWeights
from lit_coiba.core.errors import InputError
from lit_coiba.metrics import IDSDS
from lit_coiba.training.classifier import Classifier
from lit_coiba.training.feature_file import Features
from lit_coiba.training.optimization import optimization
from lit_coiba.training.removing import RemoveCell, RemovePixels, lacking, missing_accuracy, removing
from tests.training.test_classifier import Colours, colours, vit

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*LeafSpec.*")


def removed_cells(images):
    """Which cells of a 4 x 4 grid are zero in all channels ``(B, 16)``; every pixel is in a cell that is whole."""
    gone = (images == 0).all(1)
    assert torch.equal(gone, (images == 0).any(1))  # all channels of a pixel
    cells = gone.view(len(images), 4, 4, 4, 4).transpose(2, 3).flatten(3).flatten(1, 2)
    assert torch.equal(cells.all(2), cells.any(2))
    return cells.all(2)


def test_i3_exactly_one_cell_in_about_half_of_the_images():
    torch.manual_seed(0)
    images = torch.ones(1000, 3, 16, 16)
    cells = removed_cells(RemoveCell()(images))
    assert set(cells.sum(1).tolist()) == {0, 1}
    assert abs(cells.any(1).double().mean().item() - 0.5) < 4 * 0.5 / math.sqrt(1000)
    assert (abs(cells.double().sum(0) - 500 / 16) < 4 * math.sqrt(500 / 16)).all()  # uniformly drawn
    assert (images == 1).all()
    assert removed_cells(RemoveCell().always()(images)).sum(1).eq(1).all()


def test_i3_nothing_is_removed_in_validation(monkeypatch):
    shown = []
    model = Classifier(vit(), remove_cell=1.0, lr=1e-3)
    forward = type(model.backbone).forward
    monkeypatch.setattr(
        type(model.backbone),
        "forward",
        lambda self, images: shown.append((self.training, images)) or forward(self, images),
    )
    trainer = fitted(model)
    images = colours()[0]
    training = torch.cat([images for trained, images in shown if trained])
    assert removed_cells(training).sum(1).eq(1).all()
    evaluated = [images for trained, images in shown if not trained]
    validated = torch.cat(evaluated[-8:][0::2])  # of each batch, first as it is, then without a cell
    torch.testing.assert_close(validated, images)
    assert removed_cells(torch.cat(evaluated[-8:][1::2])).sum(1).eq(1).all()
    logged = trainer.callback_metrics
    assert logged["val/accuracy_one_cell_missing"] <= 1
    assert logged["val/accuracy"] <= 1


def fitted(model, **arguments):
    trainer = Trainer(
        **{"accelerator": "cpu", "max_epochs": 1, "logger": False, "enable_checkpointing": False, **arguments},
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, datamodule=Colours())
    return trainer


def test_f3_all_channels_of_a_share_of_the_pixels():
    torch.manual_seed(0)
    images = torch.ones(50, 3, 10, 12)
    shown = RemovePixels(0.1)(images)
    gone = shown == 0
    assert torch.equal(gone.all(1), gone.any(1))
    assert gone[:, 0].flatten(1).sum(1).eq(12).all()
    assert gone[:, 0].float().mean(0).max() < 0.4  # everywhere
    assert len({tuple(one.flatten().tolist()) for one in gone[:, 0]}) == 50


def test_what_takes_the_place_of_a_cell():
    images = torch.rand(4, 3, 8, 8)
    gray = RemoveCell(2, 1.0, 0.25)(images)
    assert ((gray == 0.25).all(1).flatten(1).sum(1) == 16).all()
    black = RemoveCell(1, 1.0, "black")(images, vit())
    mean, std = vit().preprocessing.mean, vit().preprocessing.std
    torch.testing.assert_close(black[0, :, 0, 0], -torch.tensor(mean) / torch.tensor(std))


def test_accuracy_without_parts_is_that_of_the_slow_loop():
    images, labels = colours()

    def model(shown):
        return shown.mean((2, 3))

    network = torch.nn.Module()
    network.forward = model
    network.anything = torch.nn.Parameter(torch.zeros(1))
    batches = [(images[i : i + 7], labels[i : i + 7]) for i in range(0, 24, 7)]
    found = missing_accuracy(network, batches, RemoveCell(baseline=-9.0))
    generator, right = torch.Generator().manual_seed(0), 0
    for shown, truth in batches:
        right += int(
            (model(RemoveCell(probability=1.0, baseline=-9.0)(shown, None, generator)).argmax(1) == truth).sum()
        )
    assert found == MissingParts("cell", 4, -9.0, 1.0, right / 24)
    wrong = [(shown, (truth + 1) % 3) for shown, truth in batches]
    assert missing_accuracy(network, wrong, RemovePixels()).clean == 0


def test_the_file_of_a_fit_tells_what_was_measured_and_the_metric_reads_it(tmp_path):
    file = tmp_path / "cell.safetensors"
    fitted(Classifier(vit(), remove_cell=0.5, lr=1e-3), max_epochs=5, callbacks=[ExportWeights(str(file), "make it")])
    with safe_open(file, "pt") as opened:
        told = json.loads(opened.metadata()["classifier"])["missing_parts"]
    model = Backbone.load(file)
    found = missing_parts(model)
    assert found._asdict() == told
    assert (found.part, found.amount, found.baseline) == ("cell", 4, "zero")
    text = file.with_suffix(".md").read_text()
    assert re.search(rf"\| accuracy, \w+, one cell missing \| {found.missing:.1%} \|", text)
    assert f"`{hashlib.sha256(file.read_bytes()).hexdigest()}`" in text
    with nullcontext() if found.in_distribution else pytest.raises(InputError, match="points"):
        IDSDS().check_model(model)
    with pytest.raises(InputError, match="take SDS"):
        IDSDS().check_model(vit())
    fitted(Classifier(model, lr=1e-3))  # other weights, of which nothing is known
    assert missing_parts(model) is None


def test_the_gate_refuses_the_name_in_a_sentence():
    model, images, maps = vit(), torch.rand(2, 3, 16, 16), torch.rand(2, 4, 4)
    recipe = "take SDS, or train it further with -c configs/experiment/idsds.yaml"
    unknown = "IDSDS needs a model that is as accurate with one cell of 4 x 4 missing \\(zero\\), and that is not known"
    with pytest.raises(InputError, match=f"{unknown} of this one: {recipe}"):
        IDSDS().score(model, images, None, maps)
    with pytest.raises(InputError, match=r"within 2 points, and this one has 90.0% against 93.0%"):
        IDSDS(clean_accuracy=0.93, missing_accuracy=0.90).score(model, images, None, maps)
    told = {"part": "cell", "amount": 4, "baseline": "zero", "clean": 0.93, "missing": 0.92}
    tell_missing_parts(model.model, told)
    assert IDSDS().score(model, images, None, maps).shape == (2,)
    for other in (IDSDS(grid_size=2), IDSDS(baseline=0.5)):
        with pytest.raises(InputError, match="not known of this one, but for other missing parts"):
            other.score(model, images, None, maps)
    tell_missing_parts(model.model, {**told, "missing": 0.9})
    with pytest.raises(InputError, match=r"90.0% against 93.0%"):
        IDSDS().score(model, images, None, maps)


@pytest.mark.parametrize("told", [None, 3, {}, {"part": "all", "amount": 4, "baseline": 0, "clean": 1, "missing": 1}])
def test_a_file_that_tells_nonsense_tells_nothing(told):
    model = torch.nn.Identity()
    tell_missing_parts(model, told)
    assert missing_parts(model) is None


def test_sgd_falls_to_a_tenth_after_each_third():
    layer = torch.nn.Linear(2, 2)
    made = optimization(layer, "sgd", "step", 0.5, 1e-4, {}, steps=6, warmup=0.5)
    optimizer, schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]
    assert isinstance(optimizer, torch.optim.SGD)
    assert {group["momentum"] for group in optimizer.param_groups} == {0.9}
    assert [group["weight_decay"] for group in optimizer.param_groups] == [1e-4, 0]
    rates = []
    for _ in range(6):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.5, 0.5, 0.05, 0.05, 0.005, 0.005])


def test_bad_settings_are_told_in_a_sentence():
    with pytest.raises(InputError, match=r"remove_cell is 0.5 and remove_pixels 0.1: give one of the two"):
        removing(0.5, 4, 0.1, "zero")
    with pytest.raises(InputError, match=r"remove_cell is 1.5: give a share from 0 to 1"):
        Classifier(vit(), remove_cell=1.5)
    with pytest.raises(InputError, match="optimizer is 'adam': choose adamw, sgd"):
        Classifier(vit(), optimizer="adam")
    with pytest.raises(InputError, match="a cache has features: leave out the cache"):
        lacking(Features(torch.rand(1, 3), torch.zeros(1)), RemoveCell(), vit())
