"""How a run takes up a checkpoint: what does not fit it is one sentence, whatever part of the checkpoint it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

import torch
from lightning import Trainer
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.trainer.connectors.checkpoint_connector import _CheckpointConnector
from torch import Tensor
from torch.optim import Adam, AdamW, Optimizer

from lit_coiba.backbones.weight_values import check_values
from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import described, printable
from lit_coiba.training.checkpoint_file import CheckpointGate


def close_gate(trainer: Trainer) -> None:
    """Have a trainer read and remove checkpoints by `CheckpointGate`, unless it was given a way of its own."""
    strategy = trainer.strategy
    if type(strategy.checkpoint_io) is TorchCheckpointIO:
        strategy.checkpoint_io = CheckpointGate()


class Restoration(_CheckpointConnector):
    """Lightning's, with every fault of a checkpoint as one sentence; what is restored is compared first."""

    def resume_start(self, checkpoint_path: Any = None, weights_only: bool | None = None) -> None:
        """Read the checkpoint."""
        self._sentence(lambda: super(Restoration, self).resume_start(checkpoint_path, weights_only))

    def restore_model(self) -> None:
        """Take up the weights; those that are not finite or of another kind of number are refused."""
        if weights := self._loaded_checkpoint.get("state_dict"):
            check_values(weights, self.trainer.lightning_module.state_dict(), self._name)
        self._sentence(super().restore_model)

    def restore_callbacks(self) -> None:
        """Take up the state of callbacks."""
        self._sentence(super().restore_callbacks)

    def restore_loops(self) -> None:
        """Take up where the loops were."""
        told = self._loaded_checkpoint.get("loops")
        if told is not None and "fit_loop" in told:
            _check_like(told["fit_loop"], self.trainer.fit_loop.state_dict(), "loops", self._name)
        self._sentence(super().restore_loops)

    def restore_optimizers(self) -> None:
        """Take up the state of optimizers."""
        own = [[dict(group) for group in optimizer.param_groups] for optimizer in self.trainer.optimizers]
        self._sentence(super().restore_optimizers)
        for optimizer, groups in zip(self.trainer.optimizers, own):
            _check_optimizer(optimizer, groups, self._name)

    def restore_lr_schedulers(self) -> None:
        """Take up the state of schedulers."""
        configs, told = self.trainer.lr_scheduler_configs, self._loaded_checkpoint["lr_schedulers"]
        if len(configs) != len(told):
            raise _unfit(self._name, f"it has {len(told)} schedulers of the learning rate, and this fit {len(configs)}")
        for config, state in zip(configs, told):
            _check_like(state, config.scheduler.state_dict(), "lr_schedulers", self._name)
        self._sentence(super().restore_lr_schedulers)

    def restore_optimizers_and_schedulers(self) -> None:
        """Take up optimizers and schedulers."""
        self._sentence(super().restore_optimizers_and_schedulers)

    @property
    def _name(self) -> str:
        return printable(self._ckpt_path, 200)

    def _sentence(self, restore: Callable[[], None]) -> None:
        try:
            restore()
        except (InputError, MisconfigurationException):
            raise
        except Exception as error:  # whatever Lightning and torch make of states of something else
            reason = printable(" ".join(str(error).split()), 200)
            raise _unfit(self._name, f"{type(error).__name__}: {reason}") from error


def _unfit(file: str, why: str) -> InputError:
    return InputError(
        f"checkpoint {file} does not fit this run ({why}): give the model, data and trainer that it was trained with,"
        " or only its weights, as model.backbone.checkpoint"
    )


def _check_like(told: Any, own: Any, where: str, file: str) -> None:
    """Refuse a state whose values are of other kinds than those of the state that is there.

    Raises:
        InputError: Naming the first of them.
    """
    if isinstance(own, Mapping):
        if not isinstance(told, Mapping):
            raise _unfit(file, f"{where} is {described(told)}")
        for name, value in told.items():
            if name in own:
                _check_like(value, own[name], f"{where}.{printable(name, 40)}", file)
            elif own:
                raise _unfit(file, f"{where} has {described(name)}")
        if missing := [name for name in own if name not in told]:
            raise _unfit(file, f"{where} has no {printable(missing[0], 40)}")
    elif isinstance(own, list):
        if not isinstance(told, list) or len(told) != len(own):
            raise _unfit(file, f"{where} is {described(told)}")
        for value, mine in zip(told, own):
            _check_like(value, mine, where, file)
    elif isinstance(own, (bool, int, float)):
        number = isinstance(told, (bool, int, float)) and told == told and abs(told) < 2**62
        whole = isinstance(told, (bool, int)) or isinstance(own, float)
        if not number or not whole or (isinstance(own, int) and told < 0):
            raise _unfit(file, f"{where} is {described(told)}")


