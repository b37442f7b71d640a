"""Features of a frozen backbone, computed once: later epochs cost the head alone."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader

from lit_coiba.backbones import Backbone
from lit_coiba.core.class_identity import PACKAGE, class_identity
from lit_coiba.core.errors import InputError
from lit_coiba.core.frozen import frozen
from lit_coiba.core.plain_values import is_plain
from lit_coiba.data.fingerprint import fingerprint_of
from lit_coiba.data.module import BlockDataModule, Split
from lit_coiba.data.training_order import TrainingOrder
from lit_coiba.files.atomic import atomically
from lit_coiba.files.digests import seal_of_file
from lit_coiba.files.owned import begins, check_own_file, claim_folder, has_keys
from lit_coiba.store.progress import progress_bar
from lit_coiba.training.feature_file import DIGESTS, DTYPE, FEATURES, TARGETS, FeatureFile, Features, is_whole, opened

VERB = "fit --cache"  # what the marker of a folder says
_NAME = re.compile(r"[0-9a-f]{24}(" + "|".join(map(re.escape, (FEATURES, TARGETS, DIGESTS))) + ")")


class CachedFeatures(LightningDataModule):
    """A data module's training and validation samples as features of the classifier's backbone.

    The files are named by what determines their content: the backbone's weights, the transform, the samples (size and
    time of each file) and their labels, the data's class, arguments and seed, the number of views, the precision. They
    are written atomically, so a killed run leaves no incomplete file.

    Args:
        data: The data module.
        folder: Folder of the files; several backbones and datasets can share one.
        views: Number of passes over the training samples, if the data module augments them at random.

    Raises:
        InputError: Fewer than one view.
    """

    def __init__(self, data: BlockDataModule, folder: str, views: int = 1) -> None:
        super().__init__()
        if views < 1:
            raise InputError(f"views is {views}: give 1 or more")
        self.data = data
        self.folder = Path(folder)
        self.views = views
        self._files: dict[str, dict[str, FeatureFile]] = {}
        self._fingerprints: dict[str, list[Any]] = {}

    def prepare_data(self) -> None:
        """Compute what is not there, on the first process of each machine."""
        self._connect()
        self.data.prepare_data()
        for _ in self._each(compute=True):
            pass

    def setup(self, stage: str | None = None) -> None:
        """Open the files; for what comes after a fit, the samples themselves."""
        if stage not in ("fit", None):
            self.data.trainer = self.trainer
            self.data.setup(stage)
            return
        self._connect()
        self._files = {}
        for split, name, found in self._each(compute=False):
            self._files.setdefault(split, {})[name] = found

    def train_dataloader(self) -> DataLoader[Features]:
        """Shuffled batches; a last batch that is not full is left out."""
        (samples,) = self._files["train"].values()
        order = TrainingOrder(samples, self.data.block_size, self.trainer)
        return self._batches(samples, order, drop_last=len(samples) > self.data.block_size)

    def val_dataloader(self) -> Any:
        """Batches in order; several loaders by name, or none, as the data module has them."""
        loaders = {name: self._batches(samples) for name, samples in self._files.get("val", {}).items()}
        return loaders.get("") or loaders or []

    def test_dataloader(self) -> Any:
        """The data module's own: images."""
        return self.data.test_dataloader()

    def _batches(
        self, samples: FeatureFile, sampler: TrainingOrder | None = None, drop_last: bool = False
    ) -> DataLoader[Features]:
        size = self.data.block_size
        # All by name: for several processes Lightning recreates a loader, and does not see what is positional.
        return DataLoader(
            samples, batch_size=size, sampler=sampler, drop_last=drop_last, num_workers=0, collate_fn=_as_it_is
        )

    def _connect(self) -> None:
        self.data.trainer = self.trainer
        self.data.setup("fit")

    def _each(self, compute: bool) -> Iterator[tuple[str, str, FeatureFile]]:
        """Split, name of the loader and features of everything that a fit reads."""
        trainer: Any = self.trainer
        model = trainer.lightning_module
        changes = not getattr(model, "frozen", False) or getattr(model, "trained_layers", None)
        if changes or model.network.head is None:
            raise InputError(
                "cache stores the features of a backbone that does not change: set model.frozen and model.head"
            )
        if getattr(model, "teacher", None) is not None:
            raise InputError(
                "cache stores features, but a teacher needs the images: fit without cache or without teacher"
            )
        if getattr(model, "uses_importance", False):
            raise InputError("cache stores features, but harmonization needs the images: fit without cache")
        train = self.data.examples("train")
        if getattr(train, "random", False) and self.views == 1:
            raise InputError(
                "the data augment the training samples at random: set views, the number of versions of each to cache"
            )
        loaders = self.data.val_dataloader()
        named = loaders if isinstance(loaders, dict) else {"": loaders} if loaders else {}
        sources = {("train", ""): train, **{("val", name): loader.dataset for name, loader in named.items()}}
        body = model.network.digest(head=False)
        for (split, name), examples in sources.items():
            views = self.views if split == "train" else 1
            file = self.folder / f"{self._key(body, examples, split, name, views)}.npy"
            if compute and not is_whole(file, views, len(examples)):
                self._compute(model.network, examples, file, views, f"Features, {name or split}", trainer)
            if not compute:
                yield split, name, opened(file, views, len(examples))

    def _key(self, body: str, examples: Any, split: Split | str, name: str, views: int) -> str:
        """What decides the content of a file, as a short name of it."""
        told = [body, self._samples(split), examples_identity(examples), split, name, views]
        if getattr(examples, "random", False):
            told.append(os.environ.get("PL_GLOBAL_SEED"))  # what the versions are drawn with
        told += [str(self.trainer.precision) if self.trainer is not None else "", *self._inputs()]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:24]

    def _inputs(self) -> list[Any]:
        """What decides how images become features and targets, beside the images."""
        return [repr(self.data.transform.preprocessing), {k: repr(v) for k, v in self.data.identity().items()}]

    def _samples(self, split: Split | str) -> list[Any]:
        """What the samples of a split are: found once for a fit."""
        if split not in self._fingerprints:
            dataset = self.data.dataset(split)  # type: ignore[arg-type]
            digest = fingerprint_of(dataset, self.data.fingerprint).digest(labels=True)
            self._fingerprints[split] = [digest, repr(sorted(dataset.identity().items()))]
        return self._fingerprints[split]

    def _compute(self, network: Backbone, examples: Any, file: Path, views: int, about: str, trainer: Any) -> None:
        """Write features and targets: fp16 and as they are, batch by batch."""
        size, count, targets = self.data.block_size, len(examples), []
        device, shown = trainer.strategy.root_device, trainer.progress_bar_callback is not None
        network.to(device)
        # What comes after it, such as the order of training samples, is the same where the features are there already.
        draws = torch.random.fork_rng(devices=[])
        try:
            claim_folder(self.folder, "cache", VERB, is_feature_file)
            for kind, ours in _OURS.items():
                check_own_file(file.with_suffix(kind), "cache", ours)
            with (
                progress_bar(about, shown) as tell,
                atomically(file) as out,
                frozen(network),
                draws,
                torch.no_grad(),
            ):
                for done, start in enumerate(range(0, views * count, size)):
                    where = [k % count for k in range(start, min(start + size, views * count))]
                    images, truth = examples.__getitems__(where)
                    with trainer.precision_plugin.forward_context():
                        values = network.features(network.ordered(images.to(device)))
                    kept = values.float().cpu().contiguous().numpy().astype(DTYPE)
                    if not np.isfinite(kept).all():
                        raise InputError(f"{about}: some are not finite in fp16: fit without cache")
                    if not start:
                        out.write(_header((views, count, *kept.shape[1:])))
                    out.write(kept.tobytes())
                    targets.append(truth)
                    tell(min((done + 1) * size, views * count), views * count)
            truths = torch.cat(targets)
            with atomically(file.with_suffix(TARGETS)) as out:
                np.save(out, truths.view(views, count, *truths.shape[1:]).numpy())
            digests = {kind: seal_of_file(file.with_suffix(kind)) for kind in (FEATURES, TARGETS)}
            with atomically(file.with_suffix(DIGESTS)) as out:  # the last: what it is about is whole
                out.write(json.dumps(digests).encode())
        except OSError as error:
            raise InputError(
                f"cache {self.folder} cannot be written ({error.strerror or error}): fix the permissions or the disk, "
                "or choose another folder"
            ) from error


