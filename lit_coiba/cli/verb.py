"""What a verb is: one object in one file of `lit_coiba.cli.verbs`, from which help, dispatch and messages follow.

Nothing heavy is imported here or in the files of the verbs, so that ``lit-coiba --help`` comes at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from lit_coiba.core.printable import counted

if TYPE_CHECKING:
    from lightning import LightningModule

    from lit_coiba.store import ExplanationStore

# How examples write a model with the user's own weights, and what `lit-coiba fit` leaves.
OWN_MODEL = "--model.backbone.name NAME --model.backbone.checkpoint FILE"
CHECKPOINT = "lightning_logs/version_0/checkpoints/NAME.ckpt"


@dataclass(frozen=True, kw_only=True)
class Verb:
    """One verb of the command line.

    Args:
        name: The word after ``lit-coiba``.
        summary: The line of the overview, without a capital and a full stop.
        position: Place in the overview; smaller numbers stand further up.
        examples: Lines of the help page; commands start with four spaces and ``lit-coiba``.
        resumable: Whether the same command continues after an interruption.
    """

    name: str
    summary: str
    position: int
    examples: str
    resumable: bool = False


@dataclass(frozen=True, kw_only=True)
class FunctionVerb(Verb):
    """A verb that is a typed function, whose docstring and signature are its help page.

    Args:
        function: What is run; it says itself what came of it, and returns the exit status.
        usage: How the command is written, after ``lit-coiba``.
        positional: Parameters that are given without their names, in this order.
    """

    function: Callable[..., int]
    usage: str
    positional: tuple[str, ...] = ()


def explanations_in(store: ExplanationStore) -> str:
    """How many explanations a store has, of how many images, and where it is; a sentence without its full stop."""
    explained, failed = len(store.ids()), len(store.failures())
    of = f"{explained:,} of {counted(explained + failed, 'image')}" if failed else counted(explained, "image")
    return f"{counted(len(store), 'explanation')} of {of} {'is' if len(store) == 1 else 'are'} in {store.path}"


def done(result: Any, command: Any) -> int:
    """The report of a verb that has nothing to say."""
    return 0


@dataclass(frozen=True, kw_only=True)
class TrainerVerb(Verb):
    """A verb that is a method of the Trainer of the same name, which runs a LightningModule over data.

    Args:
        module: Path of the LightningModule's class.
        section: Title of the module's arguments on the help page.
        listed: Arguments of the module that the verb uses, which the help page lists; None = all.
        unused_data: Arguments of the data that the verb does not use, which the help page leaves out.
        report: What is printed at the end, from the method's result and the `TrainerCommand`; returns the exit
            status.
        defaults: Keys below ``model`` and their values where nothing else is said, as a config file writes them.
        trains: Whether logs, checkpoints and the configuration are kept.
        labelled: Whether the data give the number of classes.
        derived: Whether ``--model CLASS`` may name a class that is derived from the module's.
        also: Path of another base, of which ``--model CLASS`` may name a class too.
        needs_data: Whether it is nothing without data; if not, only those that are asked for are built.
    """

    module: str
    section: str = "explanation"
    listed: tuple[str, ...] | None = None
    unused_data: tuple[str, ...] = ("augment",)
    report: Callable[[Any, Any], int] = done
    defaults: Mapping[str, Any] = field(default_factory=dict)
    trains: bool = False
    labelled: bool = False
    derived: bool = False
    also: str | None = None
    needs_data: bool = True

    def module_class(self) -> type[LightningModule]:
        """The LightningModule's class."""
        return _imported(self.module)

    def module_bases(self) -> tuple[type[LightningModule], ...]:
        """What ``--model CLASS`` may be derived from."""
        return (self.module_class(), *([_imported(self.also)] if self.also is not None else []))


def _imported(path: str) -> type[LightningModule]:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)
