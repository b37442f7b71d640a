"""A student and its teacher: the loss, what stays as it is, checkpoints, what is refused."""

import copy

import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch.distributions import Categorical, kl_divergence

from lit_coiba.attribution import HeadAttribution
from lit_coiba.backbones import Backbone
from lit_coiba.callbacks.export_weights import save_half
from lit_coiba.core.errors import InputError
from lit_coiba.data import SyntheticParts
from lit_coiba.heads import BRNPAHead, LinearHead
from lit_coiba.heads.description import describe
from lit_coiba.modules.explainer import Explainer
from lit_coiba.trainer import Trainer
from lit_coiba.training.classifier import Classifier
from lit_coiba.training.teacher import Teacher
from tests.training.test_classifier import CLASSES, Colours, colours, fit, scalars

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*LeafSpec.*")

TINY = {"channels": [8, 8, 8, 8], "stem_width": 8}


@pytest.fixture(autouse=True)
def _same_weights_in_every_run():
    torch.manual_seed(0)


def resnet(**arguments):
    return Backbone("resnet10t", **{"num_classes": CLASSES, "image_size": 64, "timm_kwargs": TINY, **arguments})


def student(teacher, **arguments):
    head = lambda channels, classes: BRNPAHead(channels, classes, parts=2, dropout=0.0)  # noqa: E731
    return Classifier(resnet(unstrided_stages=3), head, teacher=teacher, **arguments)


@pytest.fixture
def file(tmp_path):
    """A trained classifier with a head, whose statistics are not those of a new model."""
    model = Classifier(resnet(), LinearHead, lr=0.05)
    fit(model, tmp_path / "teacher", epochs=5)
    save_half(model.backbone.model, tmp_path / "teacher.safetensors", {"head": describe(model.backbone.head)})
    return str(tmp_path / "teacher.safetensors")


def loaded(file):
    explainer = Explainer(resnet(), HeadAttribution(), weights=file)
    return explainer.network.eval()


class Watching(Callback):
    """The modes of the teacher at every step, and how often its weights had a gradient."""

    def __init__(self):
        self.modes, self.gradients = set(), 0

    def on_after_backward(self, trainer, module):
        network = module.teacher.backbone
        self.modes |= {part.training for part in network.modules()}
        self.gradients += sum(p.grad is not None or p.requires_grad for p in network.parameters())


def test_a_teacher_stays_as_it_is_and_the_student_learns(tmp_path, file):
    """Check 10 of the paper's specification."""
    model, watching = student(Teacher(resnet(), file), lr=0.02), Watching()
    trainer = fit(model, tmp_path, epochs=6, callbacks=[watching])
    expected = loaded(file).model.state_dict()
    network = model.teacher.backbone
    for name, tensor in network.model.state_dict().items():
        assert torch.equal(tensor, expected[name]), name  # also running statistics
    assert watching.modes == {False}
    assert watching.gradients == 0
    mine = {id(p) for group in trainer.optimizers[0].param_groups for p in group["params"]}
    assert mine == {id(p) for p in model.backbone.parameters() if p.requires_grad}
    assert not any("teacher" in name for name in model.state_dict())
    losses = scalars(tmp_path)["train/loss"]
    assert sum(losses[-3:]) < 0.7 * sum(losses[:3])


def test_the_loss_of_the_first_step_is_that_of_the_definition(tmp_path, file):
    teacher = Teacher(resnet(), file, temperature=3.0, alpha=0.4, weight=2.0)
    model = student(teacher, lr=1e-20)
    start = copy.deepcopy(model.backbone).train()
    fit(model, tmp_path, limit_train_batches=1)
    images, labels = (part[:7] for part in colours())
    with torch.no_grad():
        z_s, z_t = start(images), loaded(file)(images)
    divergence = kl_divergence(Categorical(logits=z_t / 3), Categorical(logits=z_s / 3)).mean()
    hard = -z_s.log_softmax(1)[range(7), labels].mean()
    expected = 2.0 * (0.4 * 9 * divergence + 0.6 * hard)
    assert scalars(tmp_path)["train/loss"][0] == pytest.approx(expected.item(), rel=1e-4)


def test_validation_knows_no_teacher(tmp_path, file):
    model = student(Teacher(resnet(), file, alpha=1.0), lr=1e-20)
    fit(model, tmp_path)
    images, labels = colours()
    loss = torch.nn.functional.cross_entropy(model.eval()(images), labels)
    assert scalars(tmp_path)["val/loss"] == pytest.approx([loss.item()], rel=1e-4)


