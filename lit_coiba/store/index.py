"""Which file holds which explanation: the keys of all blocks in memory, the maps of one row group at a time."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lit_coiba.contracts import Failure, InputError
from lit_coiba.store.blocks import BlockFile, DamagedBlock, Signature, StaleBlock, list_blocks, read_keys, read_rows
from lit_coiba.store.records import Columns, Row

_ATTEMPTS = 5  # to read one row while other processes replace its file


class Location(NamedTuple):
    """Where a row lies."""

    file: BlockFile
    group: int  # row group
    row: int  # among the group's explained rows


class BlockIndex:
    """The keys of all blocks in a folder, brought up to date by `refresh`.

    Args:
        folder: Folder of the blocks; it need not exist yet.
        identity: Digest that every block of this store carries.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self.folder = folder
        self.identity = identity
        self.samples: dict[str, dict[int, Location]] = {}  # id -> target -> place
        self._known: dict[str, Signature] = {}  # file name -> as last seen, damaged files too
        self._files: dict[str, BlockFile] = {}
        self._open: tuple[BlockFile, int, Columns] | None = None  # the row group that was read last
        self._whole: set[tuple[str, Signature]] = set()  # files whose checksums were verified
        self._warned: set[tuple[str, Signature]] = set()

    def refresh(self) -> None:
        """Read the keys of new files; if a file changed or went, those of all. Warns of each damaged file once."""
        found = list_blocks(self.folder)
        if any(found.get(name) != signature for name, signature in self._known.items()):
            self.samples, self._known, self._files = {}, {}, {}
        for name in [name for name in found if name not in self._known]:
            try:
                file = read_keys(self.folder / name, found[name], self.identity)
            except StaleBlock:
                continue
            except DamagedBlock as error:
                self._known[name] = found[name]
                self._warn(name, error)
                continue
            self._known[name], self._files[name] = found[name], file
            for group, keys in enumerate(file.keys):
                for row, (sample, target) in enumerate(keys):
                    self.samples.setdefault(sample, {}).setdefault(target, Location(file, group, row))

    def targets(self, sample: str) -> dict[int, Location]:
        """Where the explanations of a sample lie, by target; empty if there are none, also among the newest files."""
        if sample not in self.samples:
            self.refresh()
        return self.samples.get(sample, {})

    def row(self, sample: str, target: int) -> Row:
        """Read one explanation, found again where another process moved it meanwhile.

        Raises:
            DamagedBlock: Its file is torn.
            InputError: It went away for good.
        """
        for _ in range(_ATTEMPTS):
            location = self.targets(sample).get(target)
            if location is None:
                break
            try:
                return self._columns(location.file, location.group).row(location.row)
            except StaleBlock:
                self.refresh()
        raise InputError(f"{sample!r} vanished from {self.folder} while it was read: read again when no run is writing")

    def rows(self) -> Iterator[Row]:
        """All explanations that are there now, in block order; warns of damaged files and passes over them."""
        self.refresh()
        places = [
            (location.file.blocks[0], location.group, location.row, sample, target)
            for sample, targets in self.samples.items()
            for target, location in targets.items()
        ]
        for *_, sample, target in sorted(places):
            try:
                row = self.row(sample, target)
            except DamagedBlock as error:
                self._warn(error.path.name, error)
                continue
            yield row

    def failures(self) -> list[Failure]:
        """Failures of all blocks that are there now, in block order."""
        self.refresh()
        return [failure for file in self._sorted() for failure in file.failures]

    def whole_blocks(self) -> set[int]:
        """Numbers of the blocks that are there now and whole: every checksum is verified, once per file."""
        self.refresh()
        return {block for file in self._sorted() if self._is_whole(file) for block in file.blocks}

    def _sorted(self) -> list[BlockFile]:
        return sorted(self._files.values(), key=lambda file: file.blocks)

    def _columns(self, file: BlockFile, group: int) -> Columns:
        if self._open is None or self._open[0] is not file or self._open[1] != group:
            self._open = None  # one row group in memory, not two
            self._open = file, group, read_rows(file, group)
        return self._open[2]

    def _is_whole(self, file: BlockFile) -> bool:
        if (file.path.name, file.signature) in self._whole:
            return True
        try:
            for group in range(len(file.keys)):
                read_rows(file, group)
        except DamagedBlock as error:
            self._warn(file.path.name, error)
            return False
        except StaleBlock:  # written anew meanwhile; to do it once more does no harm
            return False
        self._whole.add((file.path.name, file.signature))
        return True

    def _warn(self, name: str, error: DamagedBlock) -> None:
        seen = name, self._known.get(name, (0, 0, 0))
        if seen not in self._warned:
            self._warned.add(seen)
            warnings.warn(f"{error}: it counts as missing, and repeating the run redoes its block", stacklevel=3)
