"""Train a classifier on any timm backbone, so that there is something to explain."""

from __future__ import annotations

import math

from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LambdaLR

from lit_coiba.backbones import Backbone
from lit_coiba.backbones.fused_attention import attention_modules, plain_attention
from lit_coiba.contracts import Batch, InputError, Preprocessing
from lit_coiba.modules.optimization import adamw, warmup_cosine


class Classifier(LightningModule):
    """A backbone with its loss, optimiser and logs.

    Batches are ``(images, targets)``: images ``(B, 3, H, W)``, targets a class index ``(B,)`` or a probability for each
    class ``(B, K)``. The trainer's loggers get ``lr``, ``train/loss``, ``train/accuracy``, the same for ``val`` and
    ``test``, and ``val/NAME/loss`` and so on where a data module gives several loaders by name.

    Args:
        backbone: The network. A dictionary of its arguments will do too: that is what checkpoints of this class hold.
        frozen: Train the classifier layer alone; all the rest stays as it is, also running statistics.
        lr: Peak learning rate of AdamW.
        weight_decay: AdamW's; norms, biases and embeddings are spared.
        warmup: Share of all steps over which the learning rate rises; then it falls to 0 along a cosine.
        label_smoothing: Share of each training target that is spread over all classes.

    Raises:
        InputError: The backbone is to be frozen, and has no classifier layer that could be trained.
    """

    def __init__(
        self,
        backbone: Backbone,
        frozen: bool = False,
        lr: float = 1e-3,
        weight_decay: float = 0.05,
        warmup: float = 0.05,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.backbone = Backbone(**backbone) if isinstance(backbone, dict) else backbone
        self.frozen = frozen
        self.lr, self.weight_decay, self.warmup = lr, weight_decay, warmup
        self.label_smoothing = label_smoothing
        own = {"checkpoint": None, "pretrained": False}  # a checkpoint brings the weights itself
        self.save_hyperparameters(
            {
                "backbone": self.backbone.arguments and {**self.backbone.arguments, **own},
                "frozen": frozen,
                "lr": lr,
                "weight_decay": weight_decay,
                "warmup": warmup,
                "label_smoothing": label_smoothing,
            }
        )
        if frozen:
            self._freeze()

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

    def on_train_epoch_start(self) -> None:
        """A frozen backbone runs in evaluation mode, so that running statistics and dropout leave it as it is."""
        if self.frozen:
            self.backbone.eval()

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Loss of one batch, scalar."""
        self.log("lr", self.optimizers().param_groups[0]["lr"])  # type: ignore[union-attr]
        return self._loss(batch, "train", self.label_smoothing)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Log loss and accuracy."""
        self._loss(batch, self._named("val", dataloader_idx))

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Log loss and accuracy."""
        self._loss(batch, self._named("test", dataloader_idx))

    def predict_step(self, batch: Batch) -> Tensor:
        """Class probabilities of one block, ``(B, K)``."""
        return self(batch.images).float().softmax(-1)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW; the learning rate rises, then falls along a cosine until the last step."""
        steps = self.trainer.estimated_stepping_batches
        if not math.isfinite(steps):
            raise InputError("the learning rate falls until the last step: set trainer.max_epochs or trainer.max_steps")
        optimizer = adamw(self, self.lr, self.weight_decay)
        schedule = LambdaLR(optimizer, warmup_cosine(int(steps), self.warmup))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _loss(self, batch: tuple[Tensor, Tensor], name: str, label_smoothing: float = 0.0) -> Tensor:
        images, targets = batch
        with plain_attention(attention_modules(self.backbone), images):
            logits = self(images).float()
        loss = cross_entropy(logits, targets, label_smoothing=label_smoothing)
        measured = {f"{name}/loss": loss, f"{name}/accuracy": hits(logits, targets).float().mean()}
        self.log_dict(
            measured,
            prog_bar=True,
            batch_size=len(images),  # Lightning's mean over batches, and over processes, weighs by it
            sync_dist=name != "train",
            add_dataloader_idx=False,
        )
        return loss

    def _named(self, stage: str, dataloader_idx: int) -> str:
        loaders = self.trainer.test_dataloaders if stage == "test" else self.trainer.val_dataloaders
        return f"{stage}/{list(loaders)[dataloader_idx]}" if isinstance(loaders, dict) else stage

    def _freeze(self) -> None:
        head = getattr(self.backbone.model, "get_classifier", nn.Identity)()
        if not list(head.parameters()):
            raise InputError("frozen trains the classifier layer alone, and this backbone has none: set num_classes")
        self.backbone.requires_grad_(False)
        head.requires_grad_(True)


def hits(logits: Tensor, targets: Tensor) -> Tensor:
    """Which predictions are right: ``(B, K)``, class indices ``(B,)`` or soft targets ``(B, K)`` -> bool ``(B,)``.

    With soft targets every class above zero is right (FunnyBirds' multi-target accuracy).

    Example:
        >>> import torch
        >>> logits = torch.tensor([[0.0, 1.0, 2.0], [5.0, 1.0, 2.0]])
        >>> hits(logits, torch.tensor([2, 2])), hits(logits, torch.tensor([[0.0, 0.5, 0.5], [0.0, 0.5, 0.5]]))
        (tensor([ True, False]), tensor([ True, False]))
    """
    predicted = logits.argmax(1)
    if targets.dim() == 1:
        return predicted == targets
    return targets.gather(1, predicted.unsqueeze(1)).squeeze(1) > 0
