"""What becomes of the parts of an image that masks hide: pixels of a baseline, or of a ViT nothing at all."""

from __future__ import annotations

from collections.abc import Callable
from math import lcm
from typing import Any, Literal

import torch
from torch import Tensor

from lit_coiba.backbones.tokens import TokenDropping
from lit_coiba.core.batched_evaluator import BatchedEvaluator
from lit_coiba.core.errors import InputError, check_choice
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved
from lit_coiba.perturbation.baselines import Baseline
from lit_coiba.perturbation.masking import (
    Perturbation,
    baseline_or_zeros,
    cell_masks,
    copy_scores,
    masked,
    perturbed,
)

MaskBaseline = Literal[Baseline, "tokens"]  # of masks that show a part or hide it, nothing between
Masks = Callable[[slice, slice], Tensor]  # of some copies of some images: (k, H, W) for all of them, or (k, r, H, W)


class HiddenPixels:
    """Hidden pixels show a baseline.

    Args:
        model: The model, frozen.
        images: ``(B, 3, H, W)``.
        kind: Name of the baseline.
        seed: Seed of a random one.
    """

    def __init__(self, model: Network, images: Tensor, kind: Baseline = "zero", seed: int = 0) -> None:
        self._model, self._images = model, images
        self._baseline = baseline_or_zeros(kind, images, model, seed)

    def outputs(self, rows: slice | Tensor, masks: Tensor) -> Any:
        """The model's outputs for some images under masks ``(k, H, W)`` or ``(k, r, H, W)``, copy-major."""
        baseline = None if self._baseline is None else self._baseline[rows]
        return self._model(masked(self._images[rows], masks, baseline).flatten(0, 1))

    def check_cells(self, places: Tensor, told: str, remedy: str = "") -> None:
        """Any part can be hidden."""


