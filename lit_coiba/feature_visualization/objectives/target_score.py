"""A target of the model's output, such as the logit of a class, as what an image is optimized for."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lit_coiba.core.behavior import refuse_without_classes
from lit_coiba.core.errors import InputError
from lit_coiba.core.targets import Class, Target, parse_target
from lit_coiba.feature_visualization.objectives.objective import Objective, Score
from lit_coiba.feature_visualization.seen import Seen


class TargetScore(Objective):
    """The score of a target: the logit of a class, unless the target says otherwise.

    Args:
        target: Number or name of a class, or a `Target`, which may choose one of several outputs of the model. What it
            has to choose, it chooses on the image that the optimization begins with.

    Raises:
        InputError: The target is a class that is chosen by looking at an image, such as the predicted one.

    Example:
        >>> TargetScore(17).name
        'class 17'
    """

    def __init__(self, target: str | int | Target) -> None:
        self.target = target
        self._target = parse_target(target)
        if isinstance(self._target, Class) and not (isinstance(self._target.cls, int) or self._target.uses_names):
            raise InputError(
                f"target is {self._target.cls}, and there is no image yet whose class this could be: give the number"
                " or the name of a class"
            )

    @property
    def name(self) -> str:
        """The class, or the target as it prints itself."""
        if not isinstance(self._target, Class):
            return str(self._target)
        return f"class {self._target.cls}" if isinstance(self._target.cls, int) else str(self._target.cls)

    def bind(self, model: Any, start: Seen) -> Score:
        """See `Objective.bind`."""
        if isinstance(self._target, Class):
            refuse_without_classes(model)
        names = (getattr(model, "class_names", None) or ()) if self._target.uses_names else ()
        found = self._target.resolve(start.output, names=names)
        if len(found) != 1:
            why = next(iter(found.reasons.values()), "it selects several")
            raise InputError(f"the target selects {len(found)} scores of an image ({why}): give one that selects one")
        if not found.differentiable:
            raise InputError("the target's score has no gradients, which an optimized image needs: give another target")
        target = found.scored_by("logit", asked=False)

        def score(seen: Seen, rows: slice) -> Tensor:
            return target.repeat(len(seen)).score(seen.output)[rows]

        return score
