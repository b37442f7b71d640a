"""``--model CLASS``: which LightningModule a verb trains or runs, where there are several of a kind."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from lightning import LightningModule

from lit_coiba import training
from lit_coiba.cli.parsing.checkpoints import SavedModule
from lit_coiba.cli.parsing.config_files import asked_module
from lit_coiba.cli.verb import TrainerVerb
from lit_coiba.core.errors import InputError
from lit_coiba.core.near_names import did_you_mean
from lit_coiba.core.printable import printable


def chosen_module(
    verb: TrainerVerb, args: list[str], saved: SavedModule | None = None
) -> tuple[list[str], type[LightningModule]]:
    """The words without ``--model CLASS``, and the class of the verb's LightningModule.

    It is the one that a word names, else the last one that a config file does, else that of the checkpoint, if it is
    ours, else the verb's own.

    Args:
        verb: The verb.
        args: The words after it.
        saved: What the checkpoint says, if there is one.

    Raises:
        InputError: There is no such class, or it is of another kind.
    """
    own = verb.module_class()
    if not verb.derived:
        return args, own
    bases = verb.module_bases()
    args, name = asked_module(args)
    if name is None:
        told = getattr(training, saved.name, None) if saved is not None and saved.name is not None else None
        return args, told if isinstance(told, type) and issubclass(told, bases) else own
    offered = list_of(*bases)
    found = _imported(name, offered)
    if not issubclass(found, bases):
        raise InputError(f"--model {name} is no {own.__name__}: give {' or '.join(offered)}, or a class of that kind")
    return args, found


def list_of(own: type, *also: type) -> list[str]:
    """Names of our classes of some kinds, the plain one first."""
    found = {name: getattr(training, name) for name in dir(training)}
    return [own.__name__, *(n for n, kind in found.items() if kind is not own and issubclass(kind, (own, *also)))]


def _imported(name: str, known: Sequence[str]) -> type[LightningModule]:
    module, _, last = name.rpartition(".")
    if not module:
        found = getattr(training, name, None)
    else:
        try:
            found = getattr(import_module(module), last, None)
        except ImportError as error:
            raise InputError(f"--model {printable(name, 100)} cannot be imported ({error})") from error
    if not isinstance(found, type) or not issubclass(found, LightningModule):
        otherwise = f": choose {', '.join(known)}, or give a class of your own as module.Class"
        raise InputError(f"--model: class {printable(name, 100)} does not exist{did_you_mean(name, known, otherwise)}")
    return found
