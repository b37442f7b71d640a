"""The folder of a site, part by part: a part whose inputs are the same and whose files are whole is not made again.

A part is a class, a unit, or what belongs to none. ``made/KEY.json`` says what it was made of and which files it has,
and is written last. So a build that was killed goes on where it was, and files of parts that are gone are found and
removed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from lit_coiba.core.errors import InputError
from lit_coiba.files.atomic import atomically, remove_leftovers
from lit_coiba.files.digests import is_file_sealed
from lit_coiba.files.json_text import read_json, typed
from lit_coiba.files.regular import read_bytes

VERB = "explorer"
MADE = "made"
CLASS_KEY, UNIT_KEY = "{:05d}", "unit-{:05d}"
SITE_KEY, ASSETS_KEY = "site", "assets"

# Names of our files, and how the key of their part follows from them; whatever is called otherwise is somebody else's.
_NUMBER = r"(?P<key>\d{5,})"
_OURS = {
    "": (r"(index|search|failures|compare|gallery|prototypes)\.(html|json)", SITE_KEY),
    "assets": (r".+\.(css|js|svg|txt)", ASSETS_KEY),
    "classes": (rf"{_NUMBER}\.(html|json)", ""),
    "compare": (rf"{_NUMBER}\.(html|json)", ""),
    "concepts": (rf"{_NUMBER}-\d+(-\d+)?\.(html|json)", ""),
    "data": (rf"({_NUMBER}-points(-\d+)?|gallery-(?P<other>\d{{5,}})-\d+|[a-z]+(-\d+)?)\.js", SITE_KEY),
    "gallery": (rf"{_NUMBER}-\d+\.(html|json)", ""),
    "media": (r"", ""),
    "prototypes": (rf"({_NUMBER}|page-\d+)\.(html|json)", SITE_KEY),
}
_PICTURE = re.compile(r"[a-z]+-\d+(-\d+)*\.(webp|png)")
_MEDIA = re.compile(r"(unit-)?\d{5,}")

_Summary = TypeVar("_Summary")


class _Made(msgspec.Struct):
    inputs: str
    files: dict[str, str]  # address -> seal
    summary: Any = None


class PartFiles:
    """The files of one part, written whole; those that are there already with the same content stay untouched."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.seals: dict[str, str] = {}  # address -> seal

    def write(self, address: str, content: bytes) -> None:
        """Put a file of the site in place.

        Raises:
            OSError: It cannot be written.
        """
        file, seal = self.root / address, f"{len(content)}-{hashlib.sha256(content).hexdigest()}"
        self.seals[address] = seal
        with suppress(OSError):
            if is_file_sealed(file, seal):
                return
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomically(file, durable=False) as out:  # what a power cut leaves has another seal
            out.write(content)


class SiteFolder:
    """The folder of a site that `claim_folder` has marked.

    Args:
        root: The folder.

    Attributes:
        made: Keys of the parts that were made, and not found as they should be.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.made: list[str] = []
        self._keys: set[str] = set()

    def part(self, key: str, inputs: str, kind: type[_Summary], make: Callable[[PartFiles], _Summary]) -> _Summary:
        """The summary of a part, which is made unless it is there.

        Args:
            key: Its name.
            inputs: Digest of all that it is made of.
            kind: Type of the summary, which is kept with it.
            make: Writes its files.

        Raises:
            OSError: It cannot be written.
        """
        self._keys.add(key)
        record = self._record(key)
        if record is not None and record.inputs == inputs and self._is_whole(record):
            with suppress(ValueError):
                return typed(record.summary, kind)
        self.made.append(key)
        (self.root / MADE).mkdir(parents=True, exist_ok=True)
        files = PartFiles(self.root)
        summary = make(files)
        with atomically(self.root / MADE / f"{key}.json") as out:
            out.write(msgspec.json.encode(_Made(inputs, files.seals, summary), order="deterministic"))
        return summary

    def finish(self) -> list[str]:
        """Remove files of parts that were not asked for, and files that parts no longer have; their addresses."""
        removed = []
        key, files = "", frozenset[str]()
        for address, of in self._ours():
            if of != key:
                record = self._record(of) if of in self._keys else None
                key, files = of, frozenset(() if record is None else record.files)
            if address not in files:
                with suppress(OSError):
                    (self.root / address).unlink()
                    removed.append(address)
        for file in sorted((self.root / MADE).glob("*.json")):
            if file.stem not in self._keys:
                file.unlink(missing_ok=True)
        self._remove_empty()
        return removed

    def files(self, key: str) -> Collection[str]:
        """Addresses of the files of a part."""
        record = self._record(key)
        return () if record is None else record.files.keys()

    def summary(self, key: str, kind: type[_Summary]) -> _Summary | None:
        """The summary of a part that is there; None where it is not finished."""
        record = self._record(key)
        try:
            return None if record is None else typed(record.summary, kind)
        except ValueError:
            return None

    def read(self, address: str) -> bytes:
        """A file of the site.

        Raises:
            OSError: It is not there.
        """
        return read_bytes(self.root / address)

    def _record(self, key: str) -> _Made | None:
        try:
            found: _Made = read_json(self.root / MADE / f"{key}.json", _Made, "site")
        except (OSError, InputError):
            return None
        return found

    def _is_whole(self, record: _Made) -> bool:
        try:
            return all(is_file_sealed(self.root / address, seal) for address, seal in record.files.items())
        except OSError:
            return False

    def _ours(self) -> Iterator[tuple[str, str]]:
        """Address of each of our files, and the key of its part; those of a folder together."""
        for folder, (pattern, site) in _OURS.items():
            place = self.root / folder
            if not place.is_dir() or place.is_symlink():
                continue
            remove_leftovers(place)
            for name in sorted(entry.name for entry in place.iterdir()):
                if folder == "media" and _MEDIA.fullmatch(name) and (place / name).is_dir():
                    yield from self._pictures(name)
                elif folder != "media" and (match := re.fullmatch(pattern, name)):
                    groups = {"key": None, "other": None, **match.groupdict()}
                    key = groups["key"] or groups["other"] or site
                    unit = folder == "prototypes" and groups["key"]
                    yield f"{folder}/{name}".lstrip("/"), f"unit-{key}" if unit else key

    def _pictures(self, name: str) -> Iterator[tuple[str, str]]:
        place = self.root / "media" / name
        remove_leftovers(place)
        for picture in sorted(entry.name for entry in place.iterdir()):
            if _PICTURE.fullmatch(picture):
                yield f"media/{name}/{picture}", name

    def _remove_empty(self) -> None:
        media = self.root / "media"
        places = [media / entry.name for entry in media.iterdir()] if media.is_dir() else []
        for place in (*places, *(self.root / folder for folder in _OURS if folder)):
            with suppress(OSError):
                place.rmdir()  # only where nothing is in it
