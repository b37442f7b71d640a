"""A 1-Lipschitz classifier from its first step to the file that it is loaded from."""

import pytest
import torch
from lightning import seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.nn.utils import parametrize

from lit_coiba import Trainer
from lit_coiba.backbones import Backbone
from lit_coiba.callbacks import ExportWeights
from lit_coiba.core.errors import InputError
from lit_coiba.heads import LinearHead
from lit_coiba.lipschitz import Certificate
from lit_coiba.training import Classifier, LipschitzClassifier
from tests._testers import lipschitz as small
from tests.training.test_classifier import CLASSES, Colours, colours

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*LeafSpec.*")


def made(**arguments):
    given = {"loss": "tau_ce", "temperature": 10.0, "convolution": "reshaped", "lr": 0.02} | arguments
    return LipschitzClassifier(small.backbone(classes=CLASSES), **given)


def fit(model, folder, epochs=3, ckpt_path=None, **arguments):
    seed_everything(0, verbose=False)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=TensorBoardLogger(folder, name="", version="log", default_hp_metric=False),
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        **arguments,
    )
    trainer.fit(model, datamodule=Colours(), ckpt_path=ckpt_path)
    return trainer


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lipschitz")
    model = made()
    trainer = fit(model, folder, 6)
    return model, folder, trainer.checkpoint_callback.best_model_path


def images():
    return colours()[0]


def test_what_is_explained_is_the_plain_network(trained):
    model, _, _ = trained
    network = model.eval().network
    assert not any(parametrize.is_parametrized(module) for module in network.modules())
    assert any(parametrize.is_parametrized(module) for module in model.backbone.modules())
    torch.testing.assert_close(network(images()), model(images()), rtol=1e-5, atol=1e-5)
    assert model.network is network  # made once for the same weights
    assert Certificate.of(network).constant <= 1.001


def test_it_learns_and_logs_what_is_certified(trained):
    _, folder, _ = trained
    events = EventAccumulator(str(folder / "log"))
    events.Reload()
    tags = events.Tags()
    names = {"val/certified_accuracy_36", "val/certified_accuracy_108", "val/certified_accuracy_1", "val/gradient_norm"}
    assert names | {"lipschitz_constant"} <= set(tags["scalars"])
    assert "certified_accuracy" in tags["images"]

    def last(name):
        return events.Scalars(name)[-1].value

    assert last("val/accuracy") == 1
    assert 1 >= last("val/certified_accuracy_36") >= last("val/certified_accuracy_108") > 0
    assert 0 < last("val/gradient_norm") <= 1.001
    assert 0 < last("lipschitz_constant") <= 1.001


def test_the_logged_accuracies_are_those_of_the_radii(trained):
    model, folder, _ = trained
    network = model.eval().network
    with torch.no_grad():
        logits = network(images())
    right = logits.argmax(1) == colours()[1]
    certified = (right & (Certificate.of(network).radius(logits) > 36 / 255)).double().mean()
    events = EventAccumulator(str(folder / "log"))
    events.Reload()
    assert events.Scalars("val/certified_accuracy_36")[-1].value == pytest.approx(certified.item(), abs=1e-6)


def test_a_checkpoint_is_loaded_as_classifier_and_as_plain_network(trained):
    model, _, file = trained
    expected = model.eval()(images())
    again = LipschitzClassifier.load_from_checkpoint(file).eval()
    torch.testing.assert_close(again(images()), expected)
    assert again.hparams["convolution"] == "reshaped"
    plain = Backbone.load(file).eval()
    torch.testing.assert_close(plain(images()), expected, rtol=1e-5, atol=1e-5)
    by_name = Backbone(
        "lipschitz_cnn", file, num_classes=CLASSES, image_size=16, timm_kwargs=plain.arguments["timm_kwargs"]
    )
    torch.testing.assert_close(by_name.eval()(images()), plain(images()))


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
def test_it_goes_on_exactly_where_it_stopped(tmp_path):
    """From the checkpoint after the second of four epochs: parameters, singular vectors and the moving average."""
    whole = made(loss="soft_hkr", temperature=1.0)
    fit(whole, tmp_path, 4, callbacks=[ModelCheckpoint(tmp_path / "kept", save_top_k=-1, filename="{epoch}")])
    resumed = made(loss="soft_hkr", temperature=1.0)
    again = [ModelCheckpoint(tmp_path / "kept", save_top_k=-1, filename="again-{epoch}")]
    fit(resumed, tmp_path, 4, str(tmp_path / "kept" / "epoch=1.ckpt"), callbacks=again)
    assert "soft_hkr.average" in whole.state_dict()
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], tensor, rtol=0, atol=0, msg=name)


