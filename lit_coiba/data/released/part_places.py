"""The parts of CUB-200-2011: which there are, and where they are in a picture."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.data.files.listed_files import check_numbered
from lit_coiba.data.files.text_lines import Form, flag, number, read_keyed, read_lines
from lit_coiba.data.keypoints import Keypoints

_FORM: Form = {"image_id": int, "part_id": int, "x": number, "y": number, "visible": flag}


class PartPlaces:
    """Parts of the pictures of a release, read when the first is asked for.

    Args:
        names: File with ``part_id part_name`` a line.
        places: File with ``image_id part_id x y visible`` a line; a part of a picture without a line is not visible.
    """

    def __init__(self, names: Path, places: Path) -> None:
        self.files = (names, places)

    def of(self, image: int) -> Keypoints:
        """The parts of the picture of this number.

        Raises:
            InputError: One of the files cannot be read or makes no sense; the message names the line.
        """
        places = self._places.get(image, torch.zeros(len(self.names), 3))
        return Keypoints(self.names, places[:, :2].clone(), places[:, 2] == 1)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What the parts are called, in the order of their numbers."""
        told = read_keyed(self.files[0], {"part_id": int, "part_name": str})
        return tuple(check_numbered({part: name for part, (name,) in told.items()}, self.files[0]))

    @cached_property
    def _places(self) -> dict[int, Tensor]:
        """Number of a picture -> ``(P, 3)``: x, y and whether it is visible."""
        rows: dict[int, list[tuple[float, float, float]]] = {}
        seen: set[tuple[int, int]] = set()
        for line, (image, part, x, y, visible) in read_lines(self.files[1], _FORM).items():
            where = f"root: line {line} of {self.files[1]}"
            if not 1 <= part <= len(self.names):
                raise InputError(f"{where} is about part {part}, but {self.files[0]} has 1 to {len(self.names)}")
            if (image, part) in seen:
                raise InputError(f"{where} is about part {part} of image {image}, like an earlier line")
            seen.add((image, part))
            rows.setdefault(image, [(0.0, 0.0, 0.0)] * len(self.names))[part - 1] = (x, y, float(visible))
        table = torch.tensor(list(rows.values()))
        return dict(zip(rows, table))
