"""Any vision model as a prefix, activations on a spatial grid, and the network above chosen layers."""

from lit_coiba.backbones.backbone import Backbone
from lit_coiba.backbones.chain_split import ChainSplit

__all__ = ["Backbone", "ChainSplit"]
