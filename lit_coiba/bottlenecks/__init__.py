"""Noise-injecting layers, the statistics they need, and their fit."""

from lit_coiba.bottlenecks.coiba import CoIBA
from lit_coiba.bottlenecks.iba import IBA
from lit_coiba.bottlenecks.input_iba import InputIBA
from lit_coiba.bottlenecks.leak import choose_layers, leak
from lit_coiba.bottlenecks.method import BottleneckMethod
from lit_coiba.bottlenecks.statistics import ActivationStatistics, LeakTest, estimate_statistics

__all__ = [
    "IBA",
    "ActivationStatistics",
    "BottleneckMethod",
    "CoIBA",
    "InputIBA",
    "LeakTest",
    "choose_layers",
    "estimate_statistics",
    "leak",
]
