"""Which file holds which explanation: the keys of all blocks in memory, the maps of one row group at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lit_coiba.core.batch import Failure
from lit_coiba.core.errors import InputError, warn
from lit_coiba.store.blocks import (
    BlockFile,
    DamagedBlock,
    Part,
    Signature,
    StaleBlock,
    list_blocks,
    read_group,
    read_keys,
    read_record,
    read_rows,
)
from lit_coiba.store.records import BlockRecord, Columns, Row, explained

_NUMBERS = ("float", "double", "int64")  # Arrow's names of the types of extras
_ATTEMPTS = 10  # to read one row, or the keys, while other processes replace their files

Piece = tuple[BlockFile, Part]  # where a block lies


class Location(NamedTuple):
    """Where a row lies."""

    file: BlockFile
    part: Part
    row: int  # among the explained rows of its row group


class BlockIndex:
    """The keys of all blocks in a folder, brought up to date by `refresh`.

    A block may lie in two files: what a run wrote counts before what compaction made of earlier runs.

    Args:
        folder: Folder of the blocks; it need not exist yet.
        identity: Digest that every block of this store carries.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self.folder = folder
        self.identity = identity
        self.samples: dict[str, dict[int, Location]] = {}  # id -> target -> place
        self.pieces: dict[int, Piece] = {}  # block -> place, in order of number
        self.files: dict[str, BlockFile] = {}  # by name; damaged ones are left out
        self._known: dict[str, Signature] = {}  # file name -> as last seen, damaged files too
        self._open: tuple[BlockFile, int, Columns] | None = None  # the row group that was read last
        self._whole: dict[tuple[str, Signature, int], bool] = {}  # row groups whose checksums were verified
        self._warned: set[tuple[str, Signature]] = set()
        self._untold: list[DamagedBlock] = []

    def refresh(self) -> None:
        """Read the keys of the files that are new or have changed. Warns of each damaged file once."""
        for _ in range(_ATTEMPTS):
            found = list_blocks(self.folder)
            if found == self._known:
                return
            if self._read(found):
                break
        self._choose()
        self.tell_damage()

    def targets(self, sample: str) -> dict[int, Location]:
        """Where the explanations of a sample lie, by target; empty if there are none, also among the newest files."""
        if sample not in self.samples:
            self.refresh()
        return self.samples.get(sample, {})

    def row(self, sample: str, target: int) -> Row:
        """Read one explanation, found again where another process moved it meanwhile.

        Raises:
            DamagedBlock: Its file is damaged.
            InputError: It went away for good.
        """
        for _ in range(_ATTEMPTS):
            location = self.targets(sample).get(target)
            if location is None:
                break
            try:
                return self._columns(location.file, location.part.group).row(location.row)
            except StaleBlock:
                self.refresh()
        raise InputError(
            f"{sample!r} was removed from {self.folder} while it was read: read it again when no run is writing"
        )

    def rows(self) -> Iterator[Row]:
        """All explanations that are there now, in block order; warns of damaged files and passes over them."""
        self.refresh()
        places = [
            (location.part.block, location.row, sample, target)
            for sample, targets in self.samples.items()
            for target, location in targets.items()
        ]
        try:
            for *_, sample, target in sorted(places):
                try:
                    row = self.row(sample, target)
                except DamagedBlock as error:
                    self._note(error.path.name, error)
                    continue
                yield row
        finally:
            self.tell_damage()

    def rows_of(self, block: int) -> list[Row]:
        """The explanations of a block that is there now; none if it is damaged, or is moved at this moment."""
        if block not in self.pieces:
            return []
        file, part = self.pieces[block]
        try:
            columns = self._columns(file, part.group)
        except (DamagedBlock, StaleBlock):
            return []
        return [columns.row(row) for row in range(part.start, part.start + len(part.keys))]

    def numbers_of(self, block: int) -> tuple[list[str], dict[str, list[float]]]:
        """Of a block as `rows_of` gives it: the samples, and each column that is one number a row; no map is read."""
        if block not in self.pieces:
            return [], {}
        file, part = self.pieces[block]
        names = ["probability", *(name for name, kind, _ in file.layout if kind in _NUMBERS)]
        try:
            table = read_group(file, part.group, ["error", *names])
        except (DamagedBlock, StaleBlock):
            return [], {}
        rows = explained(table.slice(part.first, part.length))
        return [sample for sample, _ in part.keys], {name: rows[name].to_pylist() for name in names}

    def record_of(self, block: int) -> BlockRecord | None:
        """A block that is there now, with its failures; None if it is not, is damaged, or is moved at this moment."""
        if block not in self.pieces:
            return None
        file, part = self.pieces[block]
        try:
            return read_record(file, part)
        except (DamagedBlock, StaleBlock):
            return None

    def failures(self) -> list[Failure]:
        """Failures of all blocks that are there now, in block order."""
        self.refresh()
        return [failure for _, part in self.pieces.values() for failure in part.failures]

    def whole_blocks(self) -> set[int]:
        """Numbers of the blocks that are there now and whole: every checksum is verified, once per file."""
        self.refresh()
        whole = {block for block, piece in self.pieces.items() if self.is_whole(piece)}
        self.tell_damage()
        return whole

    def is_whole(self, piece: Piece) -> bool:
        """Whether a block can be read: its checksums are verified, once."""
        file, part = piece
        if not part.length:
            return True
        place = file.path.name, file.signature, part.group
        if place not in self._whole:
            try:
                read_rows(file, part.group)
                self._whole[place] = True
            except DamagedBlock as error:
                self._note(file.path.name, error)
                self._whole[place] = False
            except StaleBlock:  # written anew meanwhile; to do it once more does no harm
                return False
        return self._whole[place]

    def _read(self, found: dict[str, Signature]) -> bool:
        """Read the keys of these files; whether all of them were still there."""
        files, known = {}, {}
        for name, signature in found.items():
            if self._known.get(name) == signature:
                known[name] = signature
                if name in self.files:
                    files[name] = self.files[name]
                continue
            try:
                files[name] = read_keys(self.folder / name, signature, self.identity)
            except StaleBlock:
                continue
            except DamagedBlock as error:
                self._note(name, error, signature)
            known[name] = signature
        self.files, self._known = files, known
        return len(known) == len(found)

    def _choose(self) -> None:
        """Which file counts for each block, and where each row is."""
        pieces: dict[int, Piece] = {}
        for file in sorted(self.files.values(), key=lambda file: file.compact):
            for part in file.parts:
                pieces.setdefault(part.block, (file, part))
        self.pieces = dict(sorted(pieces.items()))
        self.samples = {}
        for file, part in self.pieces.values():
            for row, (sample, target) in enumerate(part.keys, part.start):
                self.samples.setdefault(sample, {}).setdefault(target, Location(file, part, row))

    def _columns(self, file: BlockFile, group: int) -> Columns:
        if self._open is None or self._open[0] is not file or self._open[1] != group:
            self._open = None  # one row group in memory, not two
            self._open = file, group, read_rows(file, group)
        return self._open[2]

    def _note(self, name: str, error: DamagedBlock, signature: Signature = (0, 0, 0)) -> None:
        seen = name, self._known.get(name, signature)
        if seen not in self._warned:
            self._warned.add(seen)
            self._untold.append(error)

    def tell_damage(self) -> None:
        """Warn of the damaged files that were found since the last time, in one warning."""
        found, self._untold = self._untold, []
        if not found:
            return
        more = f", and {len(found) - 1:,} more files like it" if len(found) > 1 else ""
        count = "it counts as missing; rerun the command to redo its block"
        several = "they count as missing; rerun the command to redo their blocks"
        warn(f"{found[0]}{more}: {several if more else count}", stacklevel=3)
