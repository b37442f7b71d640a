"""The ceiling of alignment for data with several participants: how far people agree among themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError, check_count
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.core.printable import counted, printable
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.transforms import Transform
from lit_coiba.functional import keyed_orders
from lit_coiba.functional.ceiling import spearman_brown, split_half
from lit_coiba.functional.importance import smooth_importance

SPLITS = 10  # at random, of each image, as few as it should be


@dataclass(frozen=True)
class AlignmentCeiling:
    """How far people agree about the images of a dataset.

    Attributes:
        half: Mean correlation of the mean maps of two halves of the participants.
        full: Correlation of the mean map of all participants with what it estimates, by Spearman and Brown. A model
            that is as good as that scores more than 1 over the ceiling `half`.
        images: Number of images that it was measured on.
        left_out: Number of images with fewer than two participants, or whose halves say nothing.
        participants: Fewest and most participants of an image.
        splits: Number of random splits of each image.
    """

    half: float
    full: float
    images: int
    left_out: int
    participants: tuple[int, int]
    splits: int

    def __str__(self) -> str:
        fewest, most = self.participants
        people = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        said = (
            f"split-half {self.half:.3f}, Spearman-Brown {self.full:.3f}: Spearman's correlation, mean over"
            f" {counted(self.images, 'image')} with {people} participants and {self.splits} random splits of each"
        )
        if math.isnan(self.full):
            said += "; the halves do not agree, so there is no ceiling"
        if self.left_out:
            said += f"; {counted(self.left_out, 'image')} left out, with fewer than two participants who say something"
        return said


def alignment_ceiling(
    dataset: ImageDataset,
    preprocessing: Preprocessing | None = None,
    splits: int = SPLITS,
    smooth: bool = True,
    seed: int = 0,
) -> AlignmentCeiling:
    """How far people agree about the images of a dataset, as `HumanAlignment` compares a map with them.

    Of each image the participants are divided at random in two halves, whose mean maps are correlated; see
    `functional.ceiling`. Divide an alignment by the published ceiling, by `half` or by `full`, and say by which.

    Args:
        dataset: Images whose `importances` are known.
        preprocessing: That of the model: maps are compared at its input; None = at the size of each image.
        splits: Random splits of each image, 10 or more.
        smooth: Whether maps are smoothed first, as in the metric.
        seed: Seed of the splits; those of an image do not depend on the others.

    Raises:
        InputError: Fewer than 10 splits, no image with two participants, or a map that cannot be read.
    """
    check_count(SPLITS, splits=splits)
    transform = Transform(preprocessing) if preprocessing is not None else None
    found: list[float] = []
    people: list[int] = []
    for index, name in enumerate(dataset.ids):
        maps = _maps(dataset, index)
        if maps is None or len(maps) < 2:
            continue
        if transform is not None:
            maps = torch.stack([transform.importance(one) for one in maps])
        shown = smooth_importance(maps.double()) if smooth else maps
        value = float(split_half(shown, keyed_orders(seed, name, "halves", splits, len(maps))).nanmean())
        if not math.isnan(value):
            found.append(value)
            people.append(len(maps))
    if not found:
        raise InputError(
            f"none of {counted(len(dataset), 'image')} has importance maps of two participants, of which halves could"
            " be compared: give a folder of one map for each participant in the place of an image's map"
        )
    half = sum(found) / len(found)
    span = min(people), max(people)
    return AlignmentCeiling(half, spearman_brown(half), len(found), len(dataset) - len(found), span, splits)


def _maps(dataset: ImageDataset, index: int) -> Tensor | None:
    try:
        return dataset.importances(index)
    except OSError as error:
        raise InputError(f"sample {printable(dataset.ids[index], 100)}: {error}") from error
