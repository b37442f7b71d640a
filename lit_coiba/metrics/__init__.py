"""Metrics of maps and of prototypes, as torchmetrics; each has a `card` that says what its numbers are."""

from typing import TYPE_CHECKING

from lit_coiba.core.lazy import lazily

if TYPE_CHECKING:  # for type checkers and editors; what runs is found by `lazily`
    from lit_coiba.metrics.alignment.alignment import Alignment as Alignment
    from lit_coiba.metrics.alignment.human_alignment import HumanAlignment as HumanAlignment
    from lit_coiba.metrics.alignment.marked_reliance import MarkedReliance as MarkedReliance
    from lit_coiba.metrics.alignment.top_overlap import TopOverlap as TopOverlap
    from lit_coiba.metrics.batch import ScoredBatch as ScoredBatch
    from lit_coiba.metrics.card import MetricCard as MetricCard
    from lit_coiba.metrics.complexity.arcc import ARCC as ARCC
    from lit_coiba.metrics.complexity.entropy import Entropy as Entropy
    from lit_coiba.metrics.complexity.mst_compactness import MSTCompactness as MSTCompactness
    from lit_coiba.metrics.complexity.sparseness import Sparseness as Sparseness
    from lit_coiba.metrics.faithfulness.average_drop import AverageDrop as AverageDrop
    from lit_coiba.metrics.faithfulness.average_gain import AverageGain as AverageGain
    from lit_coiba.metrics.faithfulness.average_increase import AverageIncrease as AverageIncrease
    from lit_coiba.metrics.faithfulness.degradation import Degradation as Degradation
    from lit_coiba.metrics.faithfulness.deletion import Deletion as Deletion
    from lit_coiba.metrics.faithfulness.f_fidelity import FFidelity as FFidelity
    from lit_coiba.metrics.faithfulness.faithfulness import Faithfulness as Faithfulness
    from lit_coiba.metrics.faithfulness.faithfulness_correlation import (
        FaithfulnessCorrelation as FaithfulnessCorrelation,
    )
    from lit_coiba.metrics.faithfulness.idsds import IDSDS as IDSDS
    from lit_coiba.metrics.faithfulness.infidelity import Infidelity as Infidelity
    from lit_coiba.metrics.faithfulness.insertion import Insertion as Insertion
    from lit_coiba.metrics.faithfulness.mu_fidelity import MuFidelity as MuFidelity
    from lit_coiba.metrics.faithfulness.pic import PIC as PIC
    from lit_coiba.metrics.faithfulness.road import ROAD as ROAD
    from lit_coiba.metrics.faithfulness.roms import ROMS as ROMS
    from lit_coiba.metrics.faithfulness.saco import SaCo as SaCo
    from lit_coiba.metrics.faithfulness.sds import SDS as SDS
    from lit_coiba.metrics.faithfulness.sensitivity_n import SensitivityN as SensitivityN
    from lit_coiba.metrics.faithfulness.srg import SRG as SRG
    from lit_coiba.metrics.localisation.box_localisation import BoxLocalisation as BoxLocalisation
    from lit_coiba.metrics.localisation.earth_mover import EarthMover as EarthMover
    from lit_coiba.metrics.localisation.effective_heat_ratio import EffectiveHeatRatio as EffectiveHeatRatio
    from lit_coiba.metrics.localisation.energy_gain import EnergyGain as EnergyGain
    from lit_coiba.metrics.localisation.energy_pointing import EnergyPointing as EnergyPointing
    from lit_coiba.metrics.localisation.grid_pointing import GridPointing as GridPointing
    from lit_coiba.metrics.localisation.localisation import Localisation as Localisation
    from lit_coiba.metrics.localisation.mask_localisation import MaskLocalisation as MaskLocalisation
    from lit_coiba.metrics.localisation.pointing_game import PointingGame as PointingGame
    from lit_coiba.metrics.localisation.precision import Precision as Precision
    from lit_coiba.metrics.localisation.relevance_rank import RelevanceRank as RelevanceRank
    from lit_coiba.metrics.localisation.suppressor_share import SuppressorShare as SuppressorShare
    from lit_coiba.metrics.metric import Metric as Metric
    from lit_coiba.metrics.prototypes.activation_sparsity import ActivationSparsity as ActivationSparsity
    from lit_coiba.metrics.prototypes.channel_correlation import ChannelCorrelation as ChannelCorrelation
    from lit_coiba.metrics.prototypes.consistency import Consistency as Consistency
    from lit_coiba.metrics.prototypes.explanation_size import ExplanationSize as ExplanationSize
    from lit_coiba.metrics.prototypes.spatial_misalignment import SpatialMisalignment as SpatialMisalignment
    from lit_coiba.metrics.prototypes.stability import Stability as Stability
    from lit_coiba.metrics.prototypes.strongest_purity import StrongestPurity as StrongestPurity
    from lit_coiba.metrics.randomization.effective_model_randomization import (
        EffectiveModelRandomization as EffectiveModelRandomization,
    )
    from lit_coiba.metrics.randomization.logit_randomization import LogitRandomization as LogitRandomization
    from lit_coiba.metrics.randomization.model_randomization import ModelRandomization as ModelRandomization
    from lit_coiba.metrics.randomization.smooth_model_randomization import (
        SmoothModelRandomization as SmoothModelRandomization,
    )
    from lit_coiba.metrics.representativity.mege import MeGe as MeGe
    from lit_coiba.metrics.representativity.reco import ReCo as ReCo
    from lit_coiba.metrics.robustness.average_stability import AverageStability as AverageStability
    from lit_coiba.metrics.robustness.local_perturbation import LocalPerturbation as LocalPerturbation
    from lit_coiba.metrics.robustness.max_sensitivity import MaxSensitivity as MaxSensitivity
    from lit_coiba.metrics.robustness.robustness_s import RobustnessS as RobustnessS

__getattr__, __dir__ = lazily(
    __name__,
    {
        "Alignment": "lit_coiba.metrics.alignment.alignment",
        "Faithfulness": "lit_coiba.metrics.faithfulness.faithfulness",
        "Localisation": "lit_coiba.metrics.localisation.localisation",
        "Metric": "lit_coiba.metrics.metric",
        "MetricCard": "lit_coiba.metrics.card",
        "ScoredBatch": "lit_coiba.metrics.batch",
    },
    folders=("lit_coiba.metrics",),
    base="torchmetrics.Metric",
)
