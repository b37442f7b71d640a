"""What pays where a frozen model runs on many images in low precision, and nobody looks inside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from lit_coiba.backbones.cast_weights import cast_weights
from lit_coiba.propagation.folded_norms import folded_norms


@contextmanager
def many_forwards(model: Any) -> Iterator[None]:
    """Inside, under autocast, norms are folded into convolutions and weights cast once; on leaving, all is as it was.

    Folding changes rounding, which under autocast is coarse anyway. In full precision nothing is changed.

    Args:
        model: The model, frozen; a callable that is no module is left alone.
    """
    with ExitStack() as stack:
        own = next(model.parameters(), None) if isinstance(model, nn.Module) else None
        if own is not None and torch.is_autocast_enabled(own.device.type):
            stack.enter_context(folded_norms(model))
            stack.enter_context(cast_weights(model))
        yield
