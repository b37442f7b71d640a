"""EPIC's training: purer channels, the same function, and the schedule of the paper."""

import numpy as np
import pytest
import torch

from lit_coiba.core.errors import InputError
from lit_coiba.functional import channel_purity
from lit_coiba.heads import EPICHead
from lit_coiba.trainer import Trainer
from lit_coiba.training.feature_file import FeatureFile
from lit_coiba.training.purity_training import PurityTraining
from tests._testers import tiny

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*LeafSpec.*")

CHANNELS, IMAGES = 6, 90


@pytest.fixture
def features(tmp_path):
    """Each image has one of six directions, which a rotation hides, at one of four places; and some noise."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.linalg.qr(torch.randn(CHANNELS, CHANNELS, generator=generator)).Q
    values = torch.zeros(IMAGES, CHANNELS, 2, 2)
    kinds = torch.arange(IMAGES) % CHANNELS
    values[torch.arange(IMAGES), kinds, 0, 1] = 1 + torch.rand(IMAGES, generator=generator)
    values = torch.einsum("cd,bdhw->bchw", hidden, values) + 0.02 * torch.randn(values.shape, generator=generator)
    np.save(tmp_path / "features.npy", values[None].numpy().astype(np.float16))
    return FeatureFile(tmp_path / "features.npy", kinds[None])


def head():
    made = EPICHead(CHANNELS, 3)
    generator = torch.Generator().manual_seed(1)
    made.init_from_linear(torch.randn(3, CHANNELS, generator=generator), torch.randn(3, generator=generator))
    return made


def trainer(**arguments):
    calm = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "enable_checkpointing": False}
    return Trainer(accelerator="cpu", devices=1, **calm, **arguments)


def test_channels_become_purer_and_the_function_stays(features):
    training = PurityTraining(head(), features, counts=[15, 10, 5], epochs=20, lr=1e-2)
    images = features.__getitems__(list(range(8))).values
    logits, before = training.head(images), training.purity(5).mean()
    fitted = trainer(**training.trainer_arguments())
    fitted.fit(training)
    assert training.purity(5).mean() > before + 0.1
    assert fitted.callback_metrics["purity"] > before
    assert torch.equal(training.head(images), logits)
    sums = training.head.contributions(images, 1).sum(1) + training.head.bias[1]
    torch.testing.assert_close(sums, logits[:, 1], rtol=1e-4, atol=1e-5)
    assert training.head.rotate.orthogonality_error() < 1e-5


def test_strongest_images_have_the_largest_sums_and_purity_is_theirs(features):
    training = PurityTraining(head(), features, counts=[5])
    torch.nn.init.normal_(training.head.rotate.generator)
    turned = training.head.activations(features.__getitems__(list(range(IMAGES))).values).detach()
    found, purity = training.strongest(4), training.purity(4)
    for channel in range(CHANNELS):
        sums = turned[:, channel].sum((-2, -1))
        expected = sorted(range(IMAGES), key=lambda image: -sums[image].item())[:4]
        assert found[:, channel].tolist() == expected
        mean = channel_purity(turned)[expected, channel].mean()
        assert purity[channel].item() == pytest.approx(mean.item(), abs=1e-5)


def test_pairs_follow_the_schedule_and_one_optimiser_serves_all(features, monkeypatch):
    training = PurityTraining(head(), features, counts=[9, 4], epochs=2)
    seen, made = [], []
    real = training.training_step

    def watched(batch, batch_idx):
        seen.append((training.current_epoch, batch))
        return real(batch, batch_idx)

    monkeypatch.setattr(training, "training_step", watched)
    optimizers = training.configure_optimizers
    monkeypatch.setattr(training, "configure_optimizers", lambda: made.append(1) or optimizers())
    trainer(**training.trainer_arguments()).fit(training)
    sizes = [sum(len(batch[0]) for epoch, batch in seen if epoch == wanted) for wanted in range(4)]
    assert sizes == [9 * CHANNELS, 9 * CHANNELS, 4 * CHANNELS, 4 * CHANNELS]
    assert made == [1]
    for _, (images, channels) in seen:
        assert channels.bincount(minlength=CHANNELS).unique().numel() == 1
        assert images.max() < IMAGES


@pytest.mark.parametrize(
    ("counts", "sentence"), [([], "give numbers from 1"), ([100], "to 90"), ([0], "from 1"), ([4, 5], "that fall")]
)
def test_counts_that_cannot_be(features, counts, sentence):
    with pytest.raises(InputError, match=sentence):
        PurityTraining(head(), features, counts=counts)


def test_the_default_counts_fit_few_images(features):
    assert PurityTraining(head(), features).counts == [90, 90, 81, 71, 62, 52, 43, 33, 24, 14, 5]


def test_a_head_that_was_attached_to_a_frozen_classifier_can_still_be_turned(features):
    backbone = tiny.vit()
    backbone.requires_grad_(False)
    backbone.attach(EPICHead(32, 3))  # nothing that the logits depend on asks for a gradient
    attached = EPICHead(CHANNELS, 3)
    attached.requires_grad_(False)
    training = PurityTraining(attached, features, counts=[5], epochs=2)
    trainer(**training.trainer_arguments()).fit(training)
    assert attached.rotate.generator.abs().max() > 0
