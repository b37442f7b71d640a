"""Readouts by `fit`: what is trained and what is not, how near they come to CoIBA's own ratios, files, refusals."""

import pytest
import torch
from lightning import LightningModule
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lit_coiba.attribution import LearnedRanking, ReadoutCoIBA, ReadoutIBA
from lit_coiba.backbones import Backbone
from lit_coiba.bottlenecks.readout.gap import fit_ratios, measured
from lit_coiba.bottlenecks.readout.noised import image_keys
from lit_coiba.bottlenecks.readout.trained_readout import TrainedReadout
from lit_coiba.callbacks import ExportReadout
from lit_coiba.core.errors import InputError
from lit_coiba.core.frozen import frozen
from lit_coiba.core.targets.class_target import class_rows
from lit_coiba.functional import spearman
from lit_coiba.trainer import Trainer
from lit_coiba.training import CoIBAReadout, IBAReadout, RankingReadout
from lit_coiba.training.readout import HELD_OUT, Readout
from tests._testers import tiny
from tests._testers.model_state import assert_same_state, disturb, state

pytestmark = pytest.mark.filterwarnings("ignore:.*pure noise", "ignore:.*no `val_dataloader`")

METHODS = {CoIBAReadout: ReadoutCoIBA, IBAReadout: ReadoutIBA, RankingReadout: LearnedRanking}
FEW = {CoIBAReadout: {"gap_images": 2}, IBAReadout: {}, RankingReadout: {"sides": (4, 5), "points": 3}}


def loader(images, batch_size=8):
    return DataLoader(TensorDataset(images, torch.zeros(len(images))), batch_size)


def fit(module, images, steps, held_out=None, **arguments):
    calm = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "enable_checkpointing": False}
    trainer = Trainer(accelerator="cpu", devices=1, max_steps=steps, **{**calm, **arguments})
    trainer.fit(module, loader(images), None if held_out is None else loader(held_out))
    return trainer


def confident():
    """A model whose class is worth the information that it takes."""
    model = tiny.vit()
    with torch.no_grad():
        model.model.head.weight.mul_(6)
    return model


def prepared(kind, model, **arguments):
    module = kind(model, **{**FEW[kind], **arguments})
    module.prepare(tiny.images(40, model.preprocessing.size, seed=2))
    return module


@pytest.mark.parametrize("kind", METHODS)
@pytest.mark.parametrize("build", [tiny.vit, tiny.resnet])
def test_gradients_reach_the_readout_alone_and_the_model_stays(kind, build):
    model = build()
    module = prepared(kind, model)
    disturb(model)
    before, weights = state(model), {name: part.clone() for name, part in module.readout.state_dict().items()}
    images = tiny.images(16, model.preprocessing.size)
    losses = module._of(images[:4], 3 if kind is not RankingReadout else HELD_OUT)
    assert_same_state(state(model), before)
    losses["loss"].backward()
    assert_same_state(state(model), before)
    assert any(part.grad is not None and part.grad.abs().sum() > 0 for part in module.readout.parameters())
    module.zero_grad(set_to_none=True)
    fit(module, images, 3, images[:8])
    after = state(model)
    for part in ("parameters", "buffers"):
        assert all(torch.equal(after[part][name], value) for name, value in before[part].items())
    for part in ("gradients", "requires_grad", "training", "hooks", "fused attention"):
        assert_same_state({part: after[part]}, {part: before[part]})
    assert any(not torch.equal(part, weights[name]) for name, part in module.readout.state_dict().items())
    assert not any(name.startswith(("backbone", "model")) for name in module.state_dict())


