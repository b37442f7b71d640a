"""A classifier trained with importance maps: what is logged, what it learns, and what is refused."""

import copy

import pytest
import torch
from lightning import LightningDataModule, Trainer, seed_everything
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data.mapped import MappedBatch, mapped_batch
from lit_coiba.functional.importance import smooth_importance
from lit_coiba.losses.harmonization import harmonization_loss, training_saliency
from lit_coiba.training import Classifier, HarmonizedClassifier
from lit_coiba.training.double_backward import DoubleBackward
from lit_coiba.training.optimization import decayed

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*LeafSpec.*")

SIDE, CLASSES = 16, 3


def vit():
    kwargs = {"patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2}
    return Backbone("vit_tiny_patch16_224", num_classes=CLASSES, image_size=SIDE, crop_pct=1.0, timm_kwargs=kwargs)


def convolutional(*more):
    layers = [nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), *more, nn.Flatten()]
    return Backbone.wrap(nn.Sequential(*layers, nn.Linear(4 * SIDE * SIDE, CLASSES)), Preprocessing((SIDE, SIDE)))


def samples(count=12, known=True):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(count, 3, SIDE, SIDE, generator=generator)
    map = torch.zeros(SIDE, SIDE)
    map[2:6, 3:9] = 1.0
    maps = [map if known and k % 3 else None for k in range(count)]
    return mapped_batch(images, torch.arange(count) % CLASSES, maps)


class Mapped(LightningDataModule):
    def __init__(self, known=True):
        super().__init__()
        self.batch = samples(known=known)

    def train_dataloader(self):
        rows = [MappedBatch(*row) for row in zip(*self.batch)]
        return DataLoader(rows, batch_size=4)

    val_dataloader = test_dataloader = train_dataloader


def fit(module, folder, data=None, **arguments):
    seed_everything(0, verbose=False)
    trainer = Trainer(
        accelerator="cpu",
        logger=TensorBoardLogger(folder, name="", version="log", default_hp_metric=False),
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"enable_checkpointing": False, "max_epochs": 2, **arguments},
    )
    trainer.fit(module, datamodule=data or Mapped())
    return trainer


@pytest.fixture(autouse=True)
def _same_weights_in_every_run():
    torch.manual_seed(0)


def test_the_loss_is_the_sum_of_its_three_terms():
    module = HarmonizedClassifier(convolutional(), weight=2.0, l2=0.1, levels=3, label_smoothing=0.0)
    module.log = lambda *args, **kwargs: None
    twin, batch = copy.deepcopy(module.backbone), samples()
    module.train()
    module._double = DoubleBackward(module.backbone)

    logits, loss = module.outcome(batch, "train")
    parameters = [p for p in module.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(loss, parameters)

    twin.train()
    images = batch.images.clone().requires_grad_()
    out = twin(images)
    saliency = training_saliency(out, images, batch.targets)
    maps = smooth_importance(batch.importance, 64, 11, 10.0)
    expected = cross_entropy(out, batch.targets) + 2 * harmonization_loss(saliency, maps, batch.mapped, 3)
    weights = [p for p in twin.parameters() if p.dim() > 1]
    expected = expected + 0.05 * sum(p.square().sum() for p in weights)
    theirs = torch.autograd.grad(expected, list(twin.parameters()))
    assert torch.allclose(logits, out)
    assert loss.item() == pytest.approx(expected.item())
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(gradients, theirs))
    assert [p.dim() for p in decayed(module)] == [4, 2]


def test_without_weight_it_trains_as_a_classifier(tmp_path):
    plain = Classifier(convolutional(), lr=0.01, weight_decay=0.0, label_smoothing=0.1)
    torch.manual_seed(0)
    harmonized = HarmonizedClassifier(convolutional(), weight=0.0, l2=0.0, lr=0.01)

    fit(plain, tmp_path / "plain")
    fit(harmonized, tmp_path / "harmonized")

    weights = plain.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in harmonized.state_dict().items())


def test_alignment_and_reliance_are_logged_and_saliencies_shown(tmp_path):
    module = HarmonizedClassifier(convolutional(), lr=0.01, pictures=3)

    fit(module, tmp_path)

    events = EventAccumulator(str(tmp_path / "log"), size_guidance={"images": 0}).Reload()
    assert {
        *("train/harmonization", "train/loss", "val/loss", "val/accuracy", "val/alignment", "val/alignment_undefined"),
        *("val/accuracy_without_marked", "val/accuracy_without_rest"),
        *("val/logit_without_marked", "val/logit_without_rest"),
    } <= set(events.Tags()["scalars"])
    shown = events.Images("saliency")
    assert len(shown) == 2  # one each epoch
    assert (shown[0].width, shown[0].height) == (3 * SIDE + 4, 3 * SIDE + 4)  # image, map and saliency of three
    alignment = [one.value for one in events.Scalars("val/alignment")]
    assert all(-1 <= value <= 1 for value in alignment)


