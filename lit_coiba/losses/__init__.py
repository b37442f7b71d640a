"""Losses, one a file."""

from lit_coiba.losses.distillation import distillation_loss
from lit_coiba.losses.hkr import hkr, multiclass_hkr
from lit_coiba.losses.lse_hkr import lse_hkr
from lit_coiba.losses.soft_hkr import SoftHKR
from lit_coiba.losses.tau_cross_entropy import tau_cross_entropy

__all__ = ["SoftHKR", "distillation_loss", "hkr", "lse_hkr", "multiclass_hkr", "tau_cross_entropy"]
