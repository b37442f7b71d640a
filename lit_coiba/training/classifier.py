"""Train a classifier on any timm backbone, so that there is something to explain."""

from __future__ import annotations

import math
from collections.abc import Callable
from inspect import signature
from typing import Any

from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn.functional import cross_entropy

from lit_coiba.backbones import Backbone
from lit_coiba.backbones.fused_attention import attention_modules, unfused_if_slow
from lit_coiba.backbones.missing_parts import tell_missing_parts
from lit_coiba.backbones.weight_values import check_values
from lit_coiba.core.batch import Batch
from lit_coiba.core.behavior import refuse_one_logit, refuse_without_classes
from lit_coiba.core.class_identity import class_identity
from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.core.whole_signature import whole_signature
from lit_coiba.data.stage_samples import samples_of
from lit_coiba.heads.description import build, describe
from lit_coiba.heads.head import Head
from lit_coiba.perturbation.baselines import Baseline
from lit_coiba.training.checkpoint_file import fitting, read_checkpoint, rewritten
from lit_coiba.training.feature_cache import CachedFeatures
from lit_coiba.training.feature_file import Features
from lit_coiba.training.hits import accuracies, hits
from lit_coiba.training.mixing import mixing
from lit_coiba.training.named_classes import NamedClasses
from lit_coiba.training.optimization import Kind, Schedule, check_recipe, checked_kinds, optimization
from lit_coiba.training.removing import lacking, removing
from lit_coiba.training.saved_arguments import rebuilt
from lit_coiba.training.teacher import Teacher
from lit_coiba.training.trained_part import TrainedPart, backbone_scales

CLASS = "lit_coiba.class"  # the key of a checkpoint that says which class it is of
MODULES = ("self", "__class__", "backbone", "head", "teacher")  # all other arguments are plain values


