"""``--model.backbone`` may name the user's own function or class that makes any torch module."""

from __future__ import annotations

from inspect import Parameter
from typing import Any

from lightning import LightningModule
from lightning.pytorch.cli import LightningArgumentParser
from torch import nn

from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import a_kind

KEY = "backbone"  # argument of a LightningModule


class _Accepts(type(Backbone)):  # type: ignore[misc]
    """Has jsonargparse take what is asked of subclasses for granted of all modules, and of what has no type hint."""

    def __subclasscheck__(cls, other: type) -> bool:
        return other is Parameter.empty or nn.Module in other.__mro__


class TorchModule(Backbone, metaclass=_Accepts):
    """The type of ``model.backbone`` for the parser: a `Backbone` unless the command line names something else.

    Never built. It goes by the name of `Backbone`, which jsonargparse imports and builds where no class is named.
    """

    __module__, __qualname__ = "lit_coiba", "Backbone"


class Parser(LightningArgumentParser):
    """Lightning's parser, whose ``model.backbone`` takes any module."""

    def add_class_arguments(self, theclass: type, nested_key: str | None = None, *args: Any, **settings: Any) -> Any:
        """Add the arguments of a class; a LightningModule's `backbone` by its wider type."""
        if nested_key != "model":
            return super().add_class_arguments(theclass, nested_key, *args, **settings)
        self.add_argument(f"--{nested_key}.{KEY}", type=TorchModule, required=True)
        added = super().add_class_arguments(theclass, nested_key, *args, **settings, skip={KEY})
        return [f"{nested_key}.{KEY}", *added]


def with_backbone(module: type[LightningModule], *args: Any, **arguments: Any) -> LightningModule:
    """Build `module`; what was made for its `backbone` is wrapped unless it is a `Backbone`.

    Raises:
        InputError: What was made is no torch module.
    """
    made = arguments[KEY]
    if not isinstance(made, nn.Module):
        raise InputError(f"model.backbone returns {a_kind(made)}, but must return a torch module")
    backbone = made if isinstance(made, Backbone) else Backbone.wrap(made)
    return module(*args, **{**arguments, KEY: backbone})
