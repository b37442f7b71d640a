"""Lightning's checkpoints, read as data: known parts of known types, and no path that leads out of their folder.

A checkpoint may come from anyone, and Lightning does what it says: a callback's ``best_model_path`` is deleted when
there is a better one, ``hparams_type`` is called, a scheduler's state becomes its attributes.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import described, printable
from lit_coiba.files.regular import is_regular
from lit_coiba.files.tensor_file import read_tensor_file

SUFFIX = ".ckpt"
PATHS = ("best_model_path", "last_model_path", "kth_best_model_path")  # of ModelCheckpoint
_BEST = "best_k_models"  # path -> score
_CALLED = ("hparams_type",)  # what Lightning calls
_WRITER = "pytorch-lightning_version"
_VERSION = re.compile(r"\d+(\.\d+){1,3}[\w.+]{0,40}")
_PARTS: dict[str, tuple[type, str]] = {  # key -> what it has to be, and how that is called
    "state_dict": (Mapping, "a mapping of names to tensors"),
    "hyper_parameters": (Mapping, "a mapping of names to values"),
    "loops": (Mapping, "a mapping"),
    "callbacks": (Mapping, "a mapping"),
    "optimizer_states": (list, "a list"),
    "lr_schedulers": (list, "a list"),
    "epoch": (int, "a number"),
    "global_step": (int, "a number"),
}


def read_checkpoint(file: str | os.PathLike[str]) -> dict[str, Any]:
    """The content of a Lightning checkpoint: tensors and plain values, without what could act.

    Raises:
        InputError: There is no such file, it is no checkpoint, or a part of it is of another type.
    """
    return as_checkpoint(read_tensor_file(file).content, file)


def as_checkpoint(content: Any, file: str | os.PathLike[str]) -> dict[str, Any]:
    """The content of a file as a checkpoint; see `read_checkpoint`.

    Raises:
        InputError: It is none, or a part of it is of another type.
    """
    name = printable(os.fspath(file), 200)
    remedy = "give a checkpoint of lit-coiba fit"
    if not isinstance(content, Mapping):
        raise InputError(f"checkpoint {name} is {described(content)}, not a mapping: {remedy}")
    for key, (kind, called) in _PARTS.items():
        if key in content and (not isinstance(content[key], kind) or isinstance(content[key], bool)):
            raise InputError(f"checkpoint {name}: its {key} is {described(content[key])}, not {called}: {remedy}")
    weights = content.get("state_dict")
    if not weights:
        raise InputError(f"checkpoint {name} has no state_dict, so there are no weights in it: {remedy}")
    for key, value in weights.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise InputError(
                f"checkpoint {name}: its state_dict has {described(key)} as {described(value)}, not a tensor: {remedy}"
            )
    version = content.get(_WRITER, lightning.__version__)
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise InputError(f"checkpoint {name}: its Lightning version is {described(version)}: {remedy}")
    for key in ("optimizer_states", "lr_schedulers"):
        if other := [state for state in content.get(key, ()) if not isinstance(state, Mapping)]:
            raise InputError(f"checkpoint {name}: its {key} has {described(other[0])}, not a mapping: {remedy}")
    kept = {_WRITER: version} | {
        key: value for key, value in content.items() if isinstance(key, str) and key not in _CALLED
    }
    if "callbacks" in kept:
        folder = Path(file).expanduser().resolve().parent
        kept["callbacks"] = _callbacks(kept["callbacks"], folder, name)
    return kept


def rewritten(content: dict[str, Any]) -> io.BytesIO:
    """A checkpoint that has been looked through, as Lightning opens one."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    buffer.seek(0)
    return buffer


@contextmanager
def fitting(file: str | os.PathLike[str]) -> Iterator[None]:
    """Within this, whatever a module cannot be made of, or take as its weights, is one sentence.

    Raises:
        InputError: Naming the file.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # whatever torch and Lightning make of values of something else
        reason = printable(" ".join(str(error).split()), 200)
        raise InputError(
            f"checkpoint {printable(file, 150)} does not fit the classifier that it describes ({type(error).__name__}:"
            f" {reason}): give the checkpoint as lit-coiba fit wrote it"
        ) from error


class CheckpointGate(TorchCheckpointIO):
    """How the Trainer reads checkpoints, and removes those that newer ones replace: nothing that it did not write."""

    def __init__(self) -> None:
        self._ours: set[Path] = set()  # what may be removed

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Lightning's; the file is one of ours."""
        super().save_checkpoint(checkpoint, path, storage_options)
        self._ours.add(Path(path).absolute())

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """A checkpoint without what could act; a remote one is read by Lightning, tensors and plain values only.

        Raises:
            InputError: See `read_checkpoint`.
        """
        if not is_regular(path) and "://" in str(path):
            return as_checkpoint(super().load_checkpoint(path, weights_only=True), path)
        content = read_checkpoint(path)
        for state in content.get("callbacks", {}).values():
            told = [state.get(key) for key in PATHS] + [*state.get(_BEST, ())] if isinstance(state, Mapping) else []
            self._ours |= {Path(place).absolute() for place in told if place}
        return content

    def remove_checkpoint(self, path: Any) -> None:
        """Remove a file that was written here, or that lies beside the checkpoint that a fit goes on from."""
        if "://" in str(path):
            super().remove_checkpoint(path)
        elif Path(path).absolute() in self._ours:
            place = Path(path)
            if place.is_dir() and not place.is_symlink():
                super().remove_checkpoint(path)  # a sharded one, which this process has written
            else:
                place.unlink(missing_ok=True)


def _callbacks(told: Mapping[Any, Any], folder: Path, file: str) -> dict[str, Any]:
    """The states of callbacks by name; a path that is no checkpoint in `folder` is left out."""
    states: dict[str, Any] = {}
    for name, state in told.items():
        if not isinstance(name, str) or not isinstance(state, Mapping):
            raise InputError(
                f"checkpoint {file}: the state of its callback {described(name)} is {described(state)}, not a mapping:"
                " give a checkpoint of lit-coiba fit"
            )
        states[name] = _without_paths(dict(state), folder)
    return states


def _without_paths(state: dict[str, Any], folder: Path) -> dict[str, Any]:
    for key in PATHS:
        if key in state and not _inside(state[key], folder):
            state[key] = ""
    best = state.get(_BEST)
    if _BEST in state and not (isinstance(best, Mapping) and all(_inside(path, folder) for path in best)):
        state[_BEST], state["kth_best_model_path"], state["kth_value"] = {}, "", None
    return state


def _inside(path: Any, folder: Path) -> bool:
    """Whether a path is that of a checkpoint in a folder: a file there, or none that is there any more."""
    if not isinstance(path, str) or not path.endswith(SUFFIX) or "\0" in path or "://" in path:
        return False
    try:
        place = Path(path).absolute()
        return ".." not in place.parts and place.parent.resolve() == folder and (is_regular(place) or not _taken(place))
    except (OSError, RuntimeError):
        return False


def _taken(place: Path) -> bool:
    return os.path.lexists(place)