def _check_optimizer(optimizer: Optimizer, own: list[dict[str, Any]], file: str) -> None:
    """Refuse the state of an optimizer that is not of its weights: each tensor has their shape, or is one number.

    Args:
        optimizer: With the state of the checkpoint.
        own: Its groups before.
        file: The checkpoint, for messages.

    Raises:
        InputError: Naming what is of another kind.
    """
    for group, mine in zip(optimizer.param_groups, own):
        if not isinstance(group.get("lr"), (int, float)) or not 0 <= group["lr"] < 1e6:
            raise _unfit(file, f"the learning rate of its optimizer is {described(group.get('lr'))}")
        for name, value in group.items():
            if name != "params" and name in mine and not _is_like(value, mine[name]):
                raise _unfit(file, f"{printable(name, 40)} of its optimizer is {described(value)}")
        kept = _kept_by(optimizer, group, file)
        for parameter in group["params"]:
            state = optimizer.state.get(parameter)
            if state:
                _check_state(state, parameter, kept, file)


def _is_like(told: Any, own: Any) -> bool:
    """Whether an option of an optimizer is of the kind of its own one."""
    if isinstance(own, (list, tuple)):
        return (
            isinstance(told, (list, tuple))
            and len(told) == len(own)
            and all(_is_like(one, other) for one, other in zip(told, own))
        )
    if own is None or isinstance(own, bool):
        return isinstance(told, bool) or (own is None and told is None)
    if isinstance(own, (int, float)):
        return isinstance(told, (int, float)) and not isinstance(told, bool) and abs(told) < 2**62
    return isinstance(told, type(own))


def _kept_by(optimizer: Optimizer, group: Mapping[str, Any], file: str) -> set[str] | None:
    """Names of what an Adam keeps of each weight, by one step of a new one with these options; None for others.

    Raises:
        InputError: It refuses the options.
    """
    if not isinstance(optimizer, (Adam, AdamW)) or not group["params"]:
        return None
    like = group["params"][0]
    weight = torch.nn.Parameter(torch.zeros(1, dtype=like.dtype, device=like.device))
    weight.grad = torch.zeros_like(weight)
    known = signature(type(optimizer)).parameters
    try:
        new = type(optimizer)([weight], **{name: group[name] for name in known if name in group and name != "params"})
        new.step()
    except Exception as error:  # whatever it says of them
        reason = printable(" ".join(str(error).split()), 200)
        raise _unfit(file, f"its optimizer: {type(error).__name__}: {reason}") from error
    return set(new.state[weight])


def _check_state(state: Any, parameter: Tensor, kept: set[str] | None, file: str) -> None:
    """Refuse what is not the state of one weight.

    Raises:
        InputError: Naming what is of another kind.
    """
    if not isinstance(state, Mapping) or (kept is not None and set(state) != kept):
        told = ", ".join(printable(name, 20) for name in state) if isinstance(state, Mapping) else described(state)
        raise _unfit(file, f"its optimizer keeps {printable(told, 100)} of a weight")
    for name, value in state.items():
        if isinstance(value, Tensor):
            plain = value.layout == torch.strided and not value.is_complex() and not value.is_meta
            fits = plain and value.shape in (parameter.shape, torch.Size())
            if fits and value.isfinite().all() and not (name == "step" and value < 0):
                continue
        elif isinstance(value, (bool, int, float)) and value == value:
            continue
        shown = f"a tensor {tuple(value.shape)}" if isinstance(value, Tensor) else described(value)
        raise _unfit(file, f"{printable(name, 40)} of its optimizer is {shown}")
