"""What the scripts about all methods share: which there are, and with how many evaluations they run."""

from __future__ import annotations

from typing import Any

from lit_coiba.attribution.presets import preset, preset_names
from lit_coiba.core.method import AttributionMethod

# Needs a trained head; in every leaderboard anyway; presets of the same methods.
LEFT_OUT = {"head_attribution", "random", "coiba_fast", "iba_fast"}
# At most 512 evaluations of an image where the default has more.
FEWER: dict[str, dict[str, Any]] = {
    "sobol": {"grid_size": 7, "n_samples": 8},
    "hsic": {"grid_size": 7, "n_samples": 500},
    "rise": {"n_samples": 512},
    "lime": {"n_samples": 500},
    "kernel_shap": {"n_samples": 500},
    "score_cam": {"channels": 512},
    "vit_cx": {},
    "occlusion": {},
    "eva": {"radius": 0.05, "start_layer": "layer3", "n_samples": 8, "bound": "ibp"},
    "input_iba": {},
}
# The same for models of 224 pixels.
LARGE: dict[str, dict[str, Any]] = {
    "occlusion": {"window": 32},
    "eva": {"radius": 0.3, "patch": 32, "start_layer": "conv_head", "n_samples": 8, "bound": "ibp"},
    "input_iba": {"steps": 20, "copies": 3, "epochs": 4},
}
# Images at most, of methods that take seconds or minutes for one; 200 over it is whole: they are among the 200.
FEWEST = {"eva": 20, "input_iba": 20}


def changes(name: str, pixels: int) -> dict[str, Any]:
    """What differs from the file of a method, for a model of so many pixels a side."""
    large = LARGE.get(name, {}) if pixels > 100 else {}
    return {**FEWER.get(name, {}), **large}


def configured(name: str, changes: dict[str, Any]) -> AttributionMethod:
    """The method of ``configs/method/NAME.yaml`` with some arguments changed."""
    kind, arguments = preset(name)
    return kind(**{**arguments, **changes})


def files(only: list[str]) -> list[str]:
    """Names of configs/method, those of `only` if there are any."""
    return [file for file in preset_names() if file not in LEFT_OUT and (not only or file in only)]