class HiddenTokens:
    """Patches of which anything is hidden are absent: their tokens are left out (Jain et al., 2022, arXiv 2204.08945).

    Args:
        model: The model, frozen.
        images: ``(B, 3, H, W)``.

    Raises:
        InputError: The model cannot leave out tokens.
    """

    def __init__(self, model: Network, images: Tensor) -> None:
        self._dropping = TokenDropping.of(model)
        self._tokens = self._dropping.embed(images)
        self.patch = (images.shape[-2] // self.grid[0], images.shape[-1] // self.grid[1])  # height, width in pixels

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return self._dropping.grid

    @property
    def side(self) -> int:
        """Pixels of which the sides of windows of whole patches are multiples."""
        return lcm(*self.patch)

    def outputs(self, rows: slice | Tensor, masks: Tensor) -> Any:
        """The model's outputs for some images under masks ``(k, H, W)`` or ``(k, r, H, W)``, copy-major.

        Raises:
            InputError: A mask hides all, and the model has no score without any patch.
        """
        tokens = self._tokens[rows]
        kept = kept_patches(masks.unsqueeze(1) if masks.dim() == 3 else masks, self.grid)
        kept = kept.expand(-1, len(tokens), -1).flatten(0, 1)
        if self._dropping.pools_patches and not bool(kept.any(1).all()):
            raise InputError(
                "baseline is tokens, and all patches of an image are hidden at once, without which a model that pools"
                " patches has no score: choose another baseline"
            )
        return self._dropping.run(tokens.repeat(len(masks), 1, 1), kept)

    def check_cells(self, places: Tensor, told: str, remedy: str = "") -> None:
        """Refuse cells that split a patch.

        Args:
            places: Number of the cell at each pixel, ``(1, H, W)`` or ``(B, H, W)``.
            told: What they are, for the message, such as "grid_size is 5".
            remedy: What to give instead; empty = a divisor of the patches' grid.

        Raises:
            InputError: Two cells have a part of one patch.
        """
        patches = by_patch(places, self.grid)
        if torch.equal(patches.amin((-3, -1)), patches.amax((-3, -1))):
            return
        (rows, columns), (height, width) = self.grid, self.patch
        divisors = [str(n) for n in range(1, min(self.grid) + 1) if rows % n == 0 and columns % n == 0]
        raise InputError(
            f"{told}, which splits patches of {height} x {width} pixels, and baseline tokens hides whole ones: give"
            f" {remedy or f'a divisor of {rows} x {columns}: ' + ', '.join(divisors)}"
        )


Hiding = HiddenPixels | HiddenTokens


def hiding(model: Network, images: Tensor, kind: MaskBaseline, seed: int = 0) -> Hiding:
    """What becomes of the hidden parts of images ``(B, 3, H, W)``, by the name that the user gives.

    Raises:
        InputError: ``tokens`` for a model that cannot leave them out.
    """
    return HiddenTokens(model, images) if kind == "tokens" else HiddenPixels(model, images, kind, seed)


def mask_scores(
    hidden: Hiding, images: Tensor, targets: Resolved, count: int, masks: Masks, evaluator: BatchedEvaluator
) -> Tensor:
    """Scores ``(count, B)`` of the targets for each image under `count` masks.

    Args:
        hidden: What becomes of what they hide.
        images: ``(B, 3, H, W)``.
        targets: A row for each image.
        count: Number of masks of each image.
        masks: Makes some of them.
        evaluator: Decides how many at once.
    """

    def evaluate(some: slice, rows: slice) -> Tensor:
        shown = masks(some, rows)
        scores = targets.take(rows).repeat(len(shown)).score(hidden.outputs(rows, shown))
        return scores.unflatten(0, (len(shown), -1))

    return evaluator.gather(images, count, evaluate)


def cell_scores(
    model: Network,
    images: Tensor,
    targets: Resolved,
    count: int,
    values: Callable[[slice], Tensor],
    evaluator: BatchedEvaluator,
    perturbation: tuple[Perturbation, float],
    baseline: MaskBaseline,
    seed: int,
) -> Tensor:
    """Scores ``(count, B)`` of images under masks of square cells.

    Args:
        model: The model, frozen.
        images: ``(B, 3, H, W)``.
        targets: A row for each image.
        count: Number of masks, which all images share.
        values: Makes the values of the cells in some of them, ``(k, g * g)``.
        evaluator: Decides how many at once.
        perturbation: What masks do, and its strength; see `perturbed`.
        baseline: What shows where ``inpainting`` masks are 0.
        seed: Seed of a random baseline.

    Raises:
        InputError: A baseline that the model cannot have, or cells that split its patches.
    """

    def masks(some: slice) -> Tensor:
        return cell_masks(values(some).to(images.device, images.dtype), images.shape[-2:])

    if perturbation[0] != "inpainting":
        return copy_scores(
            model,
            images,
            targets,
            count,
            lambda some, rows: perturbed(images[rows], masks(some), *perturbation),
            evaluator,
        )
    hidden = hiding(model, images, baseline, seed)
    check_grid(hidden, round(values(slice(0, 1)).shape[-1] ** 0.5), images.shape[-2:])
    return mask_scores(hidden, images, targets, count, lambda some, rows: masks(some), evaluator)


def check_grid(hidden: Hiding, grid_size: int, size: tuple[int, ...]) -> None:
    """Refuse square cells, as `cell_masks` spreads them over `size` pixels, that split a patch.

    Args:
        hidden: What becomes of what is hidden.
        grid_size: Number of cells along a side.
        size: Height and width in pixels.

    Raises:
        InputError: They do.
    """
    cells = torch.arange(float(grid_size**2), dtype=torch.float64).unsqueeze(0)
    hidden.check_cells(cell_masks(cells, size), f"grid_size is {grid_size}")


def checked_baseline(
    baseline: MaskBaseline, binary: bool, remedy: str, perturbation: Perturbation = "inpainting"
) -> MaskBaseline:
    """`baseline`, which masks of this kind can have.

    Args:
        baseline: What the user gave.
        binary: Whether masks show a part or hide it, nothing between.
        remedy: What makes masks binary, for the message.
        perturbation: What masks do.

    Raises:
        InputError: There is no such baseline, or it means nothing for such masks.
    """
    check_choice(baseline, MaskBaseline, "baseline")
    if perturbation != "inpainting" and baseline != "zero":
        raise InputError(
            f"baseline is {baseline}, and perturbation {perturbation} has none: leave it out, or take inpainting"
        )
    if baseline == "tokens" and not binary:
        raise InputError(
            f"baseline is tokens, and a mask with values between 0 and 1 cannot show a part of a token: {remedy}"
        )
    return baseline


def kept_patches(masks: Tensor, grid: tuple[int, int]) -> Tensor:
    """Patches of which no pixel is hidden: masks ``(..., H, W)`` -> bool ``(..., h * w)``.

    Example:
        >>> kept_patches(torch.tensor([[1.0, 1.0, 1.0, 0.0]]), (1, 2))
        tensor([ True, False])
    """
    return (by_patch(masks, grid).amin((-3, -1)) > 0).flatten(-2)


def by_patch(values: Tensor, grid: tuple[int, int]) -> Tensor:
    """Values at pixels ``(..., H, W)`` by patch, ``(..., h, H / h, w, W / w)``."""
    return values.unflatten(-1, (grid[1], -1)).unflatten(-3, (grid[0], -1))
