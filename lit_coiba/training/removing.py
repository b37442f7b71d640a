"""Training images with parts missing, so that what a metric removes later is nothing new to the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from lit_coiba.backbones.missing_parts import MissingParts
from lit_coiba.backbones.probe import like
from lit_coiba.core.errors import InputError, check_count
from lit_coiba.functional import ranks, spread_cells
from lit_coiba.perturbation.baselines import Baseline, BaselineImages
from lit_coiba.training.feature_file import Features
from lit_coiba.training.hits import hits


class RemoveCell:
    """One cell of a grid, drawn uniformly, is replaced in some images, with all channels.

    Hesse, Schaub-Meyer and Roth, "Benchmarking the Attribution Quality of Vision Models", 2024 (arXiv 2407.11910): the
    training by which their single deletion score is in distribution.

    Args:
        grid: Cells a side.
        probability: Probability that an image loses a cell.
        baseline: What takes its place; see `perturbation.baselines.BaselineImages`.

    Example:
        >>> images = RemoveCell(grid=2, probability=1.0)(torch.ones(1, 3, 4, 4))
        >>> images.sum().item()
        36.0
    """

    part = "cell"
    name = "one_cell_missing"  # of an accuracy, in logs

    def __init__(self, grid: int = 4, probability: float = 0.5, baseline: Baseline | float = "zero") -> None:
        check_count(grid=grid)
        _check_share(remove_cell=probability)
        self.grid, self.probability, self.baseline = grid, probability, baseline
        self._baselines = BaselineImages(baseline)

    def __call__(self, images: Tensor, model: Any = None, generator: torch.Generator | None = None) -> Tensor:
        """Images ``(B, C, H, W)`` with cells missing, new ones.

        Args:
            images: Normalized model input, with all other augmentation.
            model: The model, whose `preprocessing` some baselines need.
            generator: Source of the draws; None = torch's.
        """
        count = self.grid**2
        chosen = torch.rand(len(images), generator=generator) < self.probability
        drawn = torch.randint(count, (len(images),), generator=generator)
        cells = torch.arange(count).view(1, self.grid, self.grid)
        removed = (spread_cells(cells, (images.shape[-2], images.shape[-1])) == drawn[:, None, None]) & (
            chosen[:, None, None]
        )
        return _replaced(images, removed, self._baselines, model)

    @property
    def amount(self) -> float:
        """What is missing, as `MissingParts` has it."""
        return self.grid

    def always(self) -> RemoveCell:
        """The same of every image."""
        return RemoveCell(self.grid, 1.0, self.baseline)


class RemovePixels:
    """A share of the pixels of every image, drawn at random, is replaced, with all channels.

    Zheng et al., "F-Fidelity", 2025 (arXiv 2410.02970). Ours: exactly this share, and all channels of a pixel (the
    authors' code removes the first channel only).

    Args:
        share: Share of the pixels.
        baseline: What takes their place; see `perturbation.baselines.BaselineImages`.

    Example:
        >>> RemovePixels(share=0.25)(torch.ones(2, 3, 4, 4)).sum((1, 2, 3))
        tensor([36., 36.])
    """

    part = "pixels"
    name = "pixels_missing"

    def __init__(self, share: float = 0.1, baseline: Baseline | float = "zero") -> None:
        _check_share(remove_pixels=share)
        self.share, self.baseline = share, baseline
        self._baselines = BaselineImages(baseline)

    def __call__(self, images: Tensor, model: Any = None, generator: torch.Generator | None = None) -> Tensor:
        """Images with pixels missing; see `RemoveCell`."""
        drawn = torch.rand(len(images), *images.shape[-2:], generator=generator)
        removed = ranks(drawn) < round(self.share * drawn[0].numel())
        return _replaced(images, removed, self._baselines, model)

    @property
    def amount(self) -> float:
        """What is missing, as `MissingParts` has it."""
        return self.share

    def always(self) -> RemovePixels:
        """The same."""
        return self


Removing = RemoveCell | RemovePixels


def removing(cell: float, grid: int, pixels: float, baseline: Baseline | float) -> Removing | None:
    """What is removed from training images; None = nothing.

    Args:
        cell: Probability that an image loses a cell.
        grid: Cells a side.
        pixels: Share of the pixels that every image loses.
        baseline: What takes their place.

    Raises:
        InputError: A number is no share, or both are asked for.
    """
    parts = RemoveCell(grid, cell, baseline), RemovePixels(pixels, baseline)
    if cell and pixels:
        raise InputError(f"remove_cell is {cell} and remove_pixels {pixels}: give one of the two")
    return parts[0] if cell else parts[1] if pixels else None


def lacking(
    batch: tuple[Tensor, Tensor], removed: Removing | None, model: Any, seed: int | None = None
) -> tuple[Tensor, Tensor]:
    """A batch of images and targets without what is removed; the same where that is nothing.

    Args:
        batch: The batch.
        removed: What is removed.
        model: The model.
        seed: Seed of the draws; None = torch's generator.

    Raises:
        InputError: It has features, of which nothing can be removed.
    """
    if removed is None:
        return batch
    if isinstance(batch, Features):
        raise InputError("remove_cell and remove_pixels change images, and a cache has features: leave out the cache")
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    return removed(batch[0], model, generator), batch[1]


@torch.no_grad()
def missing_accuracy(
    network: nn.Module,
    loader: Iterable[tuple[Tensor, Tensor]],
    removed: Removing,
    own: Callable[[Tensor], Tensor] = lambda targets: targets,
) -> MissingParts:
    """How accurate a network is on images as they are, and while each of them lacks a part.

    Args:
        network: The network; it runs in evaluation mode.
        loader: Batches of images and targets, in a fixed order.
        removed: What is missing; of every image here.
        own: What puts targets into the order of the network's classes.
    """
    network.eval()
    device, always = like(network).device, removed.always()
    generator, right, samples = torch.Generator().manual_seed(0), [0, 0], 0
    for batch in loader:
        whole, truth = batch[0].to(device), own(batch[1]).to(device)
        for kind, shown in enumerate((whole, always(whole, network, generator))):
            right[kind] += int(hits(network(shown), truth).sum())
        samples += len(whole)
    clean, missing = (count / max(samples, 1) for count in right)
    return MissingParts(removed.part, removed.amount, removed.baseline, clean, missing)  # type: ignore[arg-type]


def _replaced(images: Tensor, removed: Tensor, baselines: BaselineImages, model: Any) -> Tensor:
    return torch.where(removed.unsqueeze(1).to(images.device), baselines.of(images, model), images)


def _check_share(**values: float) -> None:
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise InputError(f"{name} is {value}: give a share from 0 to 1")
