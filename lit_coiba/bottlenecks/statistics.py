"""What a layer's activations look like over a dataset: the noise a bottleneck replaces them with.

Schulz et al., "Restricting the Flow" (IBA), 2020: mean and standard deviation per unit, clean forwards, divisor n - 1.
"""

from __future__ import annotations

import hashlib
import json
import weakref
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lit_coiba.bottlenecks.statistics_file import DIGEST, HEADER, parts_of, read_statistics_file
from lit_coiba.bottlenecks.statistics_file import LeakTest as LeakTest
from lit_coiba.core.errors import InputError
from lit_coiba.core.frozen import frozen
from lit_coiba.core.network import Network, SplitNetwork
from lit_coiba.core.printable import printable
from lit_coiba.files.digests import warn_undigested
from lit_coiba.files.tensor_file import write_safe_tensors
from lit_coiba.functional import Moments

_BATCH = 16  # images, where all of them are one tensor


@dataclass(frozen=True, eq=False)
class ActivationStatistics:
    """Mean, standard deviation (without a lower bound) and share of non-zero samples per unit, in fp32, by layer."""

    mean: dict[str, Tensor]
    std: dict[str, Tensor]
    active: dict[str, Tensor]
    count: int
    model: str  # digest of the model they were taken from
    preprocessing: str  # its preprocessing, as JSON
    leak: LeakTest | None = None
    samples: str = ""  # digest of the images that they were estimated from; empty = not known

    @classmethod
    def from_moments(cls, model: Network, moments: dict[str, Moments]) -> ActivationStatistics:
        """Statistics of `model` from the moments of its layers."""
        return cls(
            mean={layer: m.mean.float().cpu() for layer, m in moments.items()},
            std={layer: m.std().float().cpu() for layer, m in moments.items()},
            active={layer: (m.nonzero / m.size).float().cpu() for layer, m in moments.items()},
            count=next(iter(moments.values())).size,
            model=model.digest(),
            preprocessing=describe_preprocessing(model),
        )

    @property
    def layers(self) -> list[str]:
        """The layers these statistics are about, in the order of the network."""
        return list(self.mean)

    def with_leak(self, leak: LeakTest) -> ActivationStatistics:
        """These statistics with the result of a leak test."""
        return replace(self, leak=leak)

    def check(self, model: Network, source: str = "the statistics") -> None:
        """Refuse statistics of another model or of another preprocessing.

        Raises:
            InputError: They are not of `model`.
        """
        remedy = "estimate them again with `lit-coiba statistics`, or leave `statistics` out"
        digest = model.digest()
        if self.model != digest:
            digests = f"digest {self.model[:12]}, not {digest[:12]}"
            raise InputError(f"{source} belong to another model or other weights ({digests}): {remedy}")
        here = describe_preprocessing(model)
        if self.preprocessing != here:
            raise InputError(
                f"{source} were estimated with another preprocessing ({self.preprocessing}, not {here}): {remedy}"
            )

    def require(self, layers: Iterable[str]) -> None:
        """Refuse to go on if one of `layers` is missing.

        Raises:
            InputError: Naming the missing layers.
        """
        missing = [layer for layer in layers if layer not in self.mean]
        if missing:
            raise InputError(
                f"the statistics lack the layers {missing}; they have {self.layers}: estimate them for the missing "
                "layers"
            )

    def digest(self) -> str:
        """SHA-256 over all numbers, and what they are of; not over the images that they come from."""
        sha = hashlib.sha256(replace(self, samples="").header().encode())
        for name, tensor in self.tensors().items():
            sha.update(name.encode())
            sha.update(tensor.contiguous().numpy().tobytes())
        return sha.hexdigest()

    def save(self, file: str | Path) -> None:
        """Write a safetensors file, which takes its name when it is complete.

        Args:
            file: The file; its folder is made where there is none.

        Raises:
            OSError: The disk is full, the folder is read-only, ...
        """
        write_safe_tensors(file, self.tensors(), {HEADER: self.header(), DIGEST: self.digest()})

    @classmethod
    def load(cls, file: str | Path) -> ActivationStatistics:
        """Read what `save` wrote.

        Raises:
            InputError: There is no such file, or it is not a file of statistics.
        """
        header, tensors, digest = read_statistics_file(file)
        found = cls.of_tensors(header, tensors)
        if digest is None:
            warn_undigested(f"statistics: {file}", "estimate them again to be sure")
        elif digest != found.digest():
            raise InputError(
                f"statistics: {printable(file, 200)} is damaged, since its content is not what its digest says:"
                " estimate them again"
            )
        return found

    @classmethod
    def of_tensors(cls, header: str, tensors: Mapping[str, Tensor]) -> ActivationStatistics:
        """What `header` and `tensors` were asked of.

        Raises:
            LookupError: A tensor is not there.
            ValueError: They are none that an estimate gives.
        """
        told, (mean, std, active) = parts_of(header, tensors)
        return cls(mean, std, active, told.count, told.model, told.preprocessing, told.leak, told.samples)

    def tensors(self) -> dict[str, Tensor]:
        """All numbers, in fp32, by part and layer: ``mean/blocks.4.norm1``."""
        parts = {"mean": self.mean, "std": self.std, "active": self.active}
        return {f"{part}/{layer}": tensor for part, tensors in parts.items() for layer, tensor in tensors.items()}

    def header(self) -> str:
        """What they are of, and what the leak test found, as JSON."""
        fields = {"layers": self.layers, "count": self.count, "model": self.model, "preprocessing": self.preprocessing}
        known = {"samples": self.samples} if self.samples else {}
        return json.dumps(fields | {"leak": self.leak} | known, allow_nan=False)


