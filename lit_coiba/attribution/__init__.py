"""Attribution methods, one per file, all with the same verb; the bottlenecks are offered here too."""

from lit_coiba.attribution.deep_lift import DeepLift
from lit_coiba.attribution.grad_cam import GradCAM
from lit_coiba.attribution.head_attribution import HeadAttribution
from lit_coiba.attribution.hires_cam import HiResCAM
from lit_coiba.attribution.input_x_gradient import InputXGradient
from lit_coiba.attribution.integrated_gradients import IntegratedGradients
from lit_coiba.attribution.layer_cam import LayerCAM
from lit_coiba.attribution.nib import NIB
from lit_coiba.attribution.random_map import RandomMap
from lit_coiba.attribution.saliency import Saliency
from lit_coiba.attribution.score_cam import ScoreCAM
from lit_coiba.attribution.smooth_grad import SmoothGrad
from lit_coiba.attribution.uni import UNI
from lit_coiba.bottlenecks import IBA, CoIBA

__all__ = [
    "IBA",
    "NIB",
    "UNI",
    "CoIBA",
    "DeepLift",
    "GradCAM",
    "HeadAttribution",
    "HiResCAM",
    "InputXGradient",
    "IntegratedGradients",
    "LayerCAM",
    "RandomMap",
    "Saliency",
    "ScoreCAM",
    "SmoothGrad",
]
