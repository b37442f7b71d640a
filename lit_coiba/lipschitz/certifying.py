"""Which networks decisions are certified of, and the logits that a certificate is of."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from lit_coiba.core.errors import InputError
from lit_coiba.lipschitz.certificate import TOLERANCE, Certificate
from lit_coiba.lipschitz.least_constant import least_constant
from lit_coiba.lipschitz.network import LipschitzCNN

RADIUS = "radius"  # the column of stores and tables: the certified radius of a decision, in L2 of pixels in [0, 1]

_CHAINS = (LipschitzCNN, nn.Sequential)  # networks whose layers a constant may be known of
_MEASURED: WeakKeyDictionary[Any, tuple[Any, Certificate | str]] = WeakKeyDictionary()  # of a state; str = why not


def certificate_of(backbone: Any, certify: bool | None = None) -> Certificate | None:
    """The certificate of a model where its decisions are to be certified; None = they are not.

    To measure it costs seconds; it is kept until the weights change. A model that is no chain costs nothing, and one
    that is far from 1-Lipschitz a few forwards.

    Args:
        backbone: A `Backbone`.
        certify: True = it has to be 1-Lipschitz; None = if it is; False = no.

    Raises:
        InputError: `certify` is True, and the model is not 1-Lipschitz, or has a layer whose constant is not known.
    """
    if certify is False or (certify is None and not isinstance(backbone.model, _CHAINS)):
        return None
    state = backbone.digest(), backbone.preprocessing
    before = _MEASURED.get(backbone)
    if before is None or before[0] != state:
        before = _MEASURED[backbone] = state, _measured(backbone)
    found = before[1]
    if isinstance(found, Certificate):
        return found
    if certify:
        raise InputError(f"certify is True, but {found}")
    return None


def precise_logits(backbone: Any, images: Tensor) -> Tensor:
    """Logits ``(B, K)`` in float32 also under autocast: those of bf16 are of another function, which nothing certifies.

    TF32, which a GPU would otherwise take for convolutions, is off for the same reason.

    Args:
        backbone: The model.
        images: Model input ``(B, 3, H, W)``.
    """
    with torch.autocast(images.device.type, enabled=False), _without_tf32() if images.is_cuda else nullcontext():
        logits: Tensor = backbone(images)
    return logits.float()


def _without_tf32() -> AbstractContextManager[None]:
    cudnn = torch.backends.cudnn
    return cudnn.flags(cudnn.enabled, cudnn.benchmark, deterministic=cudnn.deterministic, allow_tf32=False)


def _measured(backbone: Any) -> Certificate | str:
    """The certificate, or why there is none, without a measurement where a look is enough."""
    try:
        least = least_constant(backbone.model, backbone.preprocessing.size)
        if least <= 1 + TOLERANCE:
            return Certificate.of(backbone)
    except InputError as error:
        return str(error)
    return (
        f"the model is not 1-Lipschitz: its constant is at least {least:.4g}, so nothing is certified: give a network"
        " that LipschitzClassifier has trained"
    )
