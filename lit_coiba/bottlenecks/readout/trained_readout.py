"""A trained readout: one file, and the model that it is for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from torch import Tensor, nn

from lit_coiba.bottlenecks.readout.unit_readout import Variant
from lit_coiba.bottlenecks.statistics import ActivationStatistics, describe_preprocessing
from lit_coiba.core.errors import InputError
from lit_coiba.core.network import Network
from lit_coiba.core.printable import listed, printable
from lit_coiba.files.json_text import decode_json
from lit_coiba.files.tensor_file import digest_of_tensors, read_safe_tensors, write_safe_tensors

HEADER, STATISTICS, DIGEST = "lit_coiba.readout", "lit_coiba.statistics", "lit_coiba.digest"  # of the metadata
NETWORK, NUMBERS = "readout/", "statistics/"  # how names of tensors begin
REMEDY = "train one with lit-coiba fit, see configs/experiment/readout_coiba.yaml"

Kind = Literal["coiba", "iba", "ranking"]

_Count = Annotated[int, msgspec.Meta(ge=0)]
_Positive = Annotated[float, msgspec.Meta(gt=0)]
_NotNegative = Annotated[float, msgspec.Meta(ge=0)]


class ReadoutHeader(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a readout is, and what it is of; the metadata of a file say it in JSON."""

    kind: Kind
    model: str  # digest of architecture and weights
    preprocessing: str  # of the model, as JSON
    layers: Annotated[list[str], msgspec.Meta(min_length=1)]  # bottleneck layers
    read: Annotated[list[str], msgspec.Meta(min_length=1)]  # layers that are read, the first bottleneck layer first
    min_std: _Positive = 0.01
    beta: _NotNegative = 1.0  # weight of the information in the loss
    gradient: bool = True  # whether the gradient of the score is read
    width: Annotated[int, msgspec.Meta(ge=1)] = 128
    variant: Variant = "B"  # of Readout IBA
    smoothing: _NotNegative = 0.0  # of the ratios of Readout IBA, in cells
    active_threshold: _NotNegative = 0.0  # of Readout IBA
    steps: _Count = 0  # of the training
    images: _Count = 0  # of each step, of all processes
    seed: int = 0  # of the training's noise


@dataclass(frozen=True, eq=False)
class TrainedReadout:
    """Weights of a readout, the activation statistics that it was trained with, and what they are of.

    Args:
        about: What it is of.
        weights: State of its network, on the CPU.
        statistics: Of the layers, with the leak test that chose them.
    """

    about: ReadoutHeader
    weights: Mapping[str, Tensor]
    statistics: ActivationStatistics

    def check(self, model: Network, kind: Kind, source: str = "the readout") -> None:
        """Refuse to read another model than that of the training, or what is another kind of readout.

        Raises:
            InputError: Naming what differs.
        """
        if self.about.kind != kind:
            raise InputError(f"{source} is one of {_NAMES[self.about.kind]}, not of {_NAMES[kind]}: choose that method")
        here = model.digest()
        if self.about.model != here:
            raise InputError(
                f"{source} was trained for another model or other weights (digest {self.about.model[:12]}, not"
                f" {here[:12]}): give the model that it is for, or {REMEDY}"
            )
        inputs = describe_preprocessing(model)
        if self.about.preprocessing != inputs:
            raise InputError(
                f"{source} was trained with another preprocessing ({self.about.preprocessing}, not {inputs}): give the"
                f" model that one, or {REMEDY}"
            )

    def into(self, network: nn.Module, source: str = "the readout") -> nn.Module:
        """`network` with these weights, evaluating, without gradients of its own.

        Raises:
            InputError: They are of another network.
        """
        wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
        given = {name: tuple(tensor.shape) for name, tensor in self.weights.items()}
        if wanted != given:
            other = sorted(name for name in wanted.keys() | given.keys() if wanted.get(name) != given.get(name))
            raise InputError(f"{source} has other tensors than its header says ({listed(other[:3])}): {REMEDY}")
        network.load_state_dict(dict(self.weights))
        return network.eval().requires_grad_(False)

    def digest(self) -> str:
        """SHA-256 over what it is of, its weights and its statistics."""
        header = msgspec.json.encode(self.about) + self.statistics.digest().encode()
        return digest_of_tensors(header, dict(sorted(self.weights.items())))

    def save(self, file: str | Path) -> None:
        """Write a safetensors file, which takes its name when it is complete.

        Raises:
            OSError: The disk is full, the folder is read-only, ...
        """
        tensors = {f"{NETWORK}{name}": tensor for name, tensor in self.weights.items()}
        tensors |= {f"{NUMBERS}{name}": tensor for name, tensor in self.statistics.tensors().items()}
        about = {HEADER: msgspec.json.encode(self.about).decode(), STATISTICS: self.statistics.header()}
        write_safe_tensors(file, tensors, {**about, DIGEST: self.digest()})

    @classmethod
    def load(cls, file: str | Path) -> TrainedReadout:
        """Read what `save` wrote.

        Raises:
            InputError: There is no such file, or it is not one of a readout, or it is damaged.
        """
        content, metadata = read_safe_tensors(file, "readout", REMEDY)
        try:
            about, statistics = decode_json(metadata[HEADER], ReadoutHeader), metadata[STATISTICS]
            numbers = {n.removeprefix(NUMBERS): t for n, t in content.items() if n.startswith(NUMBERS)}
            weights = {n.removeprefix(NETWORK): t for n, t in content.items() if n.startswith(NETWORK)}
            found = cls(about, weights, ActivationStatistics.of_tensors(statistics, numbers))
            found._check_numbers(len(content))
        except (LookupError, ValueError) as error:
            reason = "" if isinstance(error, LookupError) else f" ({printable(error, 200)})"
            raise InputError(
                f"readout {printable(file, 200)} was not written by this version of lit-coiba{reason}: {REMEDY}"
            ) from error
        if metadata.get(DIGEST) != found.digest():
            raise InputError(
                f"readout {printable(file, 200)} is damaged, since its content is not what its digest says: copy it"
                " again, or train it again"
            )
        return found

    def _check_numbers(self, tensors: int) -> None:
        """Refuse what no training gives.

        Raises:
            ValueError: Saying what.
        """
        if tensors != len(self.weights) + len(self.statistics.tensors()):
            raise ValueError("it has tensors that belong to nothing")
        if self.about.read[0] != self.about.layers[0]:
            raise ValueError("it does not read its first bottleneck layer first")
        if missing := [layer for layer in self.about.layers if layer not in self.statistics.mean]:
            raise ValueError(f"it has no statistics of layer {missing[0]}")
        for name, tensor in self.weights.items():
            if not tensor.is_floating_point() or not tensor.isfinite().all():
                raise ValueError(f"its {name} has numbers that are not finite, or none with a floating point")


_NAMES: dict[Kind, str] = {"coiba": "Readout CoIBA", "iba": "Readout IBA", "ranking": "learned ranking"}