class StatisticsSlot:
    """The statistics a method uses: read from a file or handed over by `prepare`, checked when the model changes."""

    def __init__(self, file: str | None) -> None:
        self.file = file
        self._source = "the statistics"
        self._statistics: ActivationStatistics | None = None
        self._checked: tuple[weakref.ref[Any], list[int]] | None = None

    def given(self) -> ActivationStatistics | None:
        """What the file holds, if one was given."""
        return ActivationStatistics.load(self.file) if self.file is not None else None

    def held(self) -> ActivationStatistics | None:
        """What is used, or would be: unchecked, for any model."""
        return self.given() if self._statistics is None else self._statistics

    def fill(self, model: Network, statistics: ActivationStatistics) -> None:
        """Use `statistics`, which must be of `model`, from now on."""
        statistics.check(model)
        self._source, self._statistics, self._checked = "the statistics", statistics, _state(model)

    def replace(self, statistics: ActivationStatistics) -> None:
        """Use `statistics` of the same model instead."""
        self._statistics = statistics

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_checked": None}  # a weak reference goes into no pickle

    def of(self, model: Network) -> ActivationStatistics:
        """The statistics for `model`.

        Raises:
            InputError: There are none, or they belong to another model, or to this one before it was trained on.
        """
        if self._statistics is None:
            if self.file is None:
                raise InputError(
                    "the method has no activation statistics: call prepare(model, loader) first, or give "
                    "statistics=FILE"
                )
            self._source, self._statistics = self.file, ActivationStatistics.load(self.file)
        state = _state(model)
        if self._checked != state:
            self._statistics.check(model, self._source)
            self._checked = state
        return self._statistics


def _state(model: Network) -> tuple[weakref.ref[Any], list[int]]:
    """What changes with the model or its weights, found without reading them."""
    return weakref.ref(model), [0 if p.is_inference() else p._version for p in model.parameters()]


def describe_preprocessing(model: Network) -> str:
    """The preprocessing of a model as one line of JSON."""
    return json.dumps(model.preprocessing.identity(), sort_keys=True)


def images_of(loader: Iterable[Any]) -> Iterator[Tensor]:
    """The image tensors of any loader: of bare tensors, of tuples that begin with one, or of `Batch`.

    One tensor of images is a loader too.
    """
    if isinstance(loader, Tensor):
        if loader.dim() != 4:
            raise InputError(
                f"the images have shape {tuple(loader.shape)}: give a tensor (B, 3, H, W), or a loader of such"
            )
        loader = loader.split(_BATCH)
    for batch in loader:
        images = batch[0] if isinstance(batch, (tuple, list)) and batch else batch
        if not isinstance(images, Tensor):
            raise InputError(
                f"the loader yields {type(batch).__name__}: make it yield image tensors, or tuples that begin with one"
            )
        if len(images):
            yield images


def observe(split: SplitNetwork, images: Tensor) -> dict[str, Moments]:
    """Moments of every layer of `split` over one batch, from a clean forward."""
    moments: dict[str, Moments] = {}

    def look(index: int, activation: Tensor) -> Tensor:
        precise = activation.cpu() if activation.device.type == "mps" else activation  # MPS has no fp64
        moments[split.layers[index]] = Moments.of(precise.detach())
        return activation

    split.upper(split.lower(images), look)
    return moments


def merge_moments(first: dict[str, Moments], second: dict[str, Moments]) -> dict[str, Moments]:
    """Merge the moments of two sets of images, layer by layer; an empty dictionary is no images."""
    return {layer: first[layer].merge(m) if first else m for layer, m in second.items()} or first


def estimate_statistics(model: Network, layers: list[str], loader: Iterable[Any]) -> ActivationStatistics:
    """Statistics of `layers` over all images of `loader`, merged in its order in fp64.

    Args:
        model: The model, left as it was.
        layers: Layers on a grid, by name.
        loader: Any iterable of image tensors, ``(images, ...)`` tuples or `Batch`.

    Raises:
        InputError: The loader yields fewer than two images.
    """
    device = next((weights.device for weights in model.parameters()), torch.device("cpu"))
    moments: dict[str, Moments] = {}
    with frozen(model), torch.no_grad():
        split = model.split(layers)
        for images in images_of(loader):
            moments = merge_moments(moments, observe(split, images.to(device)))
    if not moments or next(iter(moments.values())).size < 2:
        raise InputError("activation statistics need at least two images: give some thousands")
    return ActivationStatistics.from_moments(model, moments)
