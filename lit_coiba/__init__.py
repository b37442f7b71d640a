"""Train interpretable vision models and explain any vision model at dataset scale, in one Lightning Trainer.

What the first hour needs is found here: models, data, what runs over them, what comes out, and the methods to begin
with. All other methods are in `lit_coiba.attribution`, datasets in `lit_coiba.data`, heads in `lit_coiba.heads`,
metrics in `lit_coiba.metrics`, and what images are optimized for in `lit_coiba.feature_visualization`.
"""

from typing import TYPE_CHECKING

from lit_coiba.core.lazy import lazily

if TYPE_CHECKING:  # for type checkers and editors; what runs is found by `lazily`
    from lit_coiba.attribution.grad_cam import GradCAM as GradCAM
    from lit_coiba.attribution.head_attribution import HeadAttribution as HeadAttribution
    from lit_coiba.attribution.rise import RISE as RISE
    from lit_coiba.attribution.saliency import Saliency as Saliency
    from lit_coiba.backbones.backbone import Backbone as Backbone
    from lit_coiba.benchmark.compare import compare as compare
    from lit_coiba.bottlenecks.coiba import CoIBA as CoIBA
    from lit_coiba.bottlenecks.iba import IBA as IBA
    from lit_coiba.concepts.craft import CRAFT as CRAFT
    from lit_coiba.core.preprocessing import Preprocessing as Preprocessing
    from lit_coiba.core.targets import Class as Class
    from lit_coiba.data.image_folder import ImageFolder as ImageFolder
    from lit_coiba.data.in_hand import load_images as load_images
    from lit_coiba.data.synthetic_parts import SyntheticParts as SyntheticParts
    from lit_coiba.feature_visualization.maco import MACO as MACO
    from lit_coiba.modules.explainer import Explainer as Explainer
    from lit_coiba.modules.prototype_search import PrototypeSearch as PrototypeSearch
    from lit_coiba.modules.scorer import Scorer as Scorer
    from lit_coiba.pictures.overlay import heat as heat
    from lit_coiba.pictures.overlay import overlay as overlay
    from lit_coiba.pictures.show import save as save
    from lit_coiba.pictures.show import show as show
    from lit_coiba.prototypes.prototypes import Prototypes as Prototypes
    from lit_coiba.store.store import ExplanationStore as ExplanationStore
    from lit_coiba.trainer.trainer import Trainer as Trainer
    from lit_coiba.training.classifier import Classifier as Classifier

__version__ = "0.1.0"

__getattr__, __dir__ = lazily(
    __name__,
    {
        "Backbone": "lit_coiba.backbones",
        "CRAFT": "lit_coiba.concepts.craft",
        "Class": "lit_coiba.core.targets",
        "Classifier": "lit_coiba.training.classifier",
        "CoIBA": "lit_coiba.bottlenecks.coiba",
        "Explainer": "lit_coiba.modules.explainer",
        "ExplanationStore": "lit_coiba.store",
        "GradCAM": "lit_coiba.attribution.grad_cam",
        "HeadAttribution": "lit_coiba.attribution.head_attribution",
        "IBA": "lit_coiba.bottlenecks.iba",
        "ImageFolder": "lit_coiba.data.image_folder",
        "MACO": "lit_coiba.feature_visualization",
        "Preprocessing": "lit_coiba.core.preprocessing",
        "PrototypeSearch": "lit_coiba.modules.prototype_search",
        "Prototypes": "lit_coiba.prototypes",
        "RISE": "lit_coiba.attribution.rise",
        "Saliency": "lit_coiba.attribution.saliency",
        "Scorer": "lit_coiba.modules.scorer",
        "SyntheticParts": "lit_coiba.data.synthetic_parts",
        "Trainer": "lit_coiba.trainer",
        "compare": "lit_coiba.benchmark.compare",
        "heat": "lit_coiba.pictures",
        "load_images": "lit_coiba.data.in_hand",
        "overlay": "lit_coiba.pictures",
        "save": "lit_coiba.pictures",
        "show": "lit_coiba.pictures",
    },
)