def test_a_table_of_free_ratios_comes_as_far_as_ratios_fitted_to_each_image():
    class Table(nn.Module):
        def __init__(self, shape):
            super().__init__()
            self.values = nn.Parameter(torch.full(shape, 2.0))

        def forward(self, features, directions):
            return 8 * torch.tanh(self.values[: len(directions)] / 8)

    model, images = confident(), tiny.images(16, (32, 32))
    module = prepared(CoIBAReadout, model, layers=["blocks.0.norm1", "blocks.3.norm1"])
    site, keys = module._site, image_keys(images)
    module.readout = Table((16, site.reader.first.positions))
    optimizer = torch.optim.Adam(module.readout.parameters(), lr=0.3)
    with frozen(model):
        clean = site.reader.forward(images)
        targets = class_rows(clean.out.argmax(-1), tiny.CLASSES)
        reading = site.reader.read(clean, targets)
        module._targets = lambda logits, keys, step: targets
        for step in range(500):
            optimizer.zero_grad()
            (module._losses(images, keys, step)["loss"] * len(images)).backward()
            optimizer.step()
        free = module.readout(reading.features, reading.directions).detach()
        fitted = fit_ratios(site, clean.state, targets, reading.squared, keys, steps=500)
        losses = [measured(site, clean.state, targets, reading.squared, alpha, keys).mean() for alpha in (free, fitted)]
        start = measured(site, clean.state, targets, reading.squared, torch.full_like(free, 2.0), keys).mean()
    assert losses[1] < 0.9 * start
    assert abs(losses[0] / losses[1] - 1) < 0.02


class Square(nn.Module):
    """Logit 1 is a sum over one square of 2 x 2 cells, logit 0 its negative."""

    def __init__(self):
        super().__init__()
        self.cells = nn.Conv2d(3, 8, 4, stride=4)
        self.after = nn.Conv2d(8, 8, 1)
        self.fc = nn.Linear(8, 2)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for part in (self.cells, self.after):
                part.weight.copy_(torch.randn(part.weight.shape, generator=generator) / part.weight[0].numel() ** 0.5)
                part.bias.zero_()
            self.fc.weight.copy_(torch.randn(self.fc.weight.shape, generator=generator))
            self.fc.weight[0] = -self.fc.weight[1]
            self.fc.bias.zero_()

    def forward(self, images):
        return self.fc(20 * self.after(self.cells(images))[:, :, 2:4, 5:7].mean((2, 3)))


def test_in_a_planted_model_the_bits_lie_in_the_square_of_images_that_were_not_seen():
    model = Backbone.wrap(Square().eval(), image_size=32)
    module = CoIBAReadout(model, layers=["cells"], read=["cells"], gap_images=0, lr=3e-3)
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(256, 3, 32, 32, generator=generator)
    module.prepare(images)
    fit(module, images, 300, max_epochs=None)
    unseen = torch.randn(32, 3, 32, 32, generator=generator)
    with frozen(model), torch.no_grad():
        site = module._site
        clean = site.reader.forward(unseen)
        with torch.enable_grad():
            reading = site.reader.read(clean, class_rows(clean.out.argmax(-1), 2))
        bits = site.reader.first.to_map(site.bits(module.readout.eval()(reading.features, reading.directions), reading))
    inside = bits[:, 2:4, 5:7].sum((1, 2)) / bits.sum((1, 2))
    assert inside.mean() > 0.9


def test_the_gap_to_fitted_ratios_falls_and_a_constant_ratio_is_worse(tmp_path):
    model = confident()
    module = prepared(CoIBAReadout, model, layers=["blocks.0.norm1", "blocks.3.norm1"], gap_images=8, lr=3e-3)
    images, held_out = tiny.images(128, (32, 32), seed=4), tiny.images(16, (32, 32), seed=5)
    logger = TensorBoardLogger(tmp_path, name="", version="")
    fit(module, images, 240, held_out, logger=logger, check_val_every_n_epoch=5, log_every_n_steps=1)
    events = EventAccumulator(str(tmp_path)).Reload()
    parts = {"loss", "cross_entropy", "information", "bits"}
    wanted = {f"{split}/{part}" for split in ("train", "val") for part in parts} | {"val/gap", "lr"}
    assert wanted <= set(events.Tags()["scalars"])
    assert events.Tags()["images"] == ["maps"]
    gaps = [event.value for event in events.Scalars("val/gap")]
    assert gaps[-1] < 0.8 * gaps[0]
    keys, site = image_keys(held_out), module._site
    with frozen(model):
        clean = site.reader.forward(held_out)
        targets = class_rows(clean.out.argmax(-1), tiny.CLASSES)
        reading = site.reader.read(clean, targets)
        module.readout.eval()
        alpha = module.readout(reading.features, reading.directions).detach()
        of = [
            measured(site, clean.state, targets, reading.squared, values, keys).mean()
            for values in (alpha, *(torch.full_like(alpha, float(one)) for one in torch.linspace(-5, 8, 41)))
        ]
    assert of[0] < min(of[1:])


