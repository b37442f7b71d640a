"""Which predictions are right."""

from __future__ import annotations

from torch import Tensor

TOP = 5  # classes of the second accuracy


def accuracies(name: str, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """The accuracy, and in an evaluation of more than five classes that of the five most probable ones, by log names.

    Args:
        name: What stands before: ``train``, ``val`` or ``val/LOADER``, ``test`` likewise.
        logits: ``(B, K)``.
        targets: The truth, see `hits`.
    """
    found = {f"{name}/accuracy": hits(logits, targets).float().mean()}
    if name != "train" and logits.shape[1] > TOP:
        found[f"{name}/top{TOP}"] = hits(logits, targets, TOP).float().mean()
    return found


def hits(logits: Tensor, targets: Tensor, top: int = 1) -> Tensor:
    """Which predictions are right: ``(B, K)``, class indices ``(B,)`` or soft targets ``(B, K)`` -> bool ``(B,)``.

    With soft targets every class above zero is right (FunnyBirds' multi-target accuracy).

    Args:
        logits: ``(B, K)``.
        targets: The truth.
        top: One of so many most probable classes has to be right.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[0.0, 1.0, 2.0], [5.0, 1.0, 2.0]])
        >>> hits(logits, torch.tensor([2, 2])), hits(logits, torch.tensor([[0.0, 0.5, 0.5], [0.0, 0.5, 0.5]]))
        (tensor([ True, False]), tensor([ True, False]))
        >>> hits(logits, torch.tensor([2, 2]), top=2)
        tensor([True, True])
    """
    predicted = logits.topk(top, 1).indices
    if targets.dim() == 1:
        return (predicted == targets.unsqueeze(1)).any(1)
    return (targets.gather(1, predicted) > 0).any(1)
