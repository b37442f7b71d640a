"""Heads that explain themselves: features on a grid to logits, each logit a sum over units that lie in the image."""

from lit_coiba.heads.br_npa import BRNPAHead
from lit_coiba.heads.epic import EPICHead
from lit_coiba.heads.head import Head
from lit_coiba.heads.infodisent import InfoDisentHead
from lit_coiba.heads.linear import LinearHead
from lit_coiba.heads.rotation import Rotation

__all__ = ["BRNPAHead", "EPICHead", "Head", "InfoDisentHead", "LinearHead", "Rotation"]
