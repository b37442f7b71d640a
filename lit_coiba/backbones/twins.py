"""Which architecture a file of weights says that it is of, and a word where that is not the one it goes into.

timm has twins, such as ``tf_efficientnet_lite0`` and ``efficientnet_lite0``: the same names and shapes, another padding
and another epsilon. The weights of one work in the other, and are some points of accuracy worse.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.files.json_text import read_json
from lit_coiba.files.regular import MEGABYTE, is_regular

_CONFIG = "config.json"  # beside the weights, as the Hugging Face hub has it
_KEYS = ("arch", "architecture")


def warn_of_twin(file: str, architecture: str | None, told: Mapping[str, Any]) -> None:
    """Warn where the file is of another architecture than the model, although names and shapes agree.

    Args:
        file: File of weights.
        architecture: The model's, by timm's name; None = not timm's.
        told: What the file says: its top-level keys, or its description.
    """
    other = told_architecture(file, told)
    if architecture is None or other is None or other == architecture:
        return
    warnings.warn(
        f"{printable(file, 200)} is of {other}, and the model is {architecture}: names and shapes agree, but padding or"
        f" constants may not, which costs accuracy: set name: {other}",
        stacklevel=2,
    )


def told_architecture(file: str, told: Mapping[str, Any]) -> str | None:
    """timm's name of the architecture, if the file, one beside it, or its name says it."""
    backbone = told.get("backbone")
    stated = [backbone.get("name") if isinstance(backbone, Mapping) else None, *(told.get(key) for key in _KEYS)]
    beside = Path(file).parent / _CONFIG
    if is_regular(beside):
        try:
            read = read_json(beside, dict[str, Any], _CONFIG, MEGABYTE)
        except (InputError, OSError):
            read = {}
        stated += [read.get(key) for key in _KEYS]
    for name in stated:
        if isinstance(name, str) and timm.is_model(name.split(".")[0]):
            return name.split(".")[0]
    words = re.split(r"[^A-Za-z0-9_]+", Path(file).name)
    return next((word for word in words if timm.is_model(word)), None)
