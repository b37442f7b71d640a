"""The steps of a fit: the same random numbers whether it was stopped or not, and none that make the weights useless."""

from __future__ import annotations

import os
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from lit_coiba.core.errors import InputError


class RepeatableSteps(Callback):
    """What is random in a step follows from the seed, the epoch and the step: a fit that was stopped goes on alike."""

    def __init__(self) -> None:
        self._seed = 0

    def on_train_start(self, trainer: Any, pl_module: LightningModule) -> None:
        """Where the fit begins, or goes on."""
        self._seed = int(os.environ.get("PL_GLOBAL_SEED", torch.initial_seed() % 2**32))  # of `seed_everything`
        self._begin(trainer, trainer.fit_loop.epoch_loop.batch_progress.current.processed)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The first step of an epoch, what is drawn to read its batch included."""
        self._begin(trainer, 0)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """The step after this one, what is drawn to read its batch included."""
        self._begin(trainer, batch_idx + 1)

    def _begin(self, trainer: Trainer, step: int) -> None:
        torch.manual_seed(hash((self._seed, trainer.current_epoch, step)) % 2**63)


class FiniteWeights(Callback):
    """Ends a fit whose loss or weights are not finite, so that they are never saved as if they were trained."""

    def on_train_batch_end(
        self, trainer: Any, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the loss: of each step on a CPU, at times on a device that would have to be waited for.

        Raises:
            InputError: It is not finite.
        """
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if not isinstance(loss, torch.Tensor) or getattr(trainer.precision_plugin, "scaler", None) is not None:
            return  # a scaler leaves such steps out
        looked_at = loss.device.type == "cpu" or batch_idx % max(1, trainer.log_every_n_steps) == 0
        if looked_at and not bool(loss.isfinite().all()):
            raise InputError(_diverged(f"the loss is {loss.mean().item()}", trainer, pl_module))

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Look at the weights.

        Raises:
            InputError: Some are not finite.
        """
        for name, tensor in checkpoint["state_dict"].items():
            if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                raise InputError(_diverged(f"the weights {name} are not finite", trainer, pl_module))


def _diverged(what: str, trainer: Trainer, model: Any) -> str:
    rate = f" (it is {model.lr:g})" if isinstance(getattr(model, "lr", None), float) else ""
    return (
        f"{what} at epoch {trainer.current_epoch}, step {trainer.global_step}, so the training has failed: "
        f"set a smaller model.lr{rate}, or trainer.gradient_clip_val"
    )
