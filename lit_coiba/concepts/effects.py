"""What a class's logit does when one concept is taken out of the activations, kept alone, or made stronger."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lit_coiba.concepts.lowered import Lowered
from lit_coiba.core.batched_evaluator import BatchedEvaluator
from lit_coiba.core.targets import Resolved

RAISED = 2.0  # times the coefficient


class Effects(NamedTuple):
    """Changes of B scores, for each of r concepts, ``(B, r)`` float64 on the CPU."""

    deletion: Tensor  # the concept alone is taken out
    keep_only: Tensor  # all that is not the concept is taken out
    raised: Tensor  # the concept is twice as strong


def concept_effects(lowered: Lowered, targets: Resolved, evaluator: BatchedEvaluator | None = None) -> Effects:
    """Intervene on the activations of the concepts' layer, and see what the scores do.

    The activations are the image's own: what the concepts do not reconstruct stays when one is deleted or raised, and
    goes when one is kept alone. Prefix tokens (CLS, registers) always stay.

    Args:
        lowered: The images at the layer of the concepts; the model is frozen.
        targets: A row for each image.
        evaluator: Decides how many edited activations run at once.
    """
    state, path, coefficients = lowered.state, lowered.path, lowered.coefficients
    dictionary, grid = lowered.network.dictionary, lowered.path.grids[0]
    concepts = len(dictionary)

    def some(copies: slice, rows: slice) -> Tensor:
        numbers, count = range(*copies.indices(3 * concepts + 1)), rows.stop - rows.start
        own = grid.to_spatial(state.activation[rows])
        edited = torch.cat([_edited(own, coefficients[rows], dictionary, number) for number in numbers])
        several = state.rows(rows).repeat(len(numbers))
        activation = grid.with_spatial(several.activation, edited.to(several.activation))
        output = path.upper(several, lambda _, __: activation)
        return targets.take(rows).recounted().repeat(len(numbers)).score(output).unflatten(0, (len(numbers), count))

    with torch.no_grad():
        scores = (evaluator or BatchedEvaluator()).gather(state.stream, 3 * concepts + 1, some).double().cpu()
    changes = (scores[1:] - scores[:1]).unflatten(0, (3, concepts)).transpose(1, 2)
    return Effects(*changes)


def _edited(own: Tensor, coefficients: Tensor, dictionary: Tensor, number: int) -> Tensor:
    """Activations ``(B, c, h, w)`` of one intervention: 0 = none, then r deletions, r alone, r raised."""
    if not number:
        return own
    kind, concept = divmod(number - 1, len(dictionary))
    part = torch.einsum("bhw,c->bchw", coefficients[:, concept], dictionary[concept]).to(own)
    return (own - part, part, own + (RAISED - 1) * part)[kind]