def test_exported_weights_obey_and_have_a_card(tmp_path):
    model = made()
    fit(model, tmp_path, 1, callbacks=[ExportWeights(str(tmp_path / "small.safetensors"), "made by a test")])
    network = Backbone.load(tmp_path / "small.safetensors").eval()
    torch.testing.assert_close(network(images()), model.eval()(images()), rtol=1e-2, atol=1e-2)
    assert Certificate.of(network).constant <= 1.001
    assert "lipschitz_cnn" in (tmp_path / "small.md").read_text()


def test_a_chain_of_the_users_own_is_trained(tmp_path):
    torch.manual_seed(0)
    chain = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, CLASSES))
    model = LipschitzClassifier(
        Backbone.wrap(chain, image_size=16), loss="hkr", margin=0.5, convolution="reshaped", lr=0.02
    )
    fit(model, tmp_path, 2)
    assert Certificate.of(model.network).constant <= 1.001


@pytest.mark.parametrize("loss", ["hkr", "soft_hkr", "lse_hkr", "tau_ce"])
def test_every_loss_is_finite_and_soft_targets_are_for_cross_entropy(loss):
    model = made(loss=loss)
    logits, labels = torch.randn(4, CLASSES), torch.tensor([0, 2, 1, 1])
    assert model.objective((images()[:4], labels), logits, "train").isfinite()
    soft = torch.nn.functional.one_hot(labels, CLASSES).float()
    if loss == "tau_ce":
        assert model.objective((images()[:4], soft), logits, "train").isfinite()
    else:
        with pytest.raises(InputError, match=f"loss {loss} is for samples of one class.*multi_target to false"):
            model.objective((images()[:4], soft), logits, "train")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 10.0}, r"alpha is 10\.0: give a share from 0 to 1"),
        ({"margin": 0.0}, "margin is 0.0: give a number above 0"),
        ({"loss": "mse"}, "loss is 'mse': choose hkr, soft_hkr, lse_hkr, tau_ce"),
        ({"convolution": "bcop"}, "convolution is 'bcop': choose auto, aoc, reshaped"),
        ({"frozen": True}, "frozen does not go with a constraint on the whole network"),
        ({"mixup": 0.2}, "mixup does not go with a constraint"),
        ({"head": LinearHead}, "head does not go with a constraint"),
        ({"loss": "hkr", "label_smoothing": 0.1}, "label_smoothing is for tau_ce, and loss is hkr"),
        ({"radii": [-1.0]}, r"radii is \[-1.0\]"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        made(**arguments)


def test_a_network_with_other_layers_is_refused_by_the_layer():
    with pytest.raises(InputError, match=r"the Lipschitz constant of the model \(ResNet\) is not known"):
        LipschitzClassifier(Backbone("resnet10t", num_classes=3, image_size=32))


def test_weights_of_a_file_are_no_start(trained):
    _, _, file = trained
    told = Backbone.load(file).arguments["timm_kwargs"]
    backbone = Backbone("lipschitz_cnn", file, num_classes=CLASSES, image_size=16, timm_kwargs=told)
    with pytest.raises(InputError, match=r"backbone\.checkpoint is set, and no weights of a file"):
        LipschitzClassifier(backbone)


def test_a_checkpoint_without_a_constraint_is_not_loaded_as_one(tmp_path):
    """The unconstrained twin's checkpoint, in one sentence."""
    twin = Classifier(small.backbone(classes=CLASSES))
    trainer = fit(twin, tmp_path, 1)
    with pytest.raises(InputError, match=r"is of a network that is not 1-Lipschitz"):
        LipschitzClassifier.load_from_checkpoint(trainer.checkpoint_callback.best_model_path)