def test_the_teacher_sees_mixed_images(tmp_path, file, monkeypatch):
    seen = []
    logits = Teacher.logits
    monkeypatch.setattr(Teacher, "logits", lambda self, images: seen.append(images) or logits(self, images))
    model = student(Teacher(resnet(), file), mixup=1.0)
    loss = Teacher.loss
    given = []
    monkeypatch.setattr(
        Teacher, "loss", lambda self, images, *rest: given.append((images, *rest)) or loss(self, images, *rest)
    )
    fit(model, tmp_path, limit_train_batches=1)
    ((mixed,), ((images, _, targets, _),)) = seen, given
    assert mixed is images
    assert targets.shape == (7, CLASSES)
    assert not torch.equal(mixed, colours()[0][:7])
    share, first, other = targets[1].max(), colours()[0][1], colours()[0][0]  # of two classes
    assert min((mixed[1] - (s * first + (1 - s) * other)).abs().max() for s in (share, 1 - share)) < 1e-5


def test_soft_targets_and_label_smoothing(tmp_path, file):
    model = student(Teacher(resnet(), file), label_smoothing=0.1)
    fit(model, tmp_path, Colours(soft=True))
    assert all(loss > 0 for loss in scalars(tmp_path)["train/loss"])


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
def test_a_checkpoint_reloads_without_the_teachers_file_and_a_fit_goes_on_with_it(tmp_path, file, monkeypatch):
    model = student(Teacher(resnet(), file, temperature=3.0, alpha=0.4, weight=2.0))
    fit(model, tmp_path, enable_checkpointing=True, callbacks=[ModelCheckpoint(tmp_path / "kept", "last")])
    kept = tmp_path / "kept" / "last.ckpt"
    content = torch.load(kept, weights_only=True)
    assert not any("teacher" in name for name in content["state_dict"])
    assert set(content["state_dict"]) == set(model.state_dict())
    with pytest.raises(InputError, match=r"was trained with model.teacher.weights .* name it too"):
        Classifier.load_from_checkpoint(kept)
    monkeypatch.chdir(tmp_path)  # no checkpoint has a file read from outside the working folder
    again = Classifier.load_from_checkpoint(kept, weights_only=True, map_location="cpu")
    assert again.hparams == model.hparams
    assert again.teacher.arguments() == model.teacher.arguments()
    assert again.teacher.arguments()["weights"] == file
    trainer = Trainer(max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.fit(again, datamodule=Colours(), ckpt_path=kept, weights_only=True)
    assert trainer.current_epoch == 2
    moved = tmp_path / "moved.safetensors"
    (tmp_path / "teacher.safetensors").rename(moved)
    images, _ = colours()
    late = Classifier.load_from_checkpoint(kept, weights_only=True, map_location="cpu").eval()
    torch.testing.assert_close(late(images), model.eval()(images), rtol=0, atol=0)
    with pytest.raises(InputError, match=r"teacher.safetensors does not exist"):
        fit(late, tmp_path / "late")


def test_a_teacher_that_cannot_be_built_again_is_not_saved():
    model = Classifier(resnet(), teacher=Teacher(Backbone.wrap(resnet().model, resnet().preprocessing)))
    assert model.hparams["teacher"] is None
    assert Classifier(resnet()).hparams["teacher"] is None


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"num_classes": 5}, "the teacher has 5 classes and the student has 3"),
        ({"image_size": 32}, r"its size is \(32, 32\) and theirs \(64, 64\)"),
        ({"mean": (0.1, 0.2, 0.3)}, r"its mean is \(0.1, 0.2, 0.3\)"),
    ],
)
def test_no_teacher_for_this_student(tmp_path, arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        fit(student(Teacher(resnet(**arguments))), tmp_path)


@pytest.mark.parametrize("numbers", [{"temperature": 0.0}, {"alpha": 1.2}, {"alpha": -0.1}, {"weight": 0.0}])
def test_numbers_out_of_range(numbers):
    with pytest.raises(InputError, match=f"{next(iter(numbers))} (is )?{next(iter(numbers.values()))}"):
        Teacher(resnet(), **numbers)


def test_cached_features_have_no_teacher(tmp_path):
    parts = Backbone("resnet10t", num_classes=20, image_size=64, timm_kwargs=TINY)
    model = Classifier(parts, LinearHead, frozen=True, teacher=Teacher(copy.deepcopy(parts)))
    trainer = Trainer(accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False)
    with pytest.raises(InputError, match="a teacher needs the images"):
        trainer.fit(model, datamodule=SyntheticParts(batch_size=8, num_workers=0), cache=str(tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()


def test_weights_of_other_strides_are_refused(tmp_path):
    """They would load, and the maps would be those of a network that nobody has trained."""
    high = Classifier(resnet(unstrided_stages=2), LinearHead)
    told = {"backbone": high.backbone.arguments, "head": describe(high.backbone.head)}
    save_half(high.backbone.model, tmp_path / "high.safetensors", told)
    with pytest.raises(InputError, match=r"trained with unstrided_stages 2, but the backbone has 0: set .* to 2"):
        Explainer(resnet(), HeadAttribution(), weights=str(tmp_path / "high.safetensors"))
    Explainer(resnet(unstrided_stages=2), HeadAttribution(), weights=str(tmp_path / "high.safetensors"))
