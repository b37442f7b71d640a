"""The explanations of one run on disk: a folder with a manifest and Parquet files of blocks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lit_coiba.core.batch import Failure
from lit_coiba.core.errors import InputError
from lit_coiba.files.atomic import remove_leftovers
from lit_coiba.files.given_path import given_path
from lit_coiba.store.blocks import DamagedBlock, Part, is_block, list_blocks, write_block
from lit_coiba.store.compaction import consolidate
from lit_coiba.store.digest import content_digest
from lit_coiba.store.export import Format, export_store
from lit_coiba.store.folder import FOLDER, STATISTICS, check_blocks, check_folder
from lit_coiba.store.index import BlockIndex
from lit_coiba.store.manifest import FILE_NAME, Manifest, refuse_inside
from lit_coiba.store.progress import progress_bar
from lit_coiba.store.records import BlockRecord, Row
from lit_coiba.store.revision import keeping
from lit_coiba.store.samples import SAMPLES
from lit_coiba.store.wording import absent, listed

if TYPE_CHECKING:
    import pandas


class ExplanationStore:
    """Explanations on disk, read lazily: keys in memory, the maps of one block at a time.

    Existing files define what is done, so reading while other processes write is safe: each method sees the blocks that
    exist when it is called. A file that is truncated or belongs to another run counts as missing, with a warning.

    Args:
        path: Folder of an existing store; `open` creates one.

    Raises:
        InputError: There is no store.

    Example:
        >>> import tempfile, torch
        >>> folder = tempfile.TemporaryDirectory()
        >>> store = ExplanationStore.open(folder.name, Manifest({"seed": 0}))
        >>> targets = torch.tensor([3, 5])
        >>> store.write(BlockRecord(0, ("cat", "cat"), targets, targets, targets / 8, torch.ones(2, 1, 2), {}))
        >>> store.ids(), store["cat", 5].probability, store["cat", 5].map
        (['cat'], 0.625, tensor([[1., 1.]]))
        >>> folder.cleanup()
    """

    path: Path
    manifest: Manifest

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = given_path(path, "store")
        try:
            self.manifest = Manifest.load(self.path)
        except OSError as error:
            reason = f"its {FILE_NAME} cannot be read: {error.strerror}"
            if isinstance(error, FileNotFoundError | NotADirectoryError):
                reason = f"it has no {FILE_NAME}" if self.path.is_dir() else "there is no such folder"
            raise InputError(f"{self.path} is not a store ({reason}): give a folder written by explain") from error
        self._index = BlockIndex(self.path / FOLDER, self.manifest.digest)

    def __repr__(self) -> str:
        return f"ExplanationStore({str(self.path)!r}): {len(self):,} explanations"

    @classmethod
    def open(cls, path: str | os.PathLike[str], manifest: Manifest) -> ExplanationStore:
        """Create a store, or resume the one that is there. Any number of processes may do so at once.

        An empty store is restarted if its arguments differ: its run was refused or killed early.

        Raises:
            InputError: The store there has another identity or blocks of unknown origin, or it cannot be written.
        """
        path = check_folder(path)
        blocks = path / FOLDER
        try:
            begun = (path / FILE_NAME).exists()
            if not begun:
                refuse_inside(path)
                if list_blocks(blocks) and not (path / FILE_NAME).exists():  # another process writes it before a block
                    raise InputError(f"{blocks} has blocks but no {FILE_NAME} beside it: choose another folder")
                path.mkdir(parents=True, exist_ok=True)
                with suppress(FileExistsError):  # another process was faster; its manifest counts
                    manifest.save(path, exclusive=True)
            store = cls(path)
            if begun and not store.accepts(manifest):
                manifest.save(path)
                store = cls(path)
            store.manifest.check(manifest, path)
            blocks.mkdir(exist_ok=True)
            remove_leftovers(path)
            remove_leftovers(blocks)
            store._index.refresh()
            check_blocks(blocks, store._index.files)
            if manifest.recorded not in [store.manifest.recorded, *store.manifest.resumed]:
                store.manifest.resumed.append(manifest.recorded)
                store.manifest.save(path)
            if not os.access(blocks, os.W_OK):
                raise PermissionError(None, "it is read-only")
        except OSError as error:
            reason = error.strerror or str(error)
            raise InputError(
                f"store {path} cannot be written ({reason}): fix the permissions or choose another folder"
            ) from error
        return store

    def accepts(self, manifest: Manifest) -> bool:
        """Whether a run with this manifest continues here; False if it restarts an empty store.

        Raises:
            InputError: It holds explanations that were made with other arguments.
        """
        if not list_blocks(self.path / FOLDER) and self.manifest.differences(manifest):
            return False
        self.manifest.check(manifest, self.path)
        return True

    def missing(self, total_blocks: int, verify: bool = True) -> list[int]:
        """Those of the blocks 0 to `total_blocks` - 1 that are still to do.

        Args:
            total_blocks: Total number of blocks.
            verify: Whether to verify every checksum, so that a damaged block counts as missing; otherwise only keys are
                read.
        """
        self._index.refresh()
        done = self._index.whole_blocks() if verify else self._index.pieces.keys()
        return [block for block in range(total_blocks) if block not in done]

    def compact(self, progress: bool = False) -> None:
        """Put all blocks into few files: a large store opens faster. `explain` does so at the end of a run.

        Others may read and write meanwhile, and whatever kills this, nothing is lost and nothing is there twice.

        Args:
            progress: Whether to show a progress bar on stderr.

        Raises:
            InputError: The disk is full, the folder read-only, or a file damaged; the store is unchanged then.
        """
        try:
            with progress_bar("Compacting blocks", progress) as tell:
                consolidate(self._index, lambda: self._index.pieces, tell)
        except OSError as error:
            raise InputError(
                f"store {self.path} cannot be compacted ({error.strerror or error}); all its explanations are there, "
                "in many files"
            ) from error
        except DamagedBlock as error:
            raise InputError(f"{error}: rerun the command that wrote it") from error

    def export(self, format: Format, output: str | os.PathLike[str] | None = None, progress: bool = False) -> Path:
        """Write every explanation to a file of its own, for other programs; see `export_store`.

        Args:
            format: ``npz``: the numbers, for numpy; ``png``: the map. Others are functions of `pictures`.
            output: Folder for the files; None = a folder named like the format, in the store.
            progress: Whether to show a progress bar on stderr.

        Returns:
            The folder. The same call again does what is missing.

        Raises:
            InputError: It holds something else, or cannot be written.
        """
        folder = self.path / format if output is None else given_path(output, "output")
        names, rows = self.manifest.class_names, self._index.rows()
        export_store(rows, len(self), self.manifest.digest, format, folder, progress, names=names)
        return folder

    def write(self, record: BlockRecord, keep: bool = True) -> None:
        """Put one block in the store, whole or not at all, in place of what was written under its number.

        Args:
            record: The block.
            keep: Whether a sample that fails in it keeps the rows that it has.

        Raises:
            InputError: Disk full, folder read-only, a record that contradicts itself, or a store that was begun anew.
        """
        try:
            if Manifest.load(self.path).digest != self.manifest.digest:
                raise InputError(
                    f"store {self.path} was restarted by a run with other arguments: choose another folder"
                )
            before = self.record(record.block) if keep and record.failures else None
            record = record if before is None else keeping(record, before)
            write_block(self.path / FOLDER, record, self.manifest.digest)
        except OSError as error:
            raise InputError(
                f"store {self.path}: block {record.block} cannot be written ({error.strerror or error}); fix the cause "
                "and rerun the same command: finished blocks are kept"
            ) from error

    def block(self, number: int) -> list[Row]:
        """The explanations of one block; none if it is not there."""
        self._index.refresh()
        return self._index.rows_of(number)

    def numbers(self, blocks: Iterable[int]) -> Iterator[tuple[int, list[str], dict[str, list[float]]]]:
        """Of each block: its number, the samples of its rows, their probabilities and extras of one number."""
        self._index.refresh()
        yield from ((block, *self._index.numbers_of(block)) for block in blocks)

    def record(self, number: int) -> BlockRecord | None:
        """One block as it is in the store, failures and all; None if it is not there."""
        self._index.refresh()
        return self._index.record_of(number)

    def parts(self) -> list[tuple[int, Part]]:
        """Number and keys of each block, in order; no map is read."""
        self._index.refresh()
        return [(number, part) for number, (_, part) in self._index.pieces.items()]

    def clear(self) -> None:
        """Remove all blocks, and statistics that were estimated for them: a run with other arguments may begin here."""
        self._index.refresh()
        check_blocks(self.path / FOLDER, self._index.files)
        for name in filter(is_block, list_blocks(self.path / FOLDER)):
            (self.path / FOLDER / name).unlink(missing_ok=True)
        (self.path / STATISTICS).unlink(missing_ok=True)
        (self.path / SAMPLES).unlink(missing_ok=True)

    def ids(self) -> list[str]:
        """Sorted ids of the samples that have at least one explanation."""
        self._index.refresh()
        return sorted(self._index.samples)

    def keys(self) -> list[tuple[str, int]]:
        """Sorted (id, target) of all explanations; no map is read."""
        self._index.refresh()
        return sorted((sample, target) for sample, targets in self._index.samples.items() for target in targets)

    def failures(self) -> list[Failure]:
        """Samples that could not be explained, and why, in block order."""
        return self._index.failures()

    def digest(self) -> str:
        """Hexadecimal SHA-256 of what was found: equal for equal rows, whatever the blocks and files they lie in."""
        return content_digest(self, (failure.id for failure in self.failures()))

    def to_pandas(self, maps: bool = True) -> pandas.DataFrame:
        """All rows as a data frame: id, label, target, probability, map and a column per extra.

        Args:
            maps: Whether to include the maps, as arrays ``(h, w)``, which of a large store may not fit in memory.

        Raises:
            InputError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise InputError("to_pandas needs pandas: pip install 'lit-coiba[pandas]'") from error
        fixed = ["id", "label", "target", "probability"]
        columns: dict[str, list[Any]] = {name: [] for name in [*fixed, *(["map"] if maps else [])]}
        for row in self:
            found = {name: getattr(row, name) for name in fixed} | ({"map": row.map.numpy()} if maps else {})
            for name, value in {**found, **{name: extra.numpy()[()] for name, extra in row.extras.items()}}.items():
                columns.setdefault(name, []).append(value)
        return pandas.DataFrame(columns).astype({"label": "int32", "target": "int32", "probability": "float32"})

    def __getitem__(self, key: str | tuple[str, int]) -> Row:
        """The explanation ``store[id]``, or ``store[id, target]`` where a sample has several.

        Raises:
            InputError: There is none, the target is ambiguous, or the file is damaged.
        """
        sample, target = key if isinstance(key, tuple) and len(key) == 2 else (key, None)
        targets = self._index.targets(sample) if isinstance(sample, str) else {}
        if not targets:
            raise InputError(absent(sample, str(self.path), self.failures(), self.ids()))
        if target is None and len(targets) > 1:
            raise InputError(f"{sample!r} is explained for targets {listed(targets)}: name one, store[id, target]")
        if target is not None and target not in targets:
            raise InputError(f"{sample!r} is not explained for target {target}, only for {listed(targets)}")
        try:
            return self._index.row(sample, next(iter(targets)) if target is None else target)
        except DamagedBlock as error:
            raise InputError(f"{sample!r} cannot be read: {error}; rerun the command that wrote it") from error

    def __contains__(self, key: object) -> bool:
        if isinstance(key, str):
            return bool(self._index.targets(key))
        return isinstance(key, tuple) and len(key) == 2 and key[1] in self._index.targets(key[0])

    def __len__(self) -> int:
        self._index.refresh()
        return sum(map(len, self._index.samples.values()))

    def __iter__(self) -> Iterator[Row]:
        """All explanations in block order, one block in memory at a time."""
        return self._index.rows()
