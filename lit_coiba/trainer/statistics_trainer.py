"""The Trainer's verb that estimates activation statistics, and what `explain` does of it by itself."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from lit_coiba.bottlenecks import ActivationStatistics, BottleneckMethod
from lit_coiba.bottlenecks.leak import SAMPLE
from lit_coiba.callbacks import BlockProgress
from lit_coiba.core.errors import InputError
from lit_coiba.data.module import BlockDataModule
from lit_coiba.data.shard import Shard
from lit_coiba.modules.explainer import Explainer
from lit_coiba.modules.statistics import ChunkedStatistics, StatisticsModule
from lit_coiba.trainer.block_trainer import BlockTrainer
from lit_coiba.trainer.identity import check_place, ids_digest, preprocessing_of

ENOUGH_IMAGES = 10_000  # more change little: what IBA's authors advise


class StatisticsTrainer(BlockTrainer):
    """Lightning's Trainer with the verb `statistics`."""

    def statistics(
        self, model: Explainer, datamodule: BlockDataModule, file: str, images: int = ENOUGH_IMAGES
    ) -> ActivationStatistics:
        """Estimate the activation statistics a method needs over a dataset, in one sharded pass, and test for leaks.

        Args:
            model: Model and method.
            datamodule: The images, those of the domain that will be explained; its `limit` does not count here.
            file: Where to keep the statistics (safetensors). What a stopped run had done is kept beside it.
            images: Use about this many images, evenly spaced over the dataset.

        Raises:
            InputError: The method needs no statistics, or there are fewer than two readable images.
        """
        if images < 2:
            raise InputError(f"images is {images}, but a standard deviation needs at least 2")
        check_place(Path(file).parent, "file")
        if Path(file).is_dir():
            raise InputError(f"file {file} is a folder: give the name of the file of statistics")
        with self._explaining(model, datamodule, None):
            found = self._estimated(model, datamodule, Path(file), images)
            self._on_rank_zero(lambda: remove_parts(Path(file)))
            return found

    def _estimated(
        self,
        model: Explainer,
        datamodule: BlockDataModule,
        file: Path,
        images: int,
        shard: Shard = Shard(0, 1),  # noqa: B008 - a tuple
        made: Callable[[], bool] = lambda: False,
    ) -> ActivationStatistics:
        """Statistics in `file`, in use by the method: estimated by all processes, put together by the first one.

        Others may be at the same work, in the same folder: what they did is not done again, and once they have
        `made` the file it is used as it is.
        """
        method, network = model.method, model.network
        if not isinstance(method, BottleneckMethod):
            raise InputError(f"{type(method).__name__} needs no activation statistics: go on with `explain`")
        self._whole_pass("statistics")
        layers = method.statistics_layers(network)
        blocks = datamodule.spread(images)
        sources = [preprocessing_of(datamodule), ids_digest(datamodule), datamodule.batch_size, blocks]
        made_by = [type(method).__name__, sorted(method.arguments().items()), str(self.precision)]
        parts = hashlib.sha256(repr([network.digest(), layers, *made_by, *sources]).encode()).hexdigest()
        chunks = ChunkedStatistics(Path(f"{file}.{parts[:12]}.parts"), blocks, layers)

        def leak_tested(statistics: ActivationStatistics) -> ActivationStatistics:
            network.to(self.strategy.root_device)
            return method.set_statistics(network, statistics, datamodule.sample(SAMPLE))

        done = False
        while not done:
            while missing := self._on_rank_zero(lambda: [] if made() else chunks.missing(shard)):
                module = StatisticsModule(network, chunks)
                self._over_blocks(module, datamodule, missing, BlockProgress("Statistics"), group=chunks.length)
            done = self._on_rank_zero(lambda: made() or chunks.put(file, network, leak_tested))
        return method.set_statistics(network, ActivationStatistics.load(file), ())


def remove_parts(file: Path) -> None:
    """Remove what statistics were made of."""
    for folder in file.parent.glob(f"{file.name}.*.parts"):
        shutil.rmtree(folder, ignore_errors=True)
