"""Attribution methods, one per file, all with the same verb; the bottlenecks are offered here too."""

from typing import TYPE_CHECKING

from lit_coiba.core.lazy import lazily

if TYPE_CHECKING:  # for type checkers and editors; what runs is found by `lazily`
    from lit_coiba.attribution.attention_rollout import AttentionRollout as AttentionRollout
    from lit_coiba.attribution.attn_lrp import AttnLRP as AttnLRP
    from lit_coiba.attribution.center_gaussian import CenterGaussian as CenterGaussian
    from lit_coiba.attribution.chefer import Chefer as Chefer
    from lit_coiba.attribution.composite_lrp import CompositeLRP as CompositeLRP
    from lit_coiba.attribution.deep_lift import DeepLift as DeepLift
    from lit_coiba.attribution.edge_detector import EdgeDetector as EdgeDetector
    from lit_coiba.attribution.eva import EVA as EVA
    from lit_coiba.attribution.grad_cam import GradCAM as GradCAM
    from lit_coiba.attribution.head_attribution import HeadAttribution as HeadAttribution
    from lit_coiba.attribution.hires_cam import HiResCAM as HiResCAM
    from lit_coiba.attribution.hsic import HSIC as HSIC
    from lit_coiba.attribution.input_x_gradient import InputXGradient as InputXGradient
    from lit_coiba.attribution.integrated_gradients import IntegratedGradients as IntegratedGradients
    from lit_coiba.attribution.kernel_shap import KernelSHAP as KernelSHAP
    from lit_coiba.attribution.layer_cam import LayerCAM as LayerCAM
    from lit_coiba.attribution.learned_ranking import LearnedRanking as LearnedRanking
    from lit_coiba.attribution.lime import LIME as LIME
    from lit_coiba.attribution.nib import NIB as NIB
    from lit_coiba.attribution.occlusion import Occlusion as Occlusion
    from lit_coiba.attribution.random_map import RandomMap as RandomMap
    from lit_coiba.attribution.rise import RISE as RISE
    from lit_coiba.attribution.saliency import Saliency as Saliency
    from lit_coiba.attribution.score_cam import ScoreCAM as ScoreCAM
    from lit_coiba.attribution.smooth_grad import SmoothGrad as SmoothGrad
    from lit_coiba.attribution.sobol import Sobol as Sobol
    from lit_coiba.attribution.uni import UNI as UNI
    from lit_coiba.attribution.vit_cx import ViTCX as ViTCX
    from lit_coiba.bottlenecks.coiba import CoIBA as CoIBA
    from lit_coiba.bottlenecks.iba import IBA as IBA
    from lit_coiba.bottlenecks.input_iba import InputIBA as InputIBA
    from lit_coiba.bottlenecks.readout_coiba import ReadoutCoIBA as ReadoutCoIBA
    from lit_coiba.bottlenecks.readout_iba import ReadoutIBA as ReadoutIBA

__getattr__, __dir__ = lazily(
    __name__,
    {},
    folders=("lit_coiba.attribution", "lit_coiba.bottlenecks"),
    base="lit_coiba.core.method.AttributionMethod",
)
