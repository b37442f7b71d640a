"""1-Lipschitz networks: plain layers, constraints, constants read off weights, certified radii, counterfactuals."""

from lit_coiba.lipschitz.certificate import Certificate
from lit_coiba.lipschitz.group_sort import GroupSort2
from lit_coiba.lipschitz.network import LipschitzCNN

__all__ = ["Certificate", "GroupSort2", "LipschitzCNN"]
