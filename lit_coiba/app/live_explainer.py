"""What the page shows of a picture, without a page: classes, maps, the head's decision, concepts."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from PIL import Image

from lit_coiba.app.concept_files import ConceptFiles
from lit_coiba.app.decision import Shown, head_decision
from lit_coiba.attribution.presets import columns
from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError, check_count
from lit_coiba.core.frozen import frozen
from lit_coiba.core.method import AttributionMethod
from lit_coiba.core.printable import printable
from lit_coiba.core.targets import select_output
from lit_coiba.data.in_hand import load_images, on_white, pixels_of
from lit_coiba.pictures.names import class_name
from lit_coiba.pictures.numbers import percent, rounded_signed
from lit_coiba.pictures.overlay import overlay
from lit_coiba.pictures.page import pil_of

# Methods of some seconds at most, which need nothing but the model.
CHEAP = (
    *("grad_cam", "layer_cam", "saliency", "input_x_gradient", "integrated_gradients:steps=20"),
    *("smooth_grad:n_samples=16", "nib", "attention_rollout", "chefer", "attn_lrp", "deep_lift", "occlusion"),
    *("rise:n_samples=300", "head_attribution"),
)
LARGEST = 50_000_000  # pixels of a picture

Picture = Image.Image | str | os.PathLike[str]


class Candidate(NamedTuple):
    """A class that the model considers."""

    number: int
    name: str
    probability: float


class Seen(NamedTuple):
    """What the model sees of a picture, and what it takes it for."""

    picture: Image.Image  # resized and cropped as the model has it
    classes: list[Candidate]  # the most probable ones, in their order


class Explained(NamedTuple):
    """All that is shown of a picture and a class."""

    target: Candidate
    maps: list[Shown]
    decision: list[Shown]
    concepts: list[Shown]
    notes: list[str]  # a sentence for each thing that could not be shown


class LiveExplainer:
    """Explains pictures as they come, by models and methods that were chosen before.

    Args:
        models: Models by the names to show.
        methods: Words as `attribution.presets.method_named` takes them; a method that a model cannot use is not
            offered for it.
        prototypes: Folder that ``lit-coiba prototypes`` made, for the model of which it is.
        concepts: Files or folders of concepts.

    Raises:
        InputError: There is no model or method, a method does not exist, or concepts cannot be read.
    """

    def __init__(
        self,
        models: Mapping[str, Backbone],
        methods: Sequence[str] = CHEAP,
        prototypes: str | None = None,
        concepts: Sequence[str] = (),
    ) -> None:
        if not models or not methods:
            raise InputError(f"{'methods' if models else 'models'} is empty: give one at least")
        self.models = dict(models)
        self._methods = columns(list(methods))
        self._prototypes = prototypes
        self._concepts = ConceptFiles(concepts)
        self._usable: dict[str, list[str]] = {}

    def methods(self, model: str) -> list[str]:
        """Words of the methods that a model can be explained by, as a try on noise shows."""
        if model not in self._usable:
            network = self._model(model)
            size, noise = network.preprocessing.size, torch.Generator().manual_seed(0)
            image = torch.randn(1, 3, *size, generator=noise).to(next(network.parameters()))
            names = [name for name, method in self._methods.items() if _works(method, network, image)]
            if not names:
                raise InputError(f"none of the methods can explain {model}: give others as methods")
            self._usable[model] = names
        return self._usable[model]

    def look(self, picture: Picture, model: str, top: int = 5) -> Seen:
        """What a model sees in a picture.

        Args:
            picture: A PIL picture or a file.
            model: Name of the model.
            top: Number of classes to tell.

        Raises:
            InputError: The picture cannot be read or is too large, or there is no such model.
        """
        check_count(top=top)
        network = self._model(model)
        rgb = _read(picture)
        probabilities = self._probabilities(network, load_images(rgb, network))
        found = probabilities.topk(min(top, len(probabilities)))
        classes = [self._candidate(network, index, probabilities) for index in found.indices.tolist()]
        return Seen(pil_of(pixels_of(rgb, "pictures", network.preprocessing)[0]), classes)

    def explain(
        self,
        picture: Picture,
        model: str,
        methods: Sequence[str],
        target: int | str | None = None,
        decision: bool = True,
    ) -> Explained:
        """Why a model takes a picture for a class, or how much speaks for it.

        What a method cannot do is a sentence in `notes`; the others are shown.

        Args:
            picture: A PIL picture or a file.
            model: Name of the model.
            methods: Words of the methods, of those that `methods` lists.
            target: Number or name of the class; None = the most probable one.
            decision: Whether to show the decision of an interpretable head.

        Raises:
            InputError: The picture cannot be read or is too large, or there is no such model, method or class.
        """
        network = self._model(model)
        if unknown := [name for name in methods if name not in self._methods]:
            raise InputError(f"methods: {printable(unknown[0], 80)} is not offered here")
        rgb = _read(picture)
        image = load_images(rgb, network).to(next(network.parameters()))
        probabilities = self._probabilities(network, image)
        chosen = int(probabilities.argmax()) if target is None else _number_of(target, network)
        candidate = self._candidate(network, chosen, probabilities)
        maps, notes = list[Shown](), list[str]()
        for name in methods:
            begin = time.perf_counter()
            try:
                found = self._methods[name].attribute(network, image, chosen)
            except InputError as error:
                notes.append(f"{name}: {error}")
                continue
            took = time.perf_counter() - begin
            maps.append(Shown(overlay(rgb, found.cpu(), network), f"{name}, {took:.1f} s"))
        parts: list[Shown] = []
        if decision:
            try:
                parts = head_decision(network, rgb, image, chosen, candidate.probability, self._prototypes)
            except InputError as error:
                notes.append(f"decision: {error}")
        return Explained(candidate, maps, parts, self._concept_pictures(network, rgb, image, chosen, notes), notes)

    def _concept_pictures(
        self, network: Backbone, rgb: Image.Image, image: torch.Tensor, cls: int, notes: list[str]
    ) -> list[Shown]:
        try:
            found = self._concepts.strongest(network, image, cls)
        except InputError as error:
            notes.append(f"concepts: {error}")
            return []
        return [
            Shown(
                overlay(rgb, one.map, network),
                f"concept {one.number} of {one.file.layer}: {rounded_signed(one.contribution)} for the logit",
            )
            for one in found
        ]

    def _model(self, name: str) -> Backbone:
        if name not in self.models:
            raise InputError(f"there is no model {printable(name, 80)} here: choose one of {', '.join(self.models)}")
        return self.models[name]

    @staticmethod
    def _probabilities(network: Backbone, image: torch.Tensor) -> torch.Tensor:
        with frozen(network), torch.no_grad():
            return select_output(network(image.to(next(network.parameters())))).float().softmax(-1)[0].cpu()

    @staticmethod
    def _candidate(network: Backbone, index: int, probabilities: torch.Tensor) -> Candidate:
        return Candidate(index, class_name(index, network.class_names), float(probabilities[index]))


def line_of(candidate: Candidate) -> str:
    """A class and its probability in a line.

    Example:
        >>> line_of(Candidate(3, "cat", 0.954))
        'cat, 95%'
    """
    return f"{candidate.name}, {percent(candidate.probability)}"


def _number_of(target: int | str, network: Backbone) -> int:
    """The number of a class that is given by its number or its name.

    Raises:
        InputError: There is no such class.
    """
    names = [name.casefold() for name in network.class_names or ()]
    text = str(target).strip()
    number = names.index(text.casefold()) if text.casefold() in names else int(text) if text.isdecimal() else -1
    if not 0 <= number < network.num_classes:
        raise InputError(
            f"target is {printable(text, 80)}: give the number of a class, 0 to {network.num_classes - 1}"
            f"{', or its name' if names else ''}"
        )
    return number


def _works(method: AttributionMethod, network: Backbone, image: torch.Tensor) -> bool:
    """Whether a method can explain a model; those that need only scores can."""
    if not method.card.needs:
        return True
    try:
        method.attribute(network, image, 0)
    except (InputError, ImportError):
        return False
    return True


def _read(picture: Picture) -> Image.Image:
    """A picture as RGB.

    Raises:
        InputError: It cannot be read, or has too many pixels.
    """
    if isinstance(picture, Image.Image):
        width, height = picture.size
        if width * height > LARGEST:
            raise InputError(f"the picture has {width} x {height} pixels: give one of {LARGEST:,} at most")
        return on_white(picture, "pictures")
    if not isinstance(picture, (str, os.PathLike)):
        raise InputError("there is no picture: drop one into the page")
    return _read(pil_of(pixels_of(picture, "pictures")[0]))
