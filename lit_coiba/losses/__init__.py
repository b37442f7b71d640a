"""Losses, one a file."""

from lit_coiba.losses.distillation import distillation_loss

__all__ = ["distillation_loss"]
