"""SyntheticParts, the dataset in the box: generated objects made of parts, with interventions."""

from lit_coiba.data.synthetic.classes import (
    NUM_CLASSES,
    PARTS,
    VARIANTS,
    SharedPairs,
    class_table,
    compatible_classes,
    matching_classes,
    present_parts,
    shared_pairs,
    soft_targets,
)
from lit_coiba.data.synthetic.dataset import SyntheticPartsDataset
from lit_coiba.data.synthetic.multi_target import DroppedPartsDataset, MultiTargetDataset, multi_target_accuracy

__all__ = [
    "NUM_CLASSES",
    "PARTS",
    "VARIANTS",
    "DroppedPartsDataset",
    "MultiTargetDataset",
    "SharedPairs",
    "SyntheticPartsDataset",
    "class_table",
    "compatible_classes",
    "matching_classes",
    "multi_target_accuracy",
    "present_parts",
    "shared_pairs",
    "soft_targets",
]
