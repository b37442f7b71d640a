"""Heads that explain themselves: features on a grid to logits, each logit a sum over units that lie in the image."""

from typing import TYPE_CHECKING

from lit_coiba.core.lazy import lazily

if TYPE_CHECKING:  # for type checkers and editors; what runs is found by `lazily`
    from lit_coiba.heads.br_npa import BRNPAHead as BRNPAHead
    from lit_coiba.heads.epic import EPICHead as EPICHead
    from lit_coiba.heads.head import Head as Head
    from lit_coiba.heads.infodisent import InfoDisentHead as InfoDisentHead
    from lit_coiba.heads.linear import LinearHead as LinearHead
    from lit_coiba.heads.rotation import Rotation as Rotation

__getattr__, __dir__ = lazily(
    __name__,
    {"Head": "lit_coiba.heads.head", "Rotation": "lit_coiba.heads.rotation"},
    folders=("lit_coiba.heads",),
    base="lit_coiba.heads.head.Head",
    suffix="Head",
)

__all__ = __dir__()  # imported at once: a checkpoint names its head, which is looked for among those that are imported