def test_a_model_in_bf16_gives_ratios_in_the_order_of_those_in_fp32():
    model = confident()
    module = prepared(CoIBAReadout, model, gap_images=0, lr=3e-3)
    fit(module, tiny.images(64, (32, 32), seed=4), 60)
    module.readout.eval()
    images = tiny.images(16, (32, 32), seed=6)
    found = []
    for low in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=low), frozen(model):
            clean = module._site.reader.forward(images)
            reading = module._site.reader.read(clean, class_rows(torch.arange(16) % 10, 10))
            found.append(module.readout(reading.features, reading.directions).detach())
    assert found[1].dtype == torch.float32
    assert spearman(*found).mean() > 0.98


@pytest.mark.parametrize("kind", METHODS)
def test_what_a_fit_exports_is_what_its_method_reads(kind, tmp_path):
    model, images = tiny.vit(), tiny.images(16, (32, 32))
    module = prepared(kind, model)
    with pytest.raises(InputError, match="the readout is not trained: fit it first"):
        module.trained()
    file = tmp_path / "out" / "readout.safetensors"
    fit(module, images, 2, images[:4], callbacks=[ExportReadout(str(file), command="lit-coiba fit")])
    readout = TrainedReadout.load(file)
    assert (readout.about.steps, readout.about.images, readout.about.model) == (2, 8, model.digest())
    maps = METHODS[kind](str(file)).attribute(model, images[:4])
    shown = module._of(images[:4], HELD_OUT)["maps"]
    torch.testing.assert_close(maps, shown.detach(), rtol=1e-4, atol=1e-3)
    card = file.with_suffix(".md").read_text()
    assert card.startswith("# readout\n\nA readout: it belongs to one model")
    assert all(word in card for word in ("`lit-coiba fit`", "2 steps of 8 images", "val/loss", readout.digest()))


def test_what_cannot_be_trained_is_refused_in_one_sentence(tmp_path):
    model, images = tiny.vit(), tiny.images(8, (32, 32))
    with pytest.raises(InputError, match="backbone is a Linear: give a Backbone"):
        CoIBAReadout(nn.Linear(2, 2))
    with pytest.raises(InputError, match="there is no data module of lit-coiba: call prepare"):
        fit(CoIBAReadout(model), images, 1)
    with pytest.raises(InputError, match=r"set trainer\.max_epochs or trainer.max_steps"):
        fit(prepared(CoIBAReadout, model), images, -1, max_epochs=-1)
    with pytest.raises(InputError, match="ExportReadout exports readouts, and Plain is none: take ExportWeights"):
        fit(Plain(), images, 1, callbacks=[ExportReadout(str(tmp_path / "x.safetensors"))])
    with pytest.raises(InputError, match=r"name it readout.pth.safetensors"):
        ExportReadout("readout.pth")
    (tmp_path / "notes.safetensors").write_text("mine")
    with pytest.raises(InputError, match=r"notes.safetensors"):
        fit(prepared(CoIBAReadout, model), images, 1, callbacks=[ExportReadout(str(tmp_path / "notes.safetensors"))])
    with pytest.raises(InputError, match="has the readout without its model"):
        CoIBAReadout.load_from_checkpoint("x.ckpt")
    assert (tmp_path / "notes.safetensors").read_text() == "mine"
    with pytest.raises(TypeError):
        Readout(model)


class Plain(LightningModule):
    def training_step(self, batch, batch_idx):
        raise AssertionError("nothing is trained")

    def configure_optimizers(self):
        return None