_ARRAY = begins(np.lib.format.MAGIC_PREFIX)
_OURS = {FEATURES: _ARRAY, TARGETS: _ARRAY, DIGESTS: has_keys(FEATURES, TARGETS)}  # what is replaced


def is_feature_file(entry: Path) -> bool:
    """Whether an entry of a folder has the name of features or of their targets."""
    return _NAME.fullmatch(entry.name) is not None


def examples_identity(examples: Any) -> list[Any]:
    """What examples are beside their samples: their class, and those of their attributes that are plain values.

    Attributes that have such of their own count too, such as what drops parts of samples with a probability.
    """
    own = [
        [name, examples_identity(value) if type(value).__module__.startswith(PACKAGE) else value]
        for name, value in sorted(vars(examples).items())
        if name not in ("dataset", "transform", "labels") and not name.startswith("_")
    ]
    told = [[name, value] for name, value in own if is_plain(value)]
    return [class_identity(type(examples)), bool(getattr(examples, "random", False)), told]


def _header(shape: tuple[int, ...]) -> bytes:
    """The beginning of a NumPy file of fp16 numbers."""
    out = io.BytesIO()
    told = {"descr": np.lib.format.dtype_to_descr(np.dtype(DTYPE)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(out, told)
    return out.getvalue()


def _as_it_is(batch: Any) -> Any:
    return batch
