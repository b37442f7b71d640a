"""Files of concepts, found once by their headers, and the concepts of an image that matter for a class."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from lit_coiba.concepts import ConceptDictionary, Concepts
from lit_coiba.concepts.concepts_file import HEADER as OF_CLASS
from lit_coiba.concepts.concepts_file import Header
from lit_coiba.concepts.dictionary_file import HEADER as OF_ALL
from lit_coiba.concepts.dictionary_file import DictionaryHeader
from lit_coiba.concepts.layer_concepts import LayerConcepts
from lit_coiba.concepts.lowered import Lowered
from lit_coiba.concepts.masked_concepts import MaskedConcepts
from lit_coiba.core.batched_evaluator import BatchedEvaluator
from lit_coiba.core.errors import InputError
from lit_coiba.core.frozen import frozen
from lit_coiba.core.network import Network
from lit_coiba.core.printable import printable
from lit_coiba.core.targets import Class, select_output
from lit_coiba.files.given_path import given_path
from lit_coiba.files.json_text import decode_json
from lit_coiba.files.tensor_file import read_metadata
from lit_coiba.functional import resize_map

MOST = 10_000  # files of a folder
_KEPT = 8  # files in memory


class ConceptFile(NamedTuple):
    """A file of concepts, and what it is of."""

    path: Path
    model: str  # digest
    layer: str
    cls: int | None  # None = of all classes


class ConceptShown(NamedTuple):
    """A concept in an image."""

    file: ConceptFile
    number: int
    contribution: float  # to the logit, exact where the logit is additive in the concepts
    map: Tensor  # (H, W)


class ConceptFiles:
    """Files of `Concepts.save` and `ConceptDictionary.save`.

    Args:
        places: Files, or folders with files of concepts at any depth; other safetensors in a folder are left out.

    Raises:
        InputError: A file cannot be read or is none of concepts, or a folder has none.
    """

    def __init__(self, places: Sequence[str]) -> None:
        self.files: list[ConceptFile] = []
        for place in places:
            path = given_path(place, "concepts")
            inside = sorted(path.rglob("*.safetensors"))[: MOST + 1] if path.is_dir() else [path]
            if len(inside) > MOST:
                raise InputError(
                    f"concepts: {printable(path, 200)} has more than {MOST:,} files: give a smaller folder"
                )
            found = [one for file in inside if (one := _file(file)) is not None]
            if not found:
                what = "no file of concepts in it" if path.is_dir() else "no concepts"
                raise InputError(
                    f"concepts: {printable(path, 200)} has {what}: give files that Concepts.save or lit-coiba"
                    " dictionary wrote"
                )
            self.files += found

    def of(self, model: str, cls: int) -> list[ConceptFile]:
        """The files for a class of the model with this digest."""
        return [file for file in self.files if file.model == model and file.cls in (None, cls)]

    def strongest(self, model: Network, image: Tensor, cls: int, count: int = 4) -> list[ConceptShown]:
        """The concepts of each file for this class that matter most for its logit in an image.

        Args:
            model: The model, left as it was.
            image: Model input, ``(1, 3, H, W)``.
            cls: Number of the class.
            count: Number of concepts of each file.

        Raises:
            InputError: A file is damaged.
        """
        shown = []
        for file in self.of(model.digest(), cls):
            concepts = _loaded(file.path, file.cls is None)
            network = concepts.network(model)
            with frozen(model):
                with torch.no_grad():
                    logits = select_output(model(image))
                masked = MaskedConcepts(Lowered.of(network, image), Class(cls).resolve(logits), BatchedEvaluator())
                parts = masked.derivatives().masks[0]
            places = model.places(file.layer)
            for number in parts.abs().argsort(descending=True)[:count].tolist():
                if not float(parts[number]):
                    break
                map = resize_map(masked.coefficients[:1, number], (image.shape[-2], image.shape[-1]), places)[0]
                shown.append(ConceptShown(file, number, float(parts[number]), map.cpu()))
        return shown


def _file(path: Path) -> ConceptFile | None:
    """What a file is of, by its header; None = it is none of concepts.

    Raises:
        InputError: It cannot be read.
    """
    told = read_metadata(path, "concepts:")
    try:
        if OF_CLASS in told:
            about = decode_json(told[OF_CLASS], Header)
            return ConceptFile(path, about.model, about.layer, about.cls)
        if OF_ALL in told:
            all_classes = decode_json(told[OF_ALL], DictionaryHeader)
            return ConceptFile(path, all_classes.model, all_classes.layer, None)
    except ValueError as error:
        raise InputError(
            f"concepts: {printable(path, 200)} was not written by this version of lit-coiba ({printable(error, 100)}):"
            " make it again, or leave it out"
        ) from error
    return None


@lru_cache(maxsize=_KEPT)
def _loaded(path: Path, of_all: bool) -> LayerConcepts:
    return ConceptDictionary.load(path) if of_all else Concepts.load(path)
