"""Lightning's Trainer, whose `fit` can keep the features of a frozen backbone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
from lightning import LightningDataModule, LightningModule

from lit_coiba.core.errors import InputError
from lit_coiba.data.module import BlockDataModule
from lit_coiba.trainer.quiet import without_tips
from lit_coiba.training.feature_cache import CachedFeatures


class FitTrainer(lightning.Trainer):
    """The training half of our Trainer."""

    def fit(
        self,
        model: LightningModule,
        train_dataloaders: Any = None,
        val_dataloaders: Any = None,
        datamodule: LightningDataModule | None = None,
        ckpt_path: str | Path | None = None,
        weights_only: bool | None = None,
        cache: str | None = None,
        views: int = 1,
    ) -> None:
        """Lightning's `fit`; with a frozen backbone and a head, features need be computed only once.

        Args:
            model: The module.
            train_dataloaders: See Lightning.
            val_dataloaders: See Lightning.
            datamodule: The data.
            ckpt_path: Checkpoint to go on from.
            weights_only: See Lightning.
            cache: Folder for the features of a frozen backbone: epochs then cost the head alone; see `CachedFeatures`.
            views: How often each training sample is kept in it, where the data augment them at random.

        Raises:
            InputError: A cache for a backbone that is not frozen, or for data that are not this project's.
        """
        if cache is not None:
            if not isinstance(datamodule, BlockDataModule):
                raise InputError("cache needs a data module of this project: give one as datamodule")
            datamodule = CachedFeatures(datamodule, cache, views)
        with without_tips():
            super().fit(model, train_dataloaders, val_dataloaders, datamodule, ckpt_path, weights_only)
