"""All that golden numbers take from the package, in one place: here alone a moved module is followed."""

# ruff: noqa: F401

from lit_coiba import attribution, functional
from lit_coiba.attribution import HeadAttribution
from lit_coiba.backbones import Backbone
from lit_coiba.bottlenecks import estimate_statistics
from lit_coiba.bounds import Box, overlap, propagate, specification, trace, upper_bounds
from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.core.targets.class_target import class_rows
from lit_coiba.data import BlockDataModule, Subset, SyntheticParts, Transform
from lit_coiba.heads import BRNPAHead, EPICHead, InfoDisentHead, LinearHead, Rotation
from lit_coiba.losses import distillation_loss
from lit_coiba.metrics import Deletion, EnergyPointing, Insertion, PointingGame, RelevanceRank
from lit_coiba.metrics.prototypes.activation_sparsity import ActivationSparsity
from lit_coiba.metrics.prototypes.channel_correlation import ChannelCorrelation
from lit_coiba.metrics.prototypes.class_prototypes import class_prototypes
from lit_coiba.metrics.prototypes.consistency import Consistency
from lit_coiba.metrics.prototypes.explanation_size import ExplanationSize
from lit_coiba.metrics.prototypes.stability import Stability
from lit_coiba.metrics.prototypes.strongest_purity import StrongestPurity
from lit_coiba.modules.explainer import Explainer
from lit_coiba.modules.prototype_search import PrototypeSearch
from lit_coiba.modules.scorer import Scorer
from lit_coiba.store import ExplanationStore
from lit_coiba.store.merge import merge
from lit_coiba.trainer import Trainer
from lit_coiba.training.classifier import Classifier
from lit_coiba.training.feature_file import FeatureFile
from lit_coiba.training.purity_training import PurityTraining
from lit_coiba.training.teacher import Teacher
