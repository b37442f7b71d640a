"""Build a timm model from plain values, and say in one sentence why it cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from numbers import Integral
from typing import Any, get_args

import timm
from timm.data import resolve_model_data_config  # type: ignore[attr-defined]
from torch import nn

from lit_coiba.backbones import lipschitz_cnn  # noqa: F401 - registered with timm
from lit_coiba.backbones.random_weights import mark_random
from lit_coiba.backbones.wrappers import not_a_name
from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import CropMode, Interpolation, Preprocessing
from lit_coiba.core.printable import printable


def build(
    name: str,
    pretrained: bool = False,
    num_classes: int | None = None,
    image_size: tuple[int, int] | None = None,
    **arguments: Any,
) -> nn.Module:
    """The timm model `name`.

    Args:
        name: As in ``timm.list_models()``, with or without a tag of pretrained weights (``resnet18.a1_in1k``).
        pretrained: Download timm's weights.
        num_classes: None = timm's own number.
        image_size: Height and width in pixels; given to models that are built for one size.
        **arguments: More arguments of the timm model.

    Raises:
        InputError: Unknown name or argument, or the weights cannot be had.
    """
    if not isinstance(name, str):
        raise InputError(not_a_name(name))
    architecture = name.split(".")[0]
    if not timm.is_model(architecture):
        near = get_close_matches(architecture, timm.list_models(), n=3, cutoff=0.5)
        raise InputError(
            f"timm has no model {name!r}: "
            + (f"did you mean {', '.join(near)}?" if near else "timm.list_models() lists its models")
        )
    tagged = timm.list_pretrained(f"{architecture}.*")
    if name not in (architecture, *tagged):
        raise InputError(f"timm has no pretrained weights {name!r}: choose {', '.join([architecture, *tagged])}")
    if arguments.get("in_chans", 3) != 3:
        raise InputError(
            f"timm_kwargs has in_chans {arguments['in_chans']}, and lit-coiba gives models images of 3 channels (red,"
            " green, blue): leave it out, or wrap a module whose forward makes its channels of these, such as"
            " model(images.mean(1, keepdim=True)) for 1"
        )
    if num_classes is not None:
        arguments["num_classes"] = num_classes
    if image_size is not None and built_for_one_size(name):
        arguments["img_size"] = image_size
    try:
        model = timm.create_model(name, pretrained=pretrained, **arguments)
    except Exception as error:  # whatever constructors come across; the hub has exceptions for each way to be offline
        lines = str(error).strip().splitlines() or [type(error).__name__]
        if pretrained and not isinstance(error, (TypeError, AssertionError)):
            raise InputError(
                f"the pretrained weights of {name} cannot be downloaded ({lines[0]}): "
                "give a local file as checkpoint, or set pretrained: false"
            ) from error
        listed = ", ".join(f"{key}={value!r}" for key, value in arguments.items()) or "its own arguments"
        raise InputError(f"timm cannot build {name} with {listed} ({lines[0]}): change timm_kwargs") from error
    if not hasattr(model, "num_classes"):  # features_only, or a wrapper of someone's registered model
        raise InputError(
            f"timm builds a {type(model).__name__} of {name} with {', '.join(arguments)}, which has no classifier, so"
            " there is no class to explain: leave features_only out of timm_kwargs"
        )
    if not pretrained and "checkpoint_path" not in arguments:
        mark_random(model)
    return model


def built_for_one_size(name: str) -> bool:
    """Whether the image size is an argument of the model's constructor."""
    configuration = timm.get_pretrained_cfg(name, allow_unregistered=True)
    return bool(configuration and configuration.fixed_input_size)


def preprocessing_of(
    model: nn.Module,
    image_size: tuple[int, int] | None = None,
    mean: tuple[float, float, float] | None = None,
    std: tuple[float, float, float] | None = None,
    interpolation: Interpolation | None = None,
    crop_pct: float | None = None,
    crop_mode: CropMode | None = None,
) -> Preprocessing:
    """timm's data configuration of `model`, with what is not None in place of timm's value.

    Raises:
        InputError: A value is out of its range, or there is not one mean and std per channel.
    """
    found = resolve_model_data_config(model)
    own: Interpolation = found["interpolation"] if found["interpolation"] in get_args(Interpolation) else "bicubic"
    size = image_size or getattr(getattr(model, "patch_embed", None), "img_size", None) or found["input_size"][1:]
    return Preprocessing(
        size=(int(size[0]), int(size[1])),
        crop_pct=float(crop_pct if crop_pct is not None else found["crop_pct"]),
        interpolation=own if interpolation is None else interpolation,
        mean=_three("mean", found["mean"] if mean is None else mean),
        std=_three("std", found["std"] if std is None else std),
        crop_mode=(found["crop_mode"] or "center") if crop_mode is None else crop_mode,
    )


def _three(name: str, values: Sequence[float]) -> tuple[float, float, float]:
    if len(values) != 3:
        raise InputError(f"{name} has {len(values)} values: give one for each of the 3 channels")
    return float(values[0]), float(values[1]), float(values[2])


def pair(size: Any) -> tuple[int, int] | None:
    """Height and width of a size that may be one number for both.

    Raises:
        InputError: It is neither a whole number nor two of them, each 1 or more.
    """
    if size is None:
        return None
    sides = list(size) if isinstance(size, Sequence) and not isinstance(size, str) else [size, size]
    if len(sides) != 2 or any(isinstance(side, bool) or not isinstance(side, Integral) or side < 1 for side in sides):
        raise InputError(
            f"image_size is {printable(repr(size), 60)}: give a whole number of pixels, 1 or more, or height and width"
        )
    return int(sides[0]), int(sides[1])
