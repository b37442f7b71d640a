"""EPIC: turn the channels of a trained classifier until each is pure on the images that it answers to most.

Borycki et al., 2025 (arXiv 2505.12897), section 3, with the settings of the public code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor
from torch.optim import Adam
from torch.utils.data import DataLoader, TensorDataset

from lit_coiba.core.errors import InputError
from lit_coiba.functional import pair_purity, prototype_counts
from lit_coiba.heads import EPICHead
from lit_coiba.training.feature_file import FeatureFile

BATCH = 512  # pairs of an image and a channel


class PurityTraining(LightningModule):
    """Raises the mean purity of a head's channels; the classifier's function stays as it is.

    For each number n of a falling list: with the rotation as it is then, every channel c takes the n images with the
    largest sum of G_c over positions, and for some epochs the purity of c on them is raised. Fit it by a Trainer that
    loads the data anew, `PurityTraining.trainer_arguments`::

        training = PurityTraining(head, features)
        Trainer(**training.trainer_arguments()).fit(training)

    ``purity`` is logged each epoch: the mean over the pairs.

    Args:
        head: The head.
        features: Features of the training images, without random augmentation.
        counts: Falling numbers of images; None = 100 to 5 in 10 steps.
        epochs: Number of epochs for each pair of counts.
        lr: Learning rate of Adam, which is created once for all.
        weight_decay: Weight decay of Adam.
        seed: Seed of the order of the pairs.

    Raises:
        InputError: A count exceeds the number of images, or the counts rise.
    """

    def __init__(
        self,
        head: EPICHead,
        features: FeatureFile,
        counts: Sequence[int] | None = None,
        epochs: int = 2,
        lr: float = 1e-3,
        weight_decay: float = 1e-5,
        seed: int = 42,
    ) -> None:
        super().__init__()
        head.rotate.generator.requires_grad_(True)  # a classifier that it was attached to had no use for its gradient
        self.head = head
        self.features = features
        self.counts = [min(n, len(features)) for n in prototype_counts()] if counts is None else list(counts)
        if not self.counts or min(self.counts) < 1 or max(self.counts) > len(features):
            raise InputError(f"counts are {self.counts}: give numbers from 1 to {len(features)}, the images there are")
        if self.counts != sorted(self.counts, reverse=True):
            raise InputError(f"counts are {self.counts}: give numbers that fall")
        self.epochs, self.lr, self.weight_decay, self.seed = epochs, lr, weight_decay, seed
        self._sums = torch.cat([values.sum((-2, -1)) for values in _batches(features)])  # (N, D)

    def trainer_arguments(self) -> dict[str, Any]:
        """What the Trainer needs to know."""
        return {"max_epochs": len(self.counts) * self.epochs, "reload_dataloaders_every_n_epochs": self.epochs}

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Pairs of image and channel, shuffled: those of the count whose turn it is."""
        turn = min(self.current_epoch // self.epochs, len(self.counts) - 1)
        images = self.strongest(self.counts[turn])
        channels = torch.arange(images.shape[1]).expand_as(images)
        pairs = TensorDataset(images.flatten(), channels.flatten())
        generator = torch.Generator().manual_seed(self.seed + self.current_epoch)
        return DataLoader(pairs, BATCH, shuffle=True, generator=generator)

    @torch.no_grad()
    def strongest(self, count: int) -> Tensor:
        """Images of the largest sums of each channel, ``(count, D)``: prototypes, the strongest first."""
        scores = self._sums @ self.head.rotate.matrix().cpu().T
        return scores.topk(count, 0).indices

    @torch.no_grad()
    def purity(self, count: int) -> Tensor:
        """Mean purity of each channel on its strongest images, ``(D,)``."""
        images = self.strongest(count)
        total = torch.zeros(images.shape[1])
        matrix = self.head.rotate.matrix()
        for channel, column in enumerate(images.T):
            values = self.features.__getitems__(column.tolist()).values.to(matrix)
            total[channel] = pair_purity(values, matrix, torch.full((count,), channel, device=matrix.device)).mean()
        return total

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Loss of a batch of pairs: minus the mean purity."""
        images, channels = batch
        matrix = self.head.rotate.matrix()
        values = self.features.__getitems__(images.tolist()).values.to(matrix)
        purity = pair_purity(values, matrix, channels).mean()
        self.log("purity", purity, on_step=False, on_epoch=True, batch_size=len(images), prog_bar=True)
        return -purity

    def configure_optimizers(self) -> Adam:
        """One Adam for the whole run."""
        return Adam([self.head.rotate.generator], lr=self.lr, weight_decay=self.weight_decay)


def _batches(features: FeatureFile, size: int = 256) -> Iterator[Tensor]:
    for start in range(0, len(features), size):
        yield features.__getitems__(list(range(start, min(start + size, len(features))))).values
