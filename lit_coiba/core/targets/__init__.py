"""What is explained, as a value: a `Target` says what, and bound to a batch it is a `Resolved`, which methods ask."""

from lit_coiba.core.targets.class_target import Class, ResolvedClass, Score
from lit_coiba.core.targets.concept_target import Concept, ResolvedConcept
from lit_coiba.core.targets.resolution import Targets, resolve
from lit_coiba.core.targets.resolved import Resolved
from lit_coiba.core.targets.selection import OutputPath, select_output
from lit_coiba.core.targets.strings import parse_target
from lit_coiba.core.targets.target import Target
from lit_coiba.core.targets.unscored import Unscored, unscored_rows

__all__ = [
    "Class",
    "Concept",
    "OutputPath",
    "Resolved",
    "ResolvedClass",
    "ResolvedConcept",
    "Score",
    "Target",
    "Targets",
    "Unscored",
    "parse_target",
    "resolve",
    "select_output",
    "unscored_rows",
]
