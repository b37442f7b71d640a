"""The base of all data modules: blocks for explaining, labeled batches for training."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from inspect import signature
from typing import Any, ClassVar

import torch
from lightning import LightningDataModule
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lit_coiba.core.batch import Batch
from lit_coiba.core.class_identity import class_identity
from lit_coiba.core.errors import InputError, check_choice, check_count
from lit_coiba.core.plain_values import is_plain
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data.blocks import BlockDataset, BlockSampler, count_blocks
from lit_coiba.data.class_order import in_order_of
from lit_coiba.data.dataset import ImageDataset, picture_of
from lit_coiba.data.fingerprint import Noticing
from lit_coiba.data.labelled import LabelledImages
from lit_coiba.data.mapped import AnyBatch, with_importance
from lit_coiba.data.passes import BatchSize
from lit_coiba.data.passes import Pass as Pass
from lit_coiba.data.passes import Split as Split
from lit_coiba.data.subset import LimitOrder, Subset, limited
from lit_coiba.data.training_order import TrainingOrder
from lit_coiba.data.transforms import Transform
from lit_coiba.data.workers import check_workers, spare_cores

Examples = Dataset[AnyBatch]


class BlockDataModule(LightningDataModule, ABC):
    """Data for the Trainer's verbs.

    `predict_dataloader` yields one `Batch` per block, for `explain` and `statistics`; the others yield ``(images,
    targets)``, or a `MappedBatch` for a model that learns from importance maps. Images are prepared with the
    preprocessing of the Trainer's model, unless `preprocessing` is set.

    Args:
        batch_size: Number of images per batch, and per block; ``auto`` = as many as suit the device and its memory, or
            as results that go on have, for verbs over blocks: a training needs a number.
        num_workers: Number of processes that read files; None = up to four, depending on the spare cores.
        limit: Number of images to explain; training and evaluation are not limited.
        limit_order: ``spread`` = evenly spaced over the sorted ids, so that all class folders are covered; ``first`` =
            the first ones.
        fingerprint: How a changed file is noticed when results of an earlier run are used: ``time`` = by size and time
            of modification; ``content`` = by a hash, for which every file is read once more, so that a copy with other
            times is the same.
    """

    # Arguments that a result does not depend on, or only by ids, files and labels, which are compared themselves.
    excluded_from_identity: ClassVar[frozenset[str]] = frozenset(
        {"batch_size", "num_workers", "limit", "limit_order", "fingerprint"}
    )

    preprocessing: Preprocessing | None  # set by hand; None = that of the model
    model_preprocessing: Preprocessing | None  # of the model at hand, known after setup
    model_classes: int | None  # how many it has, known after setup
    explained: ImageDataset  # the images of the current pass; there after setup("predict")
    labels_read: bool = True  # whether the model at hand learns from labels, known after setup
    importance_read: bool = False  # whether it learns from importance maps, as its `uses_importance` says
    stage: str | None  # of the last setup: fit, validate, test or predict

    def __init__(
        self,
        batch_size: BatchSize = 8,
        num_workers: int | None = None,
        limit: int | None = None,
        limit_order: LimitOrder = "spread",
        fingerprint: Noticing = "time",
    ) -> None:
        super().__init__()
        check_count(**({} if batch_size == "auto" else {"batch_size": batch_size}))
        check_count(**({} if limit is None else {"limit": limit}))
        check_workers(num_workers)
        check_choice(limit_order, LimitOrder, "limit_order")
        check_choice(fingerprint, Noticing, "fingerprint")
        self.allow_zero_length_dataloader_with_multiple_devices = True  # a rank may get no block
        self.batch_size: BatchSize = batch_size
        self.num_workers = num_workers
        self.limit = limit
        self.limit_order = limit_order
        self.fingerprint = fingerprint
        self.preprocessing = self.model_preprocessing = self.model_classes = self._network = None
        self.stage = None
        self._chosen: int | None = None  # images per block, where `batch_size` is auto
        self._pass: Pass | None = None
        self._listings: dict[Split, ImageDataset] | None = None  # within `passing`

    @abstractmethod
    def dataset(self, split: Split) -> ImageDataset:
        """The samples of a split; ``predict`` = those that are explained.

        Raises:
            InputError: There is no such split, or nothing in it.
        """

    def __getitem__(self, key: int | str) -> Image.Image:
        """The picture of a sample that is explained, by its number or its id.

        Raises:
            InputError: There is no such sample, or it cannot be read.
        """
        return picture_of(self.dataset("predict"), key)

    def identity(self) -> dict[str, Any]:
        """What decides the samples beside their ids, files and labels: the class, and arguments such as a seed.

        Of the constructor's arguments those count that are stored as an attribute of the same name, are plain values,
        and are not in `excluded_from_identity`.
        """
        names = [name for name in signature(type(self)).parameters if name not in self.excluded_from_identity]
        given = {name: getattr(self, name) for name in names if hasattr(self, name)}
        return {"class": class_identity(type(self)), **{name: v for name, v in given.items() if is_plain(v)}}

    @property
    def num_classes(self) -> int | None:
        """Number of classes; None = unknown."""
        return len(self.dataset("predict").classes) or None

    @property
    def current(self) -> Pass:
        """What the predict loop goes through: all blocks of the images to explain, unless `passing` says otherwise."""
        return self._pass or Pass(limit=self.limit)

    @property
    def block_size(self) -> int:
        """Number of images per batch, and per block.

        Raises:
            InputError: `batch_size` is ``auto``, and nothing has chosen one.
        """
        if self.batch_size != "auto":
            return self.batch_size
        if self._chosen is None:
            raise InputError(
                "batch_size is auto, which verbs over blocks choose: a training needs a number, such as 32"
            )
        return self._chosen

    @contextmanager
    def in_blocks_of(self, images: int) -> Iterator[None]:
        """Within this, `block_size` is `images` where `batch_size` is ``auto``."""
        before, self._chosen = self._chosen, images
        try:
            yield
        finally:
            self._chosen = before

    @property
    def total_blocks(self) -> int:
        """Number of blocks of `explained`."""
        return count_blocks(len(self.explained), self.block_size)

    @property
    def transform(self) -> Transform:
        """From a picture to model input; there after `setup`."""
        preprocessing = self.preprocessing or self.model_preprocessing
        if preprocessing is None:
            raise RuntimeError("preprocessing is unknown: set it, or let a Trainer call setup")
        return Transform(preprocessing)

    def setup(self, stage: str | None = None) -> None:
        """Take the preprocessing of the Trainer's module, and for ``predict`` choose what is explained."""
        self.stage = stage
        if self.trainer is not None:
            model: Any = self.trainer.lightning_module
            self.model_preprocessing = model.preprocessing
            self._network = getattr(model, "network", None)
            self.model_classes = getattr(self._network, "num_classes", None)
            self.labels_read = getattr(model, "uses_labels", True)
            self.importance_read = getattr(model, "uses_importance", False)
        if stage in ("predict", None):
            self._choose()
        if self.num_workers is None:  # we chose, so Lightning's advice to choose otherwise is noise
            warnings.filterwarnings("ignore", ".*does not have many workers.*")

    @contextmanager
    def passing(self, through: Pass) -> Iterator[None]:
        """Within this, the predict loop goes through `through`; afterwards through what it went through before.

        Passes may be nested; within the outermost one each split is listed once. `explained` is there after `setup`.
        """
        before, listings = self._pass, self._listings
        self._pass, self._listings = through, {} if listings is None else listings
        try:
            if listings:
                self._choose()
            yield
        finally:
            self._pass, self._listings = before, listings
            if listings:
                self._choose()

    def _choose(self) -> None:
        through = self.current
        listings = {} if self._listings is None else self._listings
        if through.split not in listings:
            listings[through.split] = self.dataset(through.split)
        samples = in_order_of(listings[through.split], self._network)
        self.explained = limited(samples, through.limit, self.limit_order)

    def predict_dataloader(self) -> DataLoader[Batch]:
        """One `Batch` per block of the current pass, dealt over the processes."""
        through = self.current
        blocks = range(self.total_blocks) if through.blocks is None else through.blocks
        return self._block_loader(BlockSampler(blocks, through.blocks_per_process))

    def every_block(self) -> DataLoader[Batch]:
        """All blocks of `explained` for this process alone, whatever other processes there are."""
        return self._block_loader(BlockSampler(range(self.total_blocks), num_replicas=1, rank=0))

    def batches_of(self, indices: Sequence[int]) -> DataLoader[Batch]:
        """Some samples of `explained` for this process alone, in this order, a `Batch` after the other."""
        blocks = BlockDataset(Subset(self.explained, indices), self.transform.preprocessing, self.block_size)
        return DataLoader(blocks, batch_size=None, **self._loading())

    def spread(self, images: int) -> list[int]:
        """Numbers of blocks of `explained` that hold about `images` images, evenly spaced over them."""
        wanted = min(self.total_blocks, -(-images // self.block_size))
        return [k * self.total_blocks // wanted for k in range(wanted)]

    def sample(self, images: int) -> Iterator[Tensor]:
        """About `images` of the images that are explained, block by block; nothing is read before it is asked for."""
        blocks = self._block_dataset()
        yield from (batch.images for batch in (blocks[k] for k in self.spread(images)) if len(batch.images))

    def train_dataloader(self) -> DataLoader[AnyBatch]:
        """Shuffled batches; a last batch that is not full is left out."""
        examples = self.examples("train")
        order = TrainingOrder(examples, self.block_size, self.trainer)
        return self._batches(examples, order, drop_last=_length(examples) > self.block_size)

    def val_dataloader(self) -> Any:
        """Batches of the validation split, in order."""
        return self._batches(self.examples("val"))

    def test_dataloader(self) -> DataLoader[AnyBatch]:
        """Batches of the test split, in order."""
        return self._batches(self.examples("test"))

    def examples(self, split: Split) -> Examples:
        """What training and evaluation draw from: ``__getitems__(indices)`` gives a batch ``(images, targets)``."""
        return LabelledImages(self.dataset(split), self.transform, num_classes=self.model_classes)

    def no_batches(self) -> list[Any]:
        """The loaders of a fit without validation."""
        warnings.filterwarnings("ignore", "Total length of `list` across ranks is zero")  # it is our intention
        return []

    def _block_dataset(self) -> BlockDataset:
        return BlockDataset(self.explained, self.transform.preprocessing, self.block_size)

    def _block_loader(self, sampler: BlockSampler) -> DataLoader[Batch]:
        return DataLoader(self._block_dataset(), sampler=sampler, batch_size=None, **self._loading())

    def _batches(
        self, examples: Examples, sampler: TrainingOrder | None = None, drop_last: bool = False
    ) -> DataLoader[AnyBatch]:
        if not self.labels_read and isinstance(examples, LabelledImages):
            examples.ignore_labels()
        return DataLoader(
            with_importance(examples) if self.importance_read else examples,
            self.block_size,
            sampler=sampler,
            drop_last=drop_last,
            persistent_workers=self._loading()["num_workers"] > 0,
            **self._loading(),
        )

    def _loading(self) -> dict[str, Any]:
        workers = self._spare_cores() if self.num_workers is None else self.num_workers
        return {"num_workers": workers, "pin_memory": torch.cuda.is_available(), "collate_fn": _as_it_is}

    def _spare_cores(self) -> int:
        """Processes that read files where the user has not said how many."""
        return spare_cores(self.trainer.num_devices if self.trainer is not None else 1)


def _as_it_is(batch: Any) -> Any:
    """A batch comes whole from the dataset; torch's own collation would turn its tuples into lists."""
    return batch


def _length(examples: Any) -> int:
    return len(examples)
