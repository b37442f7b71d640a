"""Pure tensor mathematics; imports torch only."""

from lit_coiba.functional.blur import blur_images, folded_gaussian_window, gaussian_window
from lit_coiba.functional.curves import area_under_curve, perturb, resample_curve, step_counts
from lit_coiba.functional.information import BITS_PER_NAT, information, information_gradient, information_of_ratio
from lit_coiba.functional.intervals import Interval, bootstrap_interval, paired_intervals
from lit_coiba.functional.localisation import energy_inside, pointing_hit, relevance_rank
from lit_coiba.functional.maps import convolve, gaussian_kernel, resize_map, resize_ratio, smooth
from lit_coiba.functional.moments import Moments
from lit_coiba.functional.noise import antithetic_noise, noise
from lit_coiba.functional.part_purity import (
    LEFT_RIGHT,
    PartPurity,
    centre_cropped,
    merge_parts,
    merged_names,
    part_purity,
    parts_inside,
)
from lit_coiba.functional.part_vectors import part_vectors, sample_noise
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
from lit_coiba.functional.rv import ChannelRV, channel_rv, rv_coefficient
from lit_coiba.functional.strongest import Strongest, merge_strongest, strongest, twins

__all__ = [
    "BITS_PER_NAT",
    "LEFT_RIGHT",
    "ChannelRV",
    "Interval",
    "Moments",
    "PartPurity",
    "Representatives",
    "Strongest",
    "antithetic_noise",
    "area_under_curve",
    "blur_images",
    "bootstrap_interval",
    "cell_values",
    "centre_cropped",
    "channel_purity",
    "channel_rv",
    "convolve",
    "energy_inside",
    "folded_gaussian_window",
    "gaussian_kernel",
    "gaussian_window",
    "information",
    "information_gradient",
    "information_of_ratio",
    "merge_parts",
    "merge_strongest",
    "merged_names",
    "noise",
    "pair_purity",
    "paired_intervals",
    "part_purity",
    "part_vectors",
    "parts_inside",
    "perturb",
    "pointing_hit",
    "prototype_counts",
    "ranks",
    "relevance_rank",
    "representatives",
    "resample_curve",
    "resize_map",
    "resize_ratio",
    "rv_coefficient",
    "sample_noise",
    "signed_gumbel",
    "signed_log_sum_exp",
    "signed_max",
    "signed_top_k",
    "smooth",
    "spatial_average",
    "spread_cells",
    "step_counts",
    "strongest",
    "twins",
]
