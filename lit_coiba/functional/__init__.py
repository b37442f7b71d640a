"""Pure tensor mathematics; imports torch only."""

from lit_coiba.functional.blur import blur_images, folded_gaussian_window, gaussian_window
from lit_coiba.functional.coalitions import coalitions, shapley_values
from lit_coiba.functional.correlation import average_ranks, pearson, spearman, without_rounding
from lit_coiba.functional.curves import (
    AreaRule,
    area_over,
    area_under_curve,
    curve_at,
    log_counts,
    perturb,
    resample_curve,
    shares_removed,
    step_counts,
)
from lit_coiba.functional.decorrelated_colors import from_rgb, to_rgb
from lit_coiba.functional.f_fidelity import removal_probability
from lit_coiba.functional.form import compactness, gini, harmonic_mean, highest_cells, map_entropy
from lit_coiba.functional.frechet import Scatter, frechet_distance, scatter_distance
from lit_coiba.functional.hsic import hsic
from lit_coiba.functional.infidelity import infidelity
from lit_coiba.functional.information import (
    BITS_PER_NAT,
    beyond_masked_prior,
    information,
    information_gradient,
    information_of_ratio,
)
from lit_coiba.functional.intervals import Interval, bootstrap_interval, paired_intervals
from lit_coiba.functional.localisation import (
    effective_heat_ratio,
    energy_inside,
    highest_share,
    oracle_ceiling,
    pointing_hit,
    relevance_rank,
)
from lit_coiba.functional.maps import convolve, gaussian_kernel, resize_map, resize_ratio, smooth
from lit_coiba.functional.masked_probability import probability_drop, probability_gain, probability_increase
from lit_coiba.functional.moments import Moments
from lit_coiba.functional.noise import antithetic_noise, keyed_noise, keyed_orders, noise, uniform
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
from lit_coiba.functional.phases import doubled_columns, free_phases, symmetrized, tied_phases
from lit_coiba.functional.pic import area_under_points, heights_at, information_curve, median_of_counts
from lit_coiba.functional.places import Places
from lit_coiba.functional.pooling import (
    signed_gumbel,
    signed_log_sum_exp,
    signed_max,
    signed_top_k,
    spatial_average,
)
from lit_coiba.functional.precise import fp64_where_possible, precise, working_dtype
from lit_coiba.functional.purity import channel_purity, pair_purity, prototype_counts
from lit_coiba.functional.quasi_random import sobol_sequence
from lit_coiba.functional.random_masks import random_cells, shifted_masks
from lit_coiba.functional.ranking import cell_values, ranks, spread_cells
from lit_coiba.functional.relevance_gain import relevance_gain
from lit_coiba.functional.representatives import Representatives, representatives
from lit_coiba.functional.rv import ChannelRV, channel_rv, rv_coefficient
from lit_coiba.functional.saco import salience_faithfulness
from lit_coiba.functional.sobol_indices import first_order, replicated_rows, total_order
from lit_coiba.functional.spectra import (
    frequencies,
    from_radial_profile,
    radial_frequencies,
    radial_profile,
    resized_spectrum,
)
from lit_coiba.functional.strongest import Strongest, duplicates, merge_strongest, strongest
from lit_coiba.functional.subsets import keyed_subsets, prefix_sums, subset_sums
from lit_coiba.functional.surrogate import cosine_similarity_weights, explained_variance, weighted_lasso, weighted_ridge

__all__ = [
    "BITS_PER_NAT",
    "LEFT_RIGHT",
    "AreaRule",
    "ChannelRV",
    "Interval",
    "Moments",
    "PartPurity",
    "Places",
    "Representatives",
    "Scatter",
    "Strongest",
    "antithetic_noise",
    "area_over",
    "area_under_curve",
    "area_under_points",
    "average_ranks",
    "beyond_masked_prior",
    "blur_images",
    "bootstrap_interval",
    "cell_values",
    "centre_cropped",
    "channel_purity",
    "channel_rv",
    "coalitions",
    "compactness",
    "convolve",
    "cosine_similarity_weights",
    "curve_at",
    "doubled_columns",
    "duplicates",
    "effective_heat_ratio",
    "energy_inside",
    "explained_variance",
    "first_order",
    "folded_gaussian_window",
    "fp64_where_possible",
    "frechet_distance",
    "free_phases",
    "frequencies",
    "from_radial_profile",
    "from_rgb",
    "gaussian_kernel",
    "gaussian_window",
    "gini",
    "harmonic_mean",
    "heights_at",
    "highest_cells",
    "highest_share",
    "hsic",
    "infidelity",
    "information",
    "information_curve",
    "information_gradient",
    "information_of_ratio",
    "keyed_noise",
    "keyed_orders",
    "keyed_subsets",
    "log_counts",
    "map_entropy",
    "median_of_counts",
    "merge_parts",
    "merge_strongest",
    "merged_names",
    "noise",
    "oracle_ceiling",
    "pair_purity",
    "paired_intervals",
    "part_purity",
    "part_vectors",
    "parts_inside",
    "pearson",
    "perturb",
    "pointing_hit",
    "precise",
    "prefix_sums",
    "probability_drop",
    "probability_gain",
    "probability_increase",
    "prototype_counts",
    "radial_frequencies",
    "radial_profile",
    "random_cells",
    "ranks",
    "relevance_gain",
    "relevance_rank",
    "removal_probability",
    "replicated_rows",
    "representatives",
    "resample_curve",
    "resize_map",
    "resize_ratio",
    "resized_spectrum",
    "rv_coefficient",
    "salience_faithfulness",
    "sample_noise",
    "scatter_distance",
    "shapley_values",
    "shares_removed",
    "shifted_masks",
    "signed_gumbel",
    "signed_log_sum_exp",
    "signed_max",
    "signed_top_k",
    "smooth",
    "sobol_sequence",
    "spatial_average",
    "spearman",
    "spread_cells",
    "step_counts",
    "strongest",
    "subset_sums",
    "symmetrized",
    "tied_phases",
    "to_rgb",
    "total_order",
    "uniform",
    "weighted_lasso",
    "weighted_ridge",
    "without_rounding",
    "working_dtype",
]
