"""What the units of a trained head stand for: the patches of the training images that each answers to most."""

from lit_coiba.prototypes.prototypes import Patch, Prototypes

__all__ = ["Patch", "Prototypes"]
