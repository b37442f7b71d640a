"""Training on objects with missing parts, and measuring on them: FunnyBirds' multi-target mode.

Hesse, Schaub-Meyer, Roth, 2023 (arXiv 2308.06248): interventions remove parts, so the model must know objects without
them; its target is 1/k for each of the k classes that fit what is left.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lit_coiba.core.errors import InputError
from lit_coiba.data.synthetic.classes import PARTS, compatible_classes, soft_targets
from lit_coiba.data.synthetic.dataset import SyntheticPartsDataset

Sample = tuple[Tensor, Tensor]


class MultiTargetDataset(Dataset[Sample]):
    """Samples with random parts dropped, and soft targets: ``[i]`` is uint8 ``(3, H, W)`` and float32 ``(K,)``.

    Parts are dropped with torch's global random numbers: other ones in each epoch and data-loading process, the same
    again under the same ``seed_everything``. A DataLoader takes whole batches at once through ``__getitems__``.

    Args:
        dataset: The samples.
        drop_probability: Probability that parts of a sample are dropped; their number, 1 to 4, is then equally likely.

    Raises:
        InputError: `drop_probability` is not a probability.

    Example:
        >>> image, target = MultiTargetDataset(SyntheticPartsDataset("val"))[0]
        >>> image.shape, image.dtype, target.sum()
        (torch.Size([3, 64, 64]), torch.uint8, tensor(1.))
    """

    def __init__(self, dataset: SyntheticPartsDataset, drop_probability: float = 0.55) -> None:
        if not 0 <= drop_probability <= 1:
            raise InputError(f"drop_probability is {drop_probability}, but must be a probability from 0 to 1.")
        self.dataset, self.drop_probability = dataset, drop_probability
        self._labels = torch.tensor(dataset.labels)

    @property
    def num_classes(self) -> int:
        """20, the length of a target."""
        return self.dataset.num_classes

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Sample]:
        """Many samples at once."""
        images, targets = self.batch(indices)
        return list(zip(images, targets))

    def batch(self, indices: Sequence[int]) -> Sample:
        """Many samples at once, stacked: images ``(B, 3, H, W)`` and targets ``(B, K)``."""
        present = self.present_in(indices)
        return self.dataset.batch(indices, present), soft_targets(self.fits(indices, present))

    def fits(self, indices: Sequence[int], present: Tensor) -> Tensor:
        """The classes that samples fit of which these parts are left: bool ``(B, 5)`` -> bool ``(B, K)``."""
        return compatible_classes(present, self._labels[list(indices)])

    def present_in(self, indices: Sequence[int]) -> Tensor:
        """The parts that are left of some samples, drawn anew each time, bool ``(B, 5)``."""
        samples = len(indices)
        count = torch.randint(1, len(PARTS), (samples,)) * (torch.rand(samples) < self.drop_probability)
        return _keep(torch.rand(samples, len(PARTS)), count)


class DroppedPartsDataset(Dataset[Sample]):
    """Samples with parts dropped, always the same ones, to measure `multi_target_accuracy` on.

    ``[i]`` is uint8 ``(3, H, W)`` and the classes that fit, bool ``(K,)``. One to four parts are missing, each number
    equally likely.

    Args:
        dataset: The samples, usually of the test split.
        seed: Another seed drops other parts.

    Raises:
        InputError: `seed` is negative.
    """

    def __init__(self, dataset: SyntheticPartsDataset, seed: int = 0) -> None:
        if seed < 0:
            raise InputError(f"seed is {seed}, but must not be negative: choose 0 or more.")
        self.dataset = dataset
        draws = np.random.Generator(np.random.PCG64([seed, dataset.indices.start, 2])).random(
            (len(dataset), 1 + len(PARTS))
        )
        uniform = torch.from_numpy(draws)
        self.present = _keep(uniform[:, 1:], 1 + (uniform[:, 0] * (len(PARTS) - 1)).long())  # (N, 5)
        self._labels = torch.tensor(dataset.labels)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Sample]:
        """Many samples at once."""
        images, fits = self.batch(indices)
        return list(zip(images, fits))

    def batch(self, indices: Sequence[int]) -> Sample:
        """Many samples at once, stacked: images ``(B, 3, H, W)`` and the classes that fit, ``(B, K)``."""
        rows, present = list(indices), self.present_in(indices)
        return self.dataset.batch(rows, present), self.fits(rows, present)

    def fits(self, indices: Sequence[int], present: Tensor) -> Tensor:
        """The classes that samples fit of which these parts are left: bool ``(B, 5)`` -> bool ``(B, K)``."""
        return compatible_classes(present, self._labels[list(indices)])

    def present_in(self, indices: Sequence[int]) -> Tensor:
        """The parts that are left of some samples, bool ``(B, 5)``."""
        return self.present[list(indices)]


def multi_target_accuracy(logits: Tensor, fits: Tensor) -> Tensor:
    """Share of answers that are among the classes that fit: ``(B, K)``, bool ``(B, K)`` -> scalar.

    Example:
        >>> multi_target_accuracy(torch.tensor([[1.0, 2.0], [3.0, 0.0]]), torch.tensor([[True, True], [False, True]]))
        tensor(0.5000)
    """
    return fits.gather(1, logits.argmax(1, keepdim=True)).float().mean()


def _keep(draws: Tensor, dropped: Tensor) -> Tensor:
    """All but so many parts, those with the smallest draws: ``(B, 5)``, ``(B,)`` -> bool ``(B, 5)``."""
    return draws.argsort(1).argsort(1) >= dropped.unsqueeze(1)
