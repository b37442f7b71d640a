"""What all readouts share while they are trained: statistics first, a model that stays as it is, a file at the end."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from msgspec import structs
from torch import Tensor, nn

from lit_coiba.backbones import Backbone
from lit_coiba.backbones.trained import take_backbone
from lit_coiba.backbones.weight_values import check_values
from lit_coiba.bottlenecks.leak import sample_images
from lit_coiba.bottlenecks.method import BottleneckMethod
from lit_coiba.bottlenecks.readout.noised import image_keys
from lit_coiba.bottlenecks.readout.trained_readout import Kind, ReadoutHeader, TrainedReadout
from lit_coiba.bottlenecks.readout.training_targets import training_classes
from lit_coiba.bottlenecks.statistics import (
    ActivationStatistics,
    describe_preprocessing,
    estimate_statistics,
    images_of,
)
from lit_coiba.core.behavior import refuse_one_logit, refuse_without_classes
from lit_coiba.core.errors import InputError, check_count
from lit_coiba.core.frozen import frozen
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.core.targets import Resolved
from lit_coiba.core.targets.class_target import class_rows
from lit_coiba.core.whole_signature import whole_signature
from lit_coiba.data.module import BlockDataModule
from lit_coiba.heads.head import Head
from lit_coiba.training.optimization import check_recipe, optimization
from lit_coiba.training.plain_images import plain_images
from lit_coiba.training.saliency_pictures import SaliencyPictures

KEY = "lit_coiba.readout"  # of a checkpoint: what the readout is of
CLIP = 1.0  # largest norm of the gradient, where the Trainer says nothing
HELD_OUT = -1  # the step that the noise of validation images is keyed by


class Readout(LightningModule, ABC):
    """A small network that is trained to say at once what a method would have to fit for each image.

    Args:
        backbone: The model, which stays as it is.
        statistics: File of ``lit-coiba statistics``, of all layers that are read; None = estimated over the training
            images before the first step.
        statistics_images: Number of images for them at most, evenly spaced.
        lr: Peak learning rate of AdamW.
        weight_decay: Weight decay of matrices.
        warmup: Share of all steps during which the learning rate rises; then it falls to 0 along a cosine.
        pictures: Number of validation images whose maps are shown in TensorBoard.
        seed: Seed of first weights, noise and training targets.
        weights: File with the weights of a trained classifier, a Lightning checkpoint or safetensors; they replace the
            backbone's, and the head that they were trained with is attached.
        head: Class of that head, if it is one of your own: a file never imports a class.
    """

    uses_labels = False  # data modules give them, and nobody reads them
    watched = "val/loss"

    def __init__(
        self,
        backbone: Backbone,
        statistics: str | None = None,
        statistics_images: int = 10_000,
        lr: float = 1e-3,
        weight_decay: float = 1e-4,
        warmup: float = 0.05,
        pictures: int = 8,
        seed: int = 0,
        weights: str | None = None,
        head: type[Head] | None = None,
    ) -> None:
        super().__init__()
        self._model = (take_backbone(backbone, weights, head),)  # no part of this module: not trained, not saved
        refuse_without_classes(self.backbone)
        refuse_one_logit(self.backbone.num_classes, "there is no cross-entropy to train by: the probability is")
        check_count(statistics_images=statistics_images)
        check_recipe(lr, None, 1.0, weight_decay, warmup=warmup)
        self.statistics, self.statistics_images = statistics, statistics_images
        self.lr, self.weight_decay, self.warmup, self.seed = lr, weight_decay, warmup, seed
        self.readout: nn.Module | None = None  # made once the layers are known
        self._about: ReadoutHeader | None = None
        self._statistics: ActivationStatistics | None = None
        self._images = 0  # of the last step, of all processes
        self._shown = SaliencyPictures(pictures)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__signature__ = whole_signature(cls)  # type: ignore[attr-defined]

    @abstractmethod
    def _method(self) -> BottleneckMethod:
        """The method whose statistics and layers are used."""

    @abstractmethod
    def _describe(self, statistics: ActivationStatistics) -> ReadoutHeader:
        """What the readout is, once the layers are known; steps and images are filled in at the end."""

    @abstractmethod
    def _build(self, about: ReadoutHeader, statistics: ActivationStatistics) -> nn.Module:
        """The untrained network; from now on there is a place in the model where it works."""

    @abstractmethod
    def _losses(self, images: Tensor, keys: list[str], step: int) -> dict[str, Tensor]:
        """``loss`` and its parts, means over the images; ``maps`` ``(B, h, w)`` where `step` is `HELD_OUT`."""

    @property
    def backbone(self) -> Backbone:
        """The model that is explained."""
        return self._model[0]

    @property
    def preprocessing(self) -> Preprocessing:
        """How a picture becomes input of the model; data modules read it."""
        return self.backbone.preprocessing

    def prepare(self, loader: Iterable[Any]) -> None:
        """Estimate the statistics over `loader`, test for leaks, and build the network.

        A fit with a data module of lit-coiba does it by itself.

        Args:
            loader: Any iterable of image tensors, ``(images, ...)`` tuples or `Batch`, or one tensor.
        """
        self._begin(self._estimated(loader))

    def trained(self) -> TrainedReadout:
        """What was learned, on the CPU.

        Raises:
            InputError: Nothing was.
        """
        if self.readout is None or self._about is None or self._statistics is None or not self._about.steps:
            raise InputError("the readout is not trained: fit it first, Trainer(...).fit(module, datamodule=data)")
        weights = {name: part.detach().cpu().clone() for name, part in self.readout.state_dict().items()}
        return TrainedReadout(self._about, weights, self._statistics)

    def setup(self, stage: str) -> None:
        """Statistics, layers and the network, before the first step of a fit; the first process estimates.

        Raises:
            InputError: There is nothing to estimate them from.
        """
        if stage != "fit" or self.readout is not None or self.trainer.ckpt_path is not None:
            return
        found = None
        if self.trainer.is_global_zero:
            self.backbone.to(self.trainer.strategy.root_device)
            with self.trainer.precision_plugin.forward_context():
                found = self._estimated(self._statistics_images())
        self._begin(self.trainer.strategy.broadcast(found))  # type: ignore[arg-type]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say what the readout is of, and keep the statistics."""
        assert self._statistics is not None
        told = {"header": self._statistics.header(), "tensors": self._statistics.tensors()}
        checkpoint[KEY] = {"class": type(self).__name__, "model": self.backbone.digest(), "statistics": told}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take statistics and layers over, and refuse a readout of another model.

        Raises:
            InputError: It is one, or weights are not plain finite numbers.
        """
        told = checkpoint.get(KEY)
        if not isinstance(told, dict) or told.get("class") != type(self).__name__:
            raise InputError(f"the checkpoint is not of a {type(self).__name__}: give one of the same fit")
        if told.get("model") != self.backbone.digest():
            raise InputError("the checkpoint is of a readout of another model: give the model of its fit")
        try:
            statistics = told["statistics"]
            self._begin(ActivationStatistics.of_tensors(statistics["header"], statistics["tensors"]))
        except (LookupError, TypeError, ValueError) as error:
            raise InputError(f"the checkpoint has no statistics of its layers ({error}): begin anew") from error
        check_values(checkpoint["state_dict"], self.state_dict(), "checkpoint")

    @classmethod
    def load_from_checkpoint(cls, *args: Any, **kwargs: Any) -> Any:
        """Refused: a checkpoint has no model.

        Raises:
            InputError: Always.
        """
        raise InputError(
            f"a checkpoint of {cls.__name__} has the readout without its model: make the module with the arguments of"
            " its fit and give the file as ckpt_path of Trainer.fit, or load what was exported,"
            " TrainedReadout.load(file)"
        )

    def on_fit_end(self) -> None:
        """The model comes back from the device, as the readout does."""
        self.backbone.cpu()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Loss of one batch, scalar."""
        self.log("lr", self.optimizers().param_groups[0]["lr"])  # type: ignore[union-attr]
        losses = self._of(batch[0], self.global_step)
        count = len(batch[0])
        self._images = count * self.trainer.world_size
        self.log_dict({f"train/{name}": one.detach() for name, one in losses.items()}, prog_bar=True, batch_size=count)
        return losses["loss"]

    def on_train_batch_end(self, *args: Any) -> None:
        """Remember what was trained."""
        assert self._about is not None
        self._about = structs.replace(self._about, steps=self.global_step, images=self._images)

    def on_validation_epoch_start(self) -> None:
        """New pictures."""
        self._shown.begin()

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Losses of held-out images of the first loader, by noise that is the same each time."""
        if dataloader_idx:
            return
        losses = self._of(batch[0], HELD_OUT)
        self._shown.add(batch[0], losses.pop("maps"))
        named = {f"val/{name}": one for name, one in losses.items()}
        self.log_dict(named, batch_size=len(batch[0]), sync_dist=True, add_dataloader_idx=False)

    def on_validation_epoch_end(self) -> None:
        """Show the maps of a few images."""
        self._shown.log(self, "maps")

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """The Trainer's, else by a norm of 1."""
        clip = CLIP if gradient_clip_val is None else gradient_clip_val
        self.clip_gradients(optimizer, clip, gradient_clip_algorithm)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW; its learning rate falls until the last step."""
        steps = self.trainer.estimated_stepping_batches
        if not math.isfinite(steps):
            raise InputError("the learning rate falls until the last step: set trainer.max_epochs or trainer.max_steps")
        return optimization(self, "adamw", "cosine", self.lr, self.weight_decay, {}, int(steps), self.warmup)  # type: ignore[return-value]

    def _of(self, images: Tensor, step: int) -> dict[str, Tensor]:
        if self.readout is None:
            raise InputError("the readout has no statistics: call prepare(loader) first")
        self.backbone.to(self.device)
        with frozen(self.backbone):
            return self._losses(self.backbone.ordered(images), image_keys(images), step)

    def _header(self, kind: Kind, layers: list[str], read: list[str], **options: Any) -> ReadoutHeader:
        """What a readout of this model is."""
        model, preprocessing = self.backbone.digest(), describe_preprocessing(self.backbone)
        return ReadoutHeader(kind, model, preprocessing, layers, read, seed=self.seed, **options)

    def _targets(self, logits: Tensor, keys: list[str], step: int) -> Resolved:
        """What is explained: the predicted class of held-out images, and mostly in training."""
        logits = logits.detach().float()
        chosen = logits.argmax(-1) if step == HELD_OUT else training_classes(logits, keys, self.seed, step)
        return class_rows(chosen, logits.shape[-1])

    def _begin(self, statistics: ActivationStatistics) -> None:
        """Build the network for the layers that the statistics have chosen; its first weights are those of the seed."""
        with torch.random.fork_rng(devices=[]), frozen(self.backbone):
            torch.manual_seed(self.seed)
            about = self._describe(statistics)
            self.readout = self._build(about, statistics)
        self._about, self._statistics = about, statistics

    def _estimated(self, loader: Iterable[Any]) -> ActivationStatistics:
        """Statistics of the layers that may be needed, with the leak test that chooses among them."""
        method = self._method()
        if self.statistics is not None:
            return method.set_statistics(self.backbone, ActivationStatistics.load(self.statistics), images_of(loader))
        sample, loader = sample_images(loader)
        return method.set_statistics(
            self.backbone, estimate_statistics(self.backbone, self._layers(method), loader), sample
        )

    def _layers(self, method: BottleneckMethod) -> list[str]:
        """Layers whose statistics are needed."""
        return method.statistics_layers(self.backbone)

    def _statistics_images(self) -> Iterator[Tensor]:
        """Training images as they are explained.

        Raises:
            InputError: They are not from a data module of lit-coiba.
        """
        data = getattr(self.trainer, "datamodule", None)
        if not isinstance(data, BlockDataModule):
            raise InputError(
                "activation statistics are estimated before the first step, and there is no data module of lit-coiba:"
                f" call prepare(loader) of the {type(self).__name__} first, or give statistics=FILE"
            )
        yield from plain_images(data, self.statistics_images)
