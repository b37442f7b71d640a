"""Files of tensors: safetensors, and what ``torch.save`` writes. Nothing in them runs, and nothing is endless."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.files.atomic import atomically
from lit_coiba.files.inflation import FACTOR, SPARE, check_inflation
from lit_coiba.files.regular import MEGABYTE, clause, open_regular

SAFE = ".safetensors"
WEIGHTS = "give the path of a safetensors, .pth or .ckpt file"  # the remedy where there is no such file
DEPTH, VALUES = 64, 4_000_000  # of containers in one another, and of values in all of them together
_LEAVES = (str, bytes, bytearray, bool, float, complex, type(None), torch.dtype, torch.device, torch.layout)
_CONTAINERS = (dict, list, tuple, set)
_PLAIN = (*_CONTAINERS, *_LEAVES)
_BITS = 256  # of a number
_HEAD = 64  # bytes at the start that tell whether a file is text
_ENDLESS = "its values are nested without end"


class TensorFile(NamedTuple):
    """What a file of tensors holds."""

    content: Any  # a mapping of names to tensors, or whatever was saved, of plain values and tensors
    metadata: dict[str, str]  # of safetensors


def read_tensor_file(file: str | os.PathLike[str], what: str = "checkpoint", remedy: str = WEIGHTS) -> TensorFile:
    """The content of a file of tensors on the CPU; no code in it runs.

    Args:
        file: safetensors if it is called so, else a file of ``torch.save``.
        what: What to call it in an error.
        remedy: What to do where there is none.

    Raises:
        InputError: There is no such file, it is not one of tensors, holds more than tensors and plain values, or
            becomes far larger in memory than it is.
    """
    if os.fspath(file).endswith(SAFE):
        return read_safe_tensors(file, what, remedy)
    with _reading(file, what, remedy) as path:
        check_inflation(path)
        with warnings.catch_warnings():  # of torch about formats that it is going to give up
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
        _check(content, path.stat().st_size)
        return TensorFile(content, {})


def read_safe_tensors(file: str | os.PathLike[str], what: str = "checkpoint", remedy: str = WEIGHTS) -> TensorFile:
    """The content of a safetensors file, whatever its name.

    Args:
        file: The file.
        what: What to call it in an error.
        remedy: What to do where there is none.

    Raises:
        InputError: There is no such file, or it is no safetensors.
    """
    with _reading(file, what, remedy) as path, safe_open(path, framework="pt") as opened:
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
        return TensorFile(tensors, opened.metadata() or {})


def in_order(content: bytes) -> bytes:
    """Safetensors with their metadata in alphabetical order: the library writes them in another order each time.

    Args:
        content: What `safetensors.torch.save` gave.
    """
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header.get("__metadata__", {}).items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # as the format has it
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def write_safe_tensors(
    file: str | os.PathLike[str], tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> Path:
    """Write a safetensors file, which takes its name when it is complete, and return its path; its folder is made.

    Args:
        file: The file.
        tensors: What it holds, by name.
        metadata: Texts by name.

    Raises:
        OSError: The disk is full, the folder is read-only, ...
    """
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomically(path) as handle:
        handle.write(in_order(save({name: part.contiguous() for name, part in tensors.items()}, dict(metadata))))
    return path


def read_metadata(file: str | os.PathLike[str], what: str = "checkpoint") -> dict[str, str]:
    """The metadata of a safetensors file, without its tensors.

    Raises:
        InputError: There is no such file, or it is no safetensors.
    """
    with _reading(file, what, WEIGHTS) as path, safe_open(path, framework="pt") as opened:
        return opened.metadata() or {}


def _check(content: Any, size: int) -> None:
    """Refuse what has no end or becomes far larger than its file; each way to a value counts as one.

    A container is looked into once, however many ways lead to it.

    Raises:
        ValueError: Saying what.
    """
    limit = FACTOR * size + SPARE
    root = [content]
    counted: dict[int, tuple[int, int, int]] = {}  # container -> values in it, bytes of their tensors, depth
    begun: set[int] = set()
    stack: list[Any] = [root]
    while stack:
        value = stack[-1]
        if id(value) in counted:
            stack.pop()
            continue
        parts = _parts(value)
        inner = [part for part in parts if isinstance(part, _CONTAINERS)]
        begun.add(id(value))
        waiting = {id(part): part for part in inner if id(part) not in counted}
        if len(parts) > VALUES or not begun.isdisjoint(waiting):  # it contains itself
            raise ValueError(_ENDLESS)
        if waiting:
            stack.extend(waiting.values())
            continue
        below = [counted[id(part)] for part in inner]
        memory = sum(map(_bytes, parts)) + sum(part[1] for part in below)
        values = 1 + len(parts) - len(inner) + sum(part[0] for part in below)
        depth = 1 + max((part[2] for part in below), default=0)
        if values > VALUES or depth > DEPTH:
            raise ValueError(_ENDLESS)
        if memory > limit:
            raise ValueError(f"its {size / MEGABYTE:.1f} MB become more than {limit / MEGABYTE:,.0f} MB of tensors")
        counted[id(value)] = values, memory, depth


def _parts(value: Any) -> list[Any]:
    """What a container contains, keys too."""
    if not isinstance(value, dict):
        return list(value)
    for key in value:
        if not isinstance(key, (str, int, float, tuple)):
            raise ValueError(f"it has a {type(key).__name__} as a key")
    return [*value, *value.values()]


def _bytes(value: Any) -> int:
    """How much memory a tensor takes; 0 for other plain values, and for containers."""
    if isinstance(value, _PLAIN):
        return 0
    if isinstance(value, Tensor):
        return value.numel() * value.element_size() if value.layout == torch.strided else 0
    if not isinstance(value, int):
        raise ValueError(f"it has a {type(value).__name__}, which is no plain value")
    if value.bit_length() > _BITS:
        raise ValueError(f"it has a number of {value.bit_length():,} bits")
    return 0


def _text_at_start(path: Path) -> str | None:
    """How a file begins that is text: a web page, or what Git keeps in the place of a large file; None if it is not."""
    with open_regular(path) as file:
        head = file.read(_HEAD)
    text = head.decode("ascii", errors="replace")
    return text[:40] if len(head) == _HEAD and all(sign.isprintable() or sign in "\r\n\t" for sign in text) else None


@contextmanager
def _reading(file: str | os.PathLike[str], what: str, remedy: str) -> Iterator[Path]:
    """The path of a file that is there; what reading it raises becomes one sentence."""
    name = printable(file, 200)
    if not os.fspath(file):
        raise InputError(f"{what} is empty: {remedy}")
    try:
        path = Path(file).expanduser()
        open_regular(path).close()
    except (FileNotFoundError, NotADirectoryError, RuntimeError) as error:  # the latter: no such user
        raise InputError(f"{what} {name} does not exist: {remedy}") from error
    except OSError as error:
        raise InputError(f"{what} {name} cannot be read ({clause(error)}): {remedy}") from error
    try:
        yield path
    except InputError:
        raise
    except Exception as error:  # whatever torch and safetensors make of bytes that are something else
        if (start := _text_at_start(path)) is not None:
            other = "run git lfs pull" if start.startswith("version https://git-lfs") else "download it again"
            raise InputError(
                f"{what} {name} is text, not a file of tensors (it begins with {start!r}): {other}, or give another"
            ) from error
        if isinstance(error, pickle.UnpicklingError):
            kind = "arrays of numpy" if "numpy" in str(error) else "more than plain weights"
            raise InputError(
                f"{what} {name} has {kind}, and loading them could run code, so it was refused: save only its"
                " state_dict of tensors, preferably as safetensors"
            ) from error
        reason = clause(error) if isinstance(error, OSError) else printable((str(error).splitlines() or [""])[0], 160)
        kind = " as weights" if remedy == WEIGHTS else ""
        raise InputError(
            f"{what} {name} cannot be read{kind} ({reason or type(error).__name__}): check that the file is complete"
        ) from error


def digest_of_tensors(header: bytes, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over a header, and name, shape, type and content of tensors on the CPU, in their order."""
    sha = hashlib.sha256(header)
    for name, tensor in tensors.items():
        sha.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        sha.update(tensor.contiguous().numpy().tobytes())
    return sha.hexdigest()
