"""Attribution methods, one per file, all with the same verb; the bottlenecks are offered here too."""

from lit_coiba.attribution.attention_rollout import AttentionRollout
from lit_coiba.attribution.attn_lrp import AttnLRP
from lit_coiba.attribution.chefer import Chefer
from lit_coiba.attribution.composite_lrp import CompositeLRP
from lit_coiba.attribution.deep_lift import DeepLift
from lit_coiba.attribution.eva import EVA
from lit_coiba.attribution.grad_cam import GradCAM
from lit_coiba.attribution.head_attribution import HeadAttribution
from lit_coiba.attribution.hires_cam import HiResCAM
from lit_coiba.attribution.hsic import HSIC
from lit_coiba.attribution.input_x_gradient import InputXGradient
from lit_coiba.attribution.integrated_gradients import IntegratedGradients
from lit_coiba.attribution.kernel_shap import KernelSHAP
from lit_coiba.attribution.layer_cam import LayerCAM
from lit_coiba.attribution.lime import LIME
from lit_coiba.attribution.nib import NIB
from lit_coiba.attribution.occlusion import Occlusion
from lit_coiba.attribution.random_map import RandomMap
from lit_coiba.attribution.rise import RISE
from lit_coiba.attribution.saliency import Saliency
from lit_coiba.attribution.score_cam import ScoreCAM
from lit_coiba.attribution.smooth_grad import SmoothGrad
from lit_coiba.attribution.sobol import Sobol
from lit_coiba.attribution.uni import UNI
from lit_coiba.attribution.vit_cx import ViTCX
from lit_coiba.bottlenecks import IBA, CoIBA, InputIBA

__all__ = [
    "EVA",
    "HSIC",
    "IBA",
    "LIME",
    "NIB",
    "RISE",
    "UNI",
    "AttentionRollout",
    "AttnLRP",
    "Chefer",
    "CoIBA",
    "CompositeLRP",
    "DeepLift",
    "GradCAM",
    "HeadAttribution",
    "HiResCAM",
    "InputIBA",
    "InputXGradient",
    "IntegratedGradients",
    "KernelSHAP",
    "LayerCAM",
    "Occlusion",
    "RandomMap",
    "Saliency",
    "ScoreCAM",
    "SmoothGrad",
    "Sobol",
    "ViTCX",
]