class Classifier(LightningModule):
    """A backbone with a head or its own classifier, its loss, optimizer and logs; trained by the Trainer's `fit`.

    Batches are ``(images, targets)``: images ``(B, 3, H, W)``, targets a class index ``(B,)`` or a probability for each
    class ``(B, K)``. The loggers get ``lr``, ``train/loss``, ``train/accuracy``, the same for ``val`` and ``test``, and
    ``val/NAME/loss`` and so on if a data module has several named loaders; ``val/top5`` if there are more than five
    classes; and the head's own measures at the end of each epoch, ``head/NAME``.

    Args:
        backbone: The network. A dictionary of its arguments works too; checkpoints of this class contain one.
        head: Head that replaces the backbone's own classifier: a class of `lit_coiba.heads`, or a callable that makes
            one from the numbers of channels and classes. A dictionary from `heads.describe` works too.
        frozen: Whether to train only the head, or the classifier layer; the rest stays, running statistics too.
        lr: Peak learning rate.
        backbone_lr: Peak learning rate of everything except the head or the classifier layer; None = `lr`.
        layer_decay: Factor on the learning rate from each layer of the backbone to the one below it; 1 = none.
        weight_decay: Weight decay, not applied to norms, biases and embeddings.
        warmup: Share of all steps during which the learning rate rises; then it falls to 0 along a cosine.
        label_smoothing: Share of each training target that is spread over all classes.
        mixup: Parameter of the Beta distribution by which pairs of images are mixed (Zhang et al., 2018); 0 = off.
        cutmix: Parameter of the same distribution for rectangles that are pasted from one image into another (Yun et
            al., 2019); 0 = off. With both, each batch draws one.
        remove_cell: Probability that a training image lacks one cell, as the metric `IDSDS` asks for; 0 = off.
        remove_pixels: Share of the pixels that every training image lacks, as `FFidelity` asks for; 0 = off.
        removed_grid: Cells a side.
        removed_baseline: What takes the place of what is missing; see `perturbation.baselines.BaselineImages`.
        optimizer: ``adamw``, or ``sgd`` with momentum 0.9.
        schedule: ``cosine``, or ``step``: a tenth of the learning rate after each third of all steps.
        teacher: Network whose logits are trained on too (distillation). A dictionary of its arguments works too.
        class_names: Names of the classes in index order, which go into the checkpoint; None = those of the data. Labels
            of data whose classes have names are found by these.
        trained_layers: Names of the layers of the backbone that are trained beside the head or the classifier layer,
            such as the last stages, with their batch norms' statistics as they are. None = all, or with `frozen` none.

    Raises:
        InputError: The frozen backbone has no classifier layer to train, a head is given for a model that is not
            timm's, or a number is out of range.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: Callable[[int, int], Head] | None = None,
        frozen: bool = False,
        lr: float = 1e-3,
        backbone_lr: float | None = None,
        layer_decay: float = 1.0,
        weight_decay: float = 0.05,
        warmup: float = 0.05,
        label_smoothing: float = 0.0,
        mixup: float = 0.0,
        cutmix: float = 0.0,
        remove_cell: float = 0.0,
        remove_pixels: float = 0.0,
        removed_grid: int = 4,
        removed_baseline: Baseline | float = "zero",
        optimizer: Kind = "adamw",
        schedule: Schedule = "cosine",
        teacher: Teacher | None = None,
        class_names: list[str] | None = None,
        trained_layers: list[str] | None = None,
    ) -> None:
        super().__init__()
        arguments = {k: v for k, v in locals().items() if k not in MODULES}
        self.backbone = Backbone(**backbone) if isinstance(backbone, dict) else backbone
        if isinstance(head, dict):
            self.backbone.attach(build(head))
        elif head is not None:
            self.backbone.attach(head(self.backbone.feature_channels, self.backbone.num_classes))
        refuse_without_classes(self.backbone)
        refuse_one_logit(self.backbone.num_classes, "its cross-entropy teaches nothing: the probability is")
        self.frozen, self.trained_layers = frozen, trained_layers
        self.lr, self.backbone_lr, self.layer_decay = lr, backbone_lr, layer_decay
        self.weight_decay, self.warmup, self.label_smoothing = weight_decay, warmup, label_smoothing
        check_recipe(lr, backbone_lr, layer_decay, weight_decay, warmup=warmup, label_smoothing=label_smoothing)
        self.optimizer, self.schedule = checked_kinds(optimizer, schedule)
        self.removing = removing(remove_cell, removed_grid, remove_pixels, removed_baseline)
        self._mixing = mixing(mixup, cutmix, self.backbone.num_classes)
        own = {"checkpoint": None, "pretrained": False}  # a checkpoint brings the weights itself
        saved = {"backbone": self.backbone.arguments and {**self.backbone.arguments, **own}, **arguments}
        attached = self.backbone.head
        saved["head"] = describe(attached) if isinstance(attached, Head) else None
        self.teacher = Teacher(**teacher) if isinstance(teacher, dict) else teacher
        saved["teacher"] = self.teacher.arguments() if self.teacher is not None else None
        self.save_hyperparameters(saved)
        self._classes = NamedClasses(class_names, self.backbone)
        self._trained = TrainedPart(self.backbone, trained_layers or ()) if frozen or trained_layers else None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__signature__ = whole_signature(cls)  # type: ignore[attr-defined]

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: Any,
        map_location: Any = None,
        hparams_file: Any = None,
        strict: bool | None = None,
        weights_only: bool | None = True,
        **arguments: Any,
    ) -> Classifier:
        """Lightning's `load_from_checkpoint`, from a file that may come from anyone: nothing that it holds is run.

        Args:
            checkpoint_path: Checkpoint of a fit.
            map_location: See Lightning.
            hparams_file: Not used: the checkpoint has the arguments.
            strict: See Lightning.
            weights_only: See Lightning.
            **arguments: Arguments in the place of those in the file; `head` and `teacher` may be the class of the
                file's, which has to be named where it is one of your own, as a file never imports a class.

        Raises:
            InputError: The file cannot be read, or asks for what is not named or no checkpoint of ours asks for.
        """
        file = str(checkpoint_path)
        content = read_checkpoint(file)
        own = rebuilt(content.get("hyper_parameters", {}), signature(cls).parameters, file, arguments)
        with fitting(file):
            return super().load_from_checkpoint(rewritten(content), map_location, None, strict, weights_only, **own)

    @property
    def network(self) -> Backbone:
        """What is explained."""
        return self.backbone

    @property
    def preprocessing(self) -> Preprocessing:
        """How a picture becomes input of the network; data modules read it."""
        return self.backbone.preprocessing

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(B, K)``."""
        return self.backbone(images)

    @property
    def class_names(self) -> list[str] | None:
        """Names of the classes in index order; None = unknown."""
        return self._classes.names

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse weights that are not plain finite numbers."""
        check_values(checkpoint["state_dict"], self.state_dict(), "checkpoint")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say which class it is of."""
        checkpoint[CLASS] = class_identity(type(self))

    def setup(self, stage: str) -> None:
        """Learn the names of the data's classes, or compare them; data of other classes are refused."""
        data = getattr(self.trainer, "datamodule", None)
        images = samples_of(data.data if isinstance(data, CachedFeatures) else data, stage)
        if images is not None and stage != "predict":
            self._classes.meet(images, fitting=stage == "fit")
            self.hparams["class_names"] = self.backbone.class_names = self._classes.names

    def in_own_order(self, targets: Tensor) -> Tensor:
        """Targets of the data, class indices ``(B,)`` or probabilities ``(B, K)``, in the order of this classifier."""
        return self._classes.targets(targets)

    def on_fit_start(self) -> None:
        """The teacher gets its weights, and what was measured of these weights is forgotten."""
        tell_missing_parts(self.backbone.model, None)
        if self.teacher is not None:
            self.teacher.prepare(self.backbone, self.device)

    def on_train_epoch_start(self) -> None:
        """What is not trained evaluates, so that running statistics and dropout leave it as it is."""
        if self._trained is not None:
            self._trained.train()

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Loss of one batch, scalar."""
        self.log("lr", self.optimizers().param_groups[0]["lr"])  # type: ignore[union-attr]
        batch = self._classes.batch(batch)
        if isinstance(self.backbone.head, Head):
            self.backbone.head.anneal(self.global_step / self.trainer.estimated_stepping_batches)
        if self._mixing is not None and batch[1].dim() == 1 and not isinstance(batch, Features):
            batch = self._mixing(*batch)
        return self._loss(lacking(batch, self.removing, self.backbone), "train")

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """One step; then a head brings its weights back to where they may be."""
        super().optimizer_step(*args, **kwargs)
        if isinstance(self.backbone.head, Head):
            self.backbone.head.constrain()

    def on_train_epoch_end(self) -> None:
        """Log what a head says of itself."""
        if isinstance(self.backbone.head, Head):
            self.log_dict({f"head/{name}": value for name, value in self.backbone.head.diagnostics().items()})

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Log loss and accuracy, and the accuracy without what is removed in training."""
        self._loss(batch := self._classes.batch(batch), name := self._named("val", dataloader_idx))
        if self.removing is not None:
            shown, targets = lacking(batch, self.removing.always(), self.backbone, batch_idx)
            right = hits(self(shown).float(), targets).float().mean()
            name = f"{name}/accuracy_{self.removing.name}"
            self.log(name, right, batch_size=len(shown), sync_dist=True, add_dataloader_idx=False)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Log loss and accuracy."""
        self._loss(self._classes.batch(batch), self._named("test", dataloader_idx))

    def predict_step(self, batch: Batch) -> Tensor:
        """Class probabilities of one block, ``(B, K)``."""
        return self(batch.images).float().softmax(-1)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimizer; its learning rate falls until the last step."""
        steps = self.trainer.estimated_stepping_batches
        if not math.isfinite(steps):
            raise InputError("the learning rate falls until the last step: set trainer.max_epochs or trainer.max_steps")
        scales = backbone_scales(self.backbone, self.lr, self.backbone_lr, self.layer_decay)
        recipe = self.optimizer, self.schedule, self.lr, self.weight_decay, scales, int(steps), self.warmup
        return optimization(self, *recipe)  # type: ignore[return-value]

    def logits(self, batch: Any) -> Tensor:
        """Logits ``(B, K)`` of a batch of images or features, in float32 at least."""
        if isinstance(batch, Features):
            assert self.backbone.head is not None  # it was, when they were computed
            return self.backbone.head(batch.values).float()
        with unfused_if_slow(attention_modules(self.backbone), batch[0]):
            return self(batch[0]).float()

    def objective(self, batch: Any, logits: Tensor, stage: str) -> Tensor:
        """Loss of a batch, scalar: what a classifier of another training says otherwise.

        Args:
            batch: Images or features, targets, and what else the data module gives.
            logits: What the network says of them ``(B, K)``.
            stage: ``train``, or what stands before the names of the measures of an evaluation, such as ``val``.
        """
        label_smoothing = self.label_smoothing if stage == "train" else 0.0
        if self.teacher is not None and stage == "train":
            return self.teacher.loss(batch[0], logits, batch[1], label_smoothing)
        return cross_entropy(logits, batch[1], label_smoothing=label_smoothing)

    def outcome(self, batch: Any, stage: str) -> tuple[Tensor, Tensor]:
        """Logits ``(B, K)`` and loss of a batch; for a training that changes how they are computed."""
        logits = self.logits(batch)
        return logits, self.objective(batch, logits, stage)

    def _loss(self, batch: Any, name: str) -> Tensor:
        targets = batch[1]
        logits, loss = self.outcome(batch, name)
        measured = {f"{name}/loss": loss, **accuracies(name, logits, targets)}
        weighing: dict[str, Any] = {"batch_size": len(targets), "sync_dist": name != "train"}  # of means
        self.log_dict(measured, prog_bar=True, add_dataloader_idx=False, **weighing)
        return loss

    def _named(self, stage: str, dataloader_idx: int) -> str:
        loaders = self.trainer.test_dataloaders if stage == "test" else self.trainer.val_dataloaders
        return f"{stage}/{list(loaders)[dataloader_idx]}" if isinstance(loaders, dict) else stage
