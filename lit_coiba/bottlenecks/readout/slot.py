"""The readout that a method uses: read from its file once, and fitted into the model that is explained."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from lit_coiba.bottlenecks.readout.trained_readout import Kind, TrainedReadout
from lit_coiba.core.frozen import kept_randomness
from lit_coiba.core.network import Network
from lit_coiba.core.printable import printable
from lit_coiba.resources import located

Built = TypeVar("Built")


class ReadoutSlot(Generic[Built]):
    """What a method makes of its readout for one model, made again when the model or its weights have changed.

    Args:
        file: File of the readout; one that comes with the package is ``checkpoints/NAME.safetensors``.
        kind: What it has to be.
        build: Function of a model and the readout, which fits that model.
    """

    def __init__(self, file: str, kind: Kind, build: Callable[[Network, TrainedReadout], Built]) -> None:
        self.file, self.kind, self.build = file, kind, build
        self._read: TrainedReadout | None = None
        self._built: tuple[weakref.ref[Any], Any, Built] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_built": None}  # a weak reference goes into no pickle

    @property
    def readout(self) -> TrainedReadout:
        """The readout.

        Raises:
            InputError: The file cannot be read as one.
        """
        if self._read is None:
            self._read = TrainedReadout.load(located(self.file))
        return self._read

    def of(self, model: Network) -> Built:
        """What was built for `model`.

        Raises:
            InputError: The readout is of another model, another preprocessing or another kind.
        """
        state = [(p.device, 0 if p.is_inference() else p._version) for p in model.parameters()]
        if self._built is None or self._built[0]() is not model or self._built[1] != state:
            self.readout.check(model, self.kind, f"readout {printable(self.file, 200)}")
            with kept_randomness():  # new modules draw their weights, which are replaced
                self._built = weakref.ref(model), state, self.build(model, self.readout)
        return self._built[2]
