"""Any vision model as a prefix, activations on a spatial grid, and the network above chosen layers."""

from lit_coiba.backbones.backbone import Backbone
from lit_coiba.backbones.path import ChainPath

__all__ = ["Backbone", "ChainPath"]