def test_harmonizing_raises_alignment_and_lowers_the_loss(tmp_path):
    values = {}
    for weight in (0.0, 5.0):
        torch.manual_seed(0)
        module = HarmonizedClassifier(convolutional(), weight=weight, lr=0.02)
        trainer = fit(module, tmp_path / str(weight), max_epochs=25)
        values[weight] = trainer.validate(module, datamodule=Mapped(), verbose=False)[0]["val/alignment"]
    assert values[5.0] > values[0.0] + 0.2


def test_an_evaluation_counts_constant_saliencies(tmp_path):
    constant = Backbone.wrap(
        nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, CLASSES)), Preprocessing((SIDE,) * 2)
    )
    nn.init.zeros_(constant.model[1].weight)
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)

    (found,) = trainer.validate(HarmonizedClassifier(constant), datamodule=Mapped(), verbose=False)

    assert found["val/alignment"] == 0
    assert found["val/alignment_undefined"] == 1


def test_fused_attention_without_a_second_derivative_is_left(tmp_path, capsys, caplog):
    backbone = vit()
    backbone.train()
    with caplog.at_level("INFO"):
        double = DoubleBackward(backbone)
    assert "attention runs without its fused kernels" in caplog.text

    images = torch.randn(2, 3, SIDE, SIDE, requires_grad=True)
    with double.possible():
        (gradient,) = torch.autograd.grad(backbone(images).sum(), images, create_graph=True)
    gradient.square().sum().backward()
    weight = backbone.model.blocks[0].attn.qkv.weight
    numeric, step = [], 1e-3
    for sign in (1, -1):
        with torch.no_grad():
            weight[20, 3] += sign * step
        x = images.detach().clone().requires_grad_()
        with double.possible():
            (changed,) = torch.autograd.grad(backbone(x).sum(), x)
        numeric.append(changed.double().square().sum().item())
        with torch.no_grad():
            weight[20, 3] -= sign * step
    assert weight.grad[20, 3].item() == pytest.approx((numeric[0] - numeric[1]) / (2 * step), rel=0.02, abs=1e-4)

    fit(HarmonizedClassifier(vit()), tmp_path)  # to its end


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.square()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return 2 * x * gradient


class Square(nn.Module):
    def forward(self, x):
        return Once.apply(x)


def test_a_layer_without_a_second_derivative_is_refused_by_name(tmp_path):
    module = HarmonizedClassifier(convolutional(nn.Sequential(nn.Identity(), Square())))
    before = copy.deepcopy(module.state_dict())

    with pytest.raises(InputError, match=r"layer 3\.1 \(Square\) has no second derivative .*train a plain Classifier"):
        fit(module, tmp_path)

    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_looking_for_second_derivatives_leaves_the_model_as_it_was():
    backbone = convolutional()
    backbone.train()
    before, state = copy.deepcopy(backbone.state_dict()), torch.get_rng_state()

    DoubleBackward(backbone)

    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in backbone.parameters())


def test_data_without_any_map_are_refused_after_an_epoch(tmp_path):
    with pytest.raises(InputError, match=r"no training image has an importance map.*data\.importance"):
        fit(HarmonizedClassifier(convolutional()), tmp_path, Mapped(known=False))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weight": -1.0}, "weight is -1"),
        ({"levels": 0}, "levels is 0"),
        ({"saliency": "squared"}, "saliency is 'squared'"),
        ({"map_sigma": 0.0}, "map_sigma is 0"),
        ({"mixup": 0.2}, "mixup changes images"),
        ({"remove_cell": 0.5}, "remove_cell changes images"),
    ],
)
def test_bad_arguments_are_one_sentence(arguments, message):
    with pytest.raises(InputError, match=message):
        HarmonizedClassifier(convolutional(), **arguments)


def test_a_checkpoint_has_its_arguments(tmp_path):
    trainer = fit(HarmonizedClassifier(vit(), weight=0.5, lr=0.003), tmp_path)
    trainer.save_checkpoint(tmp_path / "x.ckpt")

    loaded = HarmonizedClassifier.load_from_checkpoint(tmp_path / "x.ckpt")

    assert (loaded.weight, loaded.lr, loaded.hparams["levels"]) == (0.5, 0.003, 5)
    assert Backbone.load(tmp_path / "x.ckpt").num_classes == CLASSES  # the network alone
