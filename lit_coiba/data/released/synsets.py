"""What the files that come with ImageNet say: names of classes, labels of flat validation images, boxes."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.data.files.boxes import Box
from lit_coiba.data.files.csv_file import read_csv
from lit_coiba.data.files.mat_file import read_structs, text, whole
from lit_coiba.data.files.text_lines import read_keyed, read_lines

_HEADER = ["ImageId", "PredictionString"]
_SHOWN = 100  # characters of a line in a message
_STRIDE = 5  # words for a box: wnid x_min y_min x_max y_max


def read_mapping(path: Path) -> dict[str, str]:
    """WordNet id -> name, from ``LOC_synset_mapping.txt``; of several synonyms the first.

    Raises:
        InputError: The file cannot be read or a line makes no sense.
    """
    return {wnid: names.partition(",")[0] for wnid, (names,) in read_keyed(path, {"wnid": str, "names": str}).items()}


class Devkit:
    """The official development kit, ``ILSVRC2012_devkit_t12/data``.

    Args:
        meta: ``meta.mat``, in which a class has a number that is not its place among the WordNet ids.
        truth: ``ILSVRC2012_validation_ground_truth.txt``, a number a line, in the order of the images.
    """

    def __init__(self, meta: Path, truth: Path) -> None:
        self.meta = meta
        self.truth = truth

    @cached_property
    def names(self) -> dict[str, str]:
        """WordNet id -> name; of several synonyms the first."""
        return {wnid: names.partition(",")[0] for wnid, names in self._classes.values()}

    def labels(self) -> dict[str, str]:
        """Name of a validation image without its ending -> WordNet id.

        Raises:
            InputError: A file cannot be read, or a line has no number of a class.
        """
        labels: dict[str, str] = {}
        for line, (number,) in read_lines(self.truth, {"class number": int}).items():
            if number not in self._classes:
                raise InputError(f"root: line {line} of {self.truth}: {self.meta} has no class {number}")
            labels[f"ILSVRC2012_val_{line:08d}"] = self._classes[number][0]
        return labels

    @cached_property
    def _classes(self) -> dict[int, tuple[str, str]]:
        """Number -> WordNet id and names; groups of classes are left out."""
        records = read_structs(self.meta, "synsets", ["ILSVRC2012_ID", "WNID", "words", "num_children"])
        leaves = [record for record in records if record[-1] == 0]
        where, told = f"an ILSVRC2012_ID in {self.meta}", f"a WNID or words in {self.meta}"
        return {whole(number, where): (text(wnid, told), text(words, told)) for number, wnid, words, _ in leaves}


class Solution:
    """``LOC_train_solution.csv`` or ``LOC_val_solution.csv``: an image a line, its class and boxes; read when asked."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def labels(self) -> dict[str, str]:
        """Name of an image without its ending -> WordNet id.

        Raises:
            InputError: The file cannot be read, or a line makes no sense.
        """
        return {image: words.split(None, 1)[0] for image, (_, words) in self._rows.items()}

    def get(self, name: str) -> list[Box] | None:
        """The boxes of an image, given by its path; None where it has none.

        Raises:
            InputError: As `labels`, or a box makes no sense.
        """
        line, words = self._rows.get(name.rpartition("/")[2].rpartition(".")[0], (0, ""))
        fields = words.split()
        boxes = []
        try:
            for start in range(0, len(fields) if len(fields) > 1 else 0, _STRIDE):
                _, *sides = fields[start : start + _STRIDE]
                boxes.append(Box(*map(int, sides)))
        except (TypeError, ValueError):
            given = printable(words, _SHOWN)
            raise InputError(f"root: line {line} of {self.path}: {given!r} is not: wnid x y x y ...") from None
        return boxes or None

    @cached_property
    def _rows(self) -> dict[str, tuple[int, str]]:
        """Name of an image -> line and what it says."""
        rows: dict[str, tuple[int, str]] = {}
        lines = read_csv(self.path, "root")
        header = next(lines, (0, []))[1]
        if header != _HEADER:
            given = printable(",".join(header), _SHOWN)
            raise InputError(f"root: {self.path} begins with {given}, not {','.join(_HEADER)}")
        for line, row in lines:
            where = f"root: line {line} of {self.path}"
            if len(row) != len(_HEADER) or not row[1].strip():
                given = printable(",".join(row), _SHOWN)
                raise InputError(f"{where} is {given!r}, but must be: {','.join(_HEADER)}")
            if row[0] in rows:
                raise InputError(f"{where} is about {printable(row[0], _SHOWN)}, like an earlier line")
            rows[row[0]] = (line, row[1])
        return rows
