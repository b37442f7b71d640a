"""Train a sparse autoencoder on the activations of a model: concepts of all classes, by the Trainer's `fit`."""

from __future__ import annotations

import math
from typing import Any

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from lit_coiba.backbones import Backbone
from lit_coiba.backbones.trained import take_backbone
from lit_coiba.backbones.weight_values import check_values
from lit_coiba.bottlenecks.statistics import describe_preprocessing
from lit_coiba.concepts.concept_dictionary import ConceptDictionary
from lit_coiba.concepts.crops import crop_boxes
from lit_coiba.concepts.dictionary_file import DictionaryHeader
from lit_coiba.concepts.dictionary_quality import DictionaryQuality, Quality
from lit_coiba.concepts.rows import activation_rows
from lit_coiba.concepts.sparse_autoencoder import Selection, SparseAutoencoder
from lit_coiba.core.errors import InputError, check_count, check_not_negative
from lit_coiba.core.frozen import frozen
from lit_coiba.core.network import SplitNetwork
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.heads.head import Head
from lit_coiba.training.optimization import check_recipe, optimization

KEY = "lit_coiba.concepts"  # of a checkpoint: what the activations are of


class ConceptAutoencoder(LightningModule):
    """A sparse autoencoder of the activations of one layer; the model that they are of stays as it is.

    Batches are those of a classifier, whose labels are not read: all images count, of all classes. The loggers get
    ``lr``, ``train/loss`` and ``train/auxiliary`` by step, and by epoch ``error`` (relative reconstruction error),
    ``l0`` (mean number of active concepts in a row) and ``dead`` (share of the concepts that are never active), of
    ``train`` and ``val``. A checkpoint has the autoencoder alone, without the model. ::

        module = ConceptAutoencoder(backbone, layer="layer4", n_concepts=512, k=16)
        Trainer(max_epochs=20).fit(module, datamodule=data)
        module.concepts().save("concepts.safetensors")

    Args:
        backbone: The model.
        layer: Layer on a grid, by its name in the model; None = that of class activation maps.
        n_concepts: Number of concepts.
        k: Number of concepts that are active in a row at most.
        selection: ``topk`` = the k largest of each row; ``batch_topk`` = k on average.
        crop_size: Side of square crops in pixels, each of which is a row, averaged over the layer's places; None = the
            rows are the layer's places in whole images.
        rows_per_step: Number of rows of one step and process at most; of more, a random part is used.
        k_aux: Number of dead concepts that learn from a row by the auxiliary loss; None = half the channels.
        auxiliary: Weight of the auxiliary loss (paper: 1/32); 0 = none.
        dead_after: Number of rows without activity after which a concept counts as dead in training.
        lr: Peak learning rate.
        warmup: Share of all steps during which the learning rate rises; then it falls to 0 along a cosine.
        seed: Seed of the dictionary that training begins with.
        weights: File with the weights of a trained classifier, a Lightning checkpoint or safetensors; they replace the
            backbone's, and the head that they were trained with is attached.
        head: Class of that head, if it is one of your own: a file never imports a class.

    Raises:
        InputError: The layer has no grid, or a number is outside its range.
    """

    watched = "val/error"

    center: Tensor
    scale: Tensor
    idle: Tensor
    frequency: Tensor
    measured: Tensor

    def __init__(
        self,
        backbone: Backbone,
        layer: str | None = None,
        n_concepts: int = 512,
        k: int = 16,
        selection: Selection = "topk",
        crop_size: int | None = None,
        rows_per_step: int = 8192,
        k_aux: int | None = None,
        auxiliary: float = 1 / 32,
        dead_after: int = 100_000,
        lr: float = 1e-3,
        warmup: float = 0.05,
        seed: int = 0,
        weights: str | None = None,
        head: type[Head] | None = None,
    ) -> None:
        super().__init__()
        check_count(rows_per_step=rows_per_step, dead_after=dead_after)
        check_not_negative(auxiliary=auxiliary)
        check_recipe(lr, None, 1.0, 0.0, warmup=warmup)
        self._model = (take_backbone(backbone, weights, head),)  # no part of this module: not trained, not saved
        self.layer = layer or backbone.cam_layer()
        self.crop_size, self.rows_per_step = crop_size, rows_per_step
        self.auxiliary, self.dead_after, self.lr, self.warmup = auxiliary, dead_after, lr, warmup
        self._boxes = [] if crop_size is None else crop_boxes(backbone.preprocessing.size, crop_size)
        channels = backbone.grid(self.layer).channels
        self.autoencoder = SparseAutoencoder(channels, n_concepts, k, selection, k_aux, seed)
        self.register_buffer("center", torch.zeros(channels))
        self.register_buffer("scale", torch.zeros(()))  # root of the mean square of a row; 0 = not known yet
        self.register_buffer("idle", torch.zeros(n_concepts, dtype=torch.int64))  # rows since a concept was active
        self.register_buffer("frequency", torch.zeros(n_concepts))
        self.register_buffer("measured", torch.zeros(4))  # error, L0, dead, rows
        self._quality: dict[str, DictionaryQuality] = {}
        self._validated = False  # in this epoch
        self._split: SplitNetwork | None = None

    @property
    def backbone(self) -> Backbone:
        """The model that the activations are of."""
        return self._model[0]

    @property
    def preprocessing(self) -> Preprocessing:
        """How a picture becomes input of the model; data modules read it."""
        return self.backbone.preprocessing

    @property
    def uses_labels(self) -> bool:
        """Labels are not read, so images may be without."""
        return False

    def forward(self, rows: Tensor) -> Tensor:
        """Coefficients ``(N, r)`` of activations ``(N, c)``, both in the activations' unit."""
        return self.autoencoder.rescaled(self.center, self.scale).encode(rows)

    def concepts(self) -> ConceptDictionary:
        """What was learned, on the CPU.

        Raises:
            InputError: Nothing was.
        """
        if not float(self.scale):
            raise InputError("the autoencoder is not trained: fit it first, Trainer(...).fit(module, datamodule=data)")
        autoencoder = self.autoencoder.rescaled(self.center, self.scale).cpu().eval().requires_grad_(False)
        error, l0, dead, rows = self.measured.tolist()
        about = DictionaryHeader(
            layer=self.layer,
            model=self.backbone.digest(),
            preprocessing=describe_preprocessing(self.backbone),
            k=autoencoder.k,
            selection=autoencoder.selection,
            crop_size=self.crop_size or 0,
            rows=int(rows),
            error=error,
            l0=l0,
            dead=dead,
        )
        return ConceptDictionary(about, autoencoder, self.frequency.detach().cpu().clone())

    @classmethod
    def load_from_checkpoint(cls, *args: Any, **kwargs: Any) -> Any:
        """Refused: a checkpoint has no model.

        Raises:
            InputError: Always.
        """
        raise InputError(
            "a checkpoint of ConceptAutoencoder has the autoencoder without its model: make the module with the"
            " arguments of its fit and give the file as ckpt_path of Trainer.fit, or load what was saved,"
            " ConceptDictionary.load(file)"
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say what the activations are of."""
        checkpoint[KEY] = {"model": self.backbone.digest(), "layer": self.layer}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse an autoencoder of other activations, and weights that are not plain finite numbers.

        Raises:
            InputError: It is one.
        """
        told = checkpoint.get(KEY)
        if told != {"model": self.backbone.digest(), "layer": self.layer}:
            raise InputError(
                "the checkpoint is not of concepts of this model at this layer: give the model and the layer of its fit"
            )
        check_values(checkpoint["state_dict"], self.state_dict(), "checkpoint")

    def on_fit_end(self) -> None:
        """The model comes back from the device, as the autoencoder does."""
        self.backbone.cpu()
        self._split = None

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Loss of one batch, scalar."""
        self.log("lr", self.optimizers().param_groups[0]["lr"])  # type: ignore[union-attr]
        rows = self._rows(batch[0])
        if len(rows) > self.rows_per_step:
            rows = rows[torch.randperm(len(rows))[: self.rows_per_step].to(rows.device)]
        if not float(self.scale):
            self._begin(rows)
        normalized = (rows - self.center) / self.scale
        losses = self.autoencoder.losses(normalized, self.idle >= self.dead_after if self.auxiliary else None)
        self._note(losses.coefficients)
        self._measure("train", rows, losses.coefficients, losses.reconstructed)
        loss = losses.reconstruction + self.auxiliary * losses.auxiliary
        told = {"train/loss": loss, "train/auxiliary": losses.auxiliary}
        self.log_dict(told, prog_bar=True, batch_size=len(batch[0]))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Take account of one batch."""
        rows = self._rows(batch[0])
        if float(self.scale):  # not before training, when Lightning tries one batch
            coefficients = self.autoencoder.encode((rows - self.center) / self.scale)
            self._measure(self._named(dataloader_idx), rows, coefficients, self.autoencoder.decode(coefficients))

    def on_train_epoch_end(self) -> None:
        """Log how good the dictionary was over the epoch."""
        self._tell("train", keep=not self._validated)
        self._validated = False

    def on_validation_epoch_end(self) -> None:
        """Log how good the dictionary is."""
        for number, name in enumerate([name for name in self._quality if name != "train"]):
            self._tell(name, keep=number == 0)
            self._validated = True

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """Leave the lengths of dictionary rows out of the gradient."""
        self.autoencoder.project_gradient()

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """One step; then dictionary rows have length 1 again."""
        super().optimizer_step(*args, **kwargs)
        self.autoencoder.constrain()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Adam; its learning rate falls until the last step."""
        steps = self.trainer.estimated_stepping_batches
        if not math.isfinite(steps):
            raise InputError("the learning rate falls until the last step: set trainer.max_epochs or trainer.max_steps")
        return optimization(self, "adamw", "cosine", self.lr, 0.0, {}, int(steps), self.warmup)  # type: ignore[return-value]

    def _rows(self, images: Tensor) -> Tensor:
        """Rows ``(N, c)`` of a batch."""
        if self._split is None:
            self._split = self.backbone.to(self.device).split([self.layer])
        with frozen(self.backbone), torch.no_grad():
            return activation_rows(self._split, self.backbone.ordered(images), self._boxes).flatten(0, 1).float()

    def _begin(self, rows: Tensor) -> None:
        """Learn the activations' mean and size from the first batch, of all processes.

        Raises:
            InputError: They do not vary, or are not finite.
        """
        reduce = self.trainer.strategy.reduce
        center = torch.as_tensor(reduce(rows.mean(0), reduce_op="mean"))
        square = torch.as_tensor(reduce((rows - center).square().sum(1).mean(), reduce_op="mean"))
        if not bool(square.isfinite()) or not float(square):
            wrong = "do not differ from place to place" if bool(square.isfinite()) else "have NaN or infinities"
            raise InputError(
                f"the activations of layer {self.layer} {wrong}: choose another layer, or check the weights"
            )
        self.center.copy_(center)
        self.scale.copy_(square.sqrt())

    @torch.no_grad()
    def _note(self, coefficients: Tensor) -> None:
        """Count for how many rows, of all processes, each concept has not been active."""
        active = (coefficients > 0).any(0).float()
        active = torch.as_tensor(self.trainer.strategy.reduce(active, reduce_op="sum"))
        self.idle.add_(len(coefficients) * self.trainer.world_size).masked_fill_(active > 0, 0)

    def _measure(self, name: str, rows: Tensor, coefficients: Tensor, reconstructed: Tensor) -> None:
        quality = self._quality.get(name)
        if quality is None:
            quality = self._quality[name] = DictionaryQuality(self.autoencoder.n_concepts).to(rows.device)
        quality.update(rows, coefficients, reconstructed.float() * self.scale + self.center)

    def _tell(self, name: str, keep: bool) -> None:
        """Log what was measured and begin anew; `keep` = it goes into the file too."""
        if (quality := self._quality.pop(name, None)) is None:
            return
        found: Quality = quality.compute()
        told = {f"{name}/{key}": getattr(found, key) for key in ("error", "l0", "dead")}
        self.log_dict(told, sync_dist=True, prog_bar=True)
        if keep:
            self.frequency.copy_(found.frequency)
            self.measured.copy_(torch.stack([part.to(self.measured) for part in found[:4]]))

    def _named(self, dataloader_idx: int) -> str:
        loaders = self.trainer.val_dataloaders
        return f"val/{list(loaders)[dataloader_idx]}" if isinstance(loaders, dict) else "val"
