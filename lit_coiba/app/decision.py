"""The decision of an interpretable head about one picture, for a class that is asked about."""

from __future__ import annotations

from typing import NamedTuple

from PIL import Image
from torch import Tensor

from lit_coiba.attribution import HeadAttribution
from lit_coiba.backbones import Backbone
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.transforms import Transform
from lit_coiba.pictures.decision import decision
from lit_coiba.pictures.names import Names
from lit_coiba.pictures.numbers import rounded_signed
from lit_coiba.pictures.overlay import overlay
from lit_coiba.pictures.page import pil_of
from lit_coiba.prototypes import Prototypes
from lit_coiba.store.records import Row

UNITS = 4  # that are shown of a head without prototypes


class Shown(NamedTuple):
    """A picture of the page, and the line below it."""

    picture: Image.Image
    caption: str


class OnePicture(ImageDataset):
    """A picture in hand as a dataset.

    Args:
        picture: The picture, RGB.
        name: Its id.
    """

    def __init__(self, picture: Image.Image, name: str = "picture") -> None:
        self.ids, self.labels, self.classes = [name], [-1], []
        self._picture = picture

    def image(self, index: int) -> Image.Image:
        """The picture."""
        return self._picture


def head_decision(
    model: Backbone, picture: Image.Image, image: Tensor, cls: int, probability: float, prototypes: str | None
) -> list[Shown]:
    """Why a head that explains itself decides for a class, or against it; nothing for a model without such a head.

    Args:
        model: The model.
        picture: The picture, RGB.
        image: The same as model input, ``(1, 3, H, W)``.
        cls: Number of the class.
        probability: Its probability.
        prototypes: Folder that ``lit-coiba prototypes`` made for this model; None = the units' own maps.

    Raises:
        InputError: The prototypes are of another model, or cannot be read.
    """
    if not hasattr(model.head, "explain"):
        return []
    method = HeadAttribution(prototypes=prototypes)
    if prototypes is not None:
        method.prepare(model, [image])
    found = method.explain(model, image, cls)
    extras = {name: value[0].cpu() for name, value in found.extras.items()}
    if prototypes is not None:
        known = Prototypes(prototypes)
        row = Row("picture", -1, cls, probability, found.maps[0].cpu(), extras)
        names = Names.of([], model.class_names or known.classes, model.num_classes)
        page = decision(row, OnePicture(picture), 0, Transform(model.preprocessing), known, names)
        return [Shown(pil_of(page.pixels()), "patches of the picture, and the training patches that they look like")]
    shown: list[Shown] = []
    for unit, value, map in zip(extras["units"].tolist(), extras["contributions"].tolist(), extras["unit_maps"]):
        if len(shown) < UNITS and value:
            shown.append(Shown(overlay(picture, map, model), f"unit {unit} adds {rounded_signed(value)} to the logit"))
    return shown
