"""Boxes from annotations in the XML of PASCAL VOC, one file per image."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple
from xml.parsers.expat import ExpatError, ParserCreate

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.data.files.boxes import Box, Sized
from lit_coiba.files.regular import open_regular

_LARGEST = 1 << 20  # bytes; the annotations of a picture are a few hundred
_BOX = ("annotation", "object", "bndbox")
_SIZE = ("annotation", "size")
_DEEPEST = 32  # elements inside one another
_SIDES = ("xmin", "ymin", "xmax", "ymax")


class XmlBoxes(NamedTuple):
    """The annotations in a folder, each read when it is asked for.

    They lie as the images do: that of ``train/n01440764/n01440764_10026.JPEG`` is ``n01440764/n01440764_10026.xml``
    where `depth` is 2, and ``n01440764_10026.xml`` where it is 1.
    """

    folder: Path
    depth: int  # how many of the last parts of an image's path an annotation's has
    suffix: str = ".xml"

    def get(self, name: str) -> list[Box | Sized] | None:
        """The boxes around the objects of an image; None where it has no annotation, or one without an object.

        Raises:
            InputError: The annotation makes no sense.
        """
        below = "/".join(name.split("/")[-self.depth :])
        try:
            return read_boxes(self.folder / f"{below.rpartition('.')[0]}{self.suffix}") or None
        except (FileNotFoundError, NotADirectoryError):
            return None


def read_boxes(path: Path) -> list[Box | Sized]:
    """The boxes around the objects in an annotation, with the size of their picture where it is told.

    Refused are files with a document type (the place where XML declares entities, so none is ever expanded or fetched)
    and those larger than 1 MiB.

    Raises:
        InputError: The file is refused, is no XML, or a box is not four numbers in order.
        OSError: It cannot be read.
    """
    with open_regular(path) as stream:
        content = stream.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise InputError(f"annotation {path} is larger than 1 MiB: it is not a description of boxes")
    reader = _Reader(path)
    parser = ParserCreate()
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(content, True)
    except InputError:
        raise
    except (ExpatError, ValueError, LookupError) as error:  # the latter two for encodings
        raise InputError(f"annotation {path} is not XML ({error}); fix the file or remove it") from error
    width, height = (reader.size.get(side, "").strip() for side in ("width", "height"))
    if not (width.isdecimal() and height.isdecimal() and int(width[:9]) > 0 and int(height[:9]) > 0):
        return [*reader.boxes]
    return [Sized(box, int(height[:9]), int(width[:9])) for box in reader.boxes]


class _Reader:
    """What the parser calls; keeps the sides of boxes and nothing else."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.boxes: list[Box] = []
        self._open: list[str] = []
        self.size: dict[str, str] = {}
        self._sides: dict[str, str] = {}

    def refuse(self, *_: object) -> None:
        raise InputError(
            f"annotation {self.path} declares a document type, which annotations do not need: it was refused"
        )

    def start(self, tag: str, _: dict[str, str]) -> None:
        self._open.append(tag)
        if len(self._open) > _DEEPEST:
            raise InputError(
                f"annotation {self.path} has elements {len(self._open)} deep: it is no description of boxes"
            )
        if tuple(self._open) == _BOX:
            self._sides = {}

    def text(self, text: str) -> None:
        if tuple(self._open[:-1]) == _SIZE:
            self.size[self._open[-1]] = self.size.get(self._open[-1], "") + text
        if tuple(self._open[:-1]) == _BOX:
            self._sides[self._open[-1]] = self._sides.get(self._open[-1], "") + text

    def end(self, _: str) -> None:
        if tuple(self._open) == _BOX:
            self.boxes.append(self._box())
        self._open.pop()

    def _box(self) -> Box:
        texts = [self._sides.get(side, "").strip() for side in _SIDES]
        try:
            box = Box(*(math.floor(float(text)) for text in texts))
        except (ValueError, OverflowError):
            shown = printable(", ".join(texts), 100)
            raise InputError(f"annotation {self.path}: the box {shown} is not four numbers") from None
        if box.x_max < box.x_min or box.y_max < box.y_min:
            shown = printable(", ".join(texts), 100)
            raise InputError(f"annotation {self.path}: the box {shown} ends before it begins")
        return box
