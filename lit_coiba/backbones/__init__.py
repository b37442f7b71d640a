"""Any vision model as a prefix, activations on a spatial grid, and the network above chosen layers."""

from lit_coiba.backbones.backbone import Backbone
from lit_coiba.backbones.chain_split import ChainSplit
from lit_coiba.backbones.disconnected import di_full, di_part

__all__ = ["Backbone", "ChainSplit", "di_full", "di_part"]
