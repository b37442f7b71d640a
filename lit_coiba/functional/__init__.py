"""Pure tensor mathematics; imports torch only."""

from lit_coiba.functional.information import BITS_PER_NAT, information, information_gradient, information_of_ratio
from lit_coiba.functional.intervals import Interval, bootstrap_interval
from lit_coiba.functional.localisation import energy_inside
from lit_coiba.functional.maps import gaussian_kernel, resize_map, resize_ratio, smooth
from lit_coiba.functional.moments import Moments
from lit_coiba.functional.noise import antithetic_noise, noise

__all__ = [
    "BITS_PER_NAT",
    "Interval",
    "Moments",
    "antithetic_noise",
    "bootstrap_interval",
    "energy_inside",
    "gaussian_kernel",
    "information",
    "information_gradient",
    "information_of_ratio",
    "noise",
    "resize_map",
    "resize_ratio",
    "smooth",
]
