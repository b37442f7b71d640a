"""Images of a batch mixed with one another, and their targets with them."""

from __future__ import annotations

from torchvision.transforms import v2

from lit_coiba.core.errors import InputError


def mixing(mixup: float, cutmix: float, num_classes: int) -> v2.Transform | None:
    """Mixup and CutMix of a batch, one of them at random where both are on; None where both are off.

    Args:
        mixup: Parameter of the Beta distribution of mixup; 0 = off.
        cutmix: Parameter of that of CutMix; 0 = off.
        num_classes: Number of classes K of the targets that are mixed, ``(B, K)``.

    Raises:
        InputError: A parameter is below 0.
    """
    if not (mixup >= 0 and cutmix >= 0):
        raise InputError(f"mixup is {mixup} and cutmix {cutmix}: give 0 (off) or more")
    kinds = ((v2.MixUp, mixup), (v2.CutMix, cutmix))
    found = [kind(alpha=alpha, num_classes=num_classes) for kind, alpha in kinds if alpha]
    return v2.RandomChoice(found) if found else None
