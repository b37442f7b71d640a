"""Pure tensor mathematics; imports torch only."""

from lit_coiba.functional.blur import blur_images, folded_gaussian_window, gaussian_window
from lit_coiba.functional.curves import area_under_curve, perturb, resample_curve, step_counts
from lit_coiba.functional.information import BITS_PER_NAT, information, information_gradient, information_of_ratio
from lit_coiba.functional.intervals import Interval, bootstrap_interval, paired_intervals
from lit_coiba.functional.localisation import energy_inside, pointing_hit, relevance_rank
from lit_coiba.functional.maps import convolve, gaussian_kernel, resize_map, resize_ratio, smooth
from lit_coiba.functional.moments import Moments
from lit_coiba.functional.noise import antithetic_noise, noise
from lit_coiba.functional.pooling import (
    signed_gumbel,
    signed_log_sum_exp,
    signed_max,
    signed_top_k,
    spatial_average,
)
from lit_coiba.functional.purity import channel_purity, pair_purity, prototype_counts
from lit_coiba.functional.ranking import cell_values, ranks, spread_cells
from lit_coiba.functional.representatives import Representatives, representatives

__all__ = [
    "BITS_PER_NAT",
    "Interval",
    "Moments",
    "Representatives",
    "antithetic_noise",
    "area_under_curve",
    "blur_images",
    "bootstrap_interval",
    "cell_values",
    "channel_purity",
    "convolve",
    "energy_inside",
    "folded_gaussian_window",
    "gaussian_kernel",
    "gaussian_window",
    "information",
    "information_gradient",
    "information_of_ratio",
    "noise",
    "pair_purity",
    "paired_intervals",
    "perturb",
    "pointing_hit",
    "prototype_counts",
    "ranks",
    "relevance_rank",
    "representatives",
    "resample_curve",
    "resize_map",
    "resize_ratio",
    "signed_gumbel",
    "signed_log_sum_exp",
    "signed_max",
    "signed_top_k",
    "smooth",
    "spatial_average",
    "spread_cells",
    "step_counts",
]
