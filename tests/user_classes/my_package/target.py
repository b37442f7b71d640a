"""The class of a rank, counted from the most probable one."""

from dataclasses import dataclass
from typing import ClassVar

from lit_coiba.core.targets import Target
from lit_coiba.core.targets.class_target import class_rows


@dataclass(frozen=True)
class MyTarget(Target):
    """One class of each image.

    Args:
        rank: 0 = the most probable class.
    """

    kind: ClassVar[str] = "rank"

    rank: int = 1

    def resolve(self, out, labels=None, names=()):
        index = out.sort(dim=-1, descending=True, stable=True).indices[:, self.rank]
        return class_rows(index, out.shape[1], names=names)
