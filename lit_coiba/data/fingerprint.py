"""What the samples of a dataset are, so that it shows later which of them are others: found without reading pictures.

A version is a text for each sample. Of a file it is size and time of modification, ``812:1718960400000000000``, and
where that is asked for a hash of its content, ``812:1718960400000000000#5f70bf18...``; of several files these texts
with a bar between them. Where two versions both have a hash, times make no difference.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from lit_coiba.files.digests import digest_of_file

if TYPE_CHECKING:
    from lit_coiba.data.dataset import ImageDataset

Noticing = Literal["time", "content"]

ABSENT = "absent"  # version of a file that is not there
_AT = "@"  # begins what says where an object is
_MAP = "~"  # begins what says which importance map it has
_DIGITS = 32  # of a hash


@dataclass(frozen=True)
class Fingerprint:
    """The samples of a dataset at one moment.

    Args:
        ids: Id of each sample.
        versions: Version of each; empty text = nothing is known but its id.
        labels: Label of each; -1 = none.
        classes: Class names in index order; empty = unknown.
    """

    ids: Sequence[str]
    versions: Sequence[str]
    labels: Sequence[int]
    classes: Sequence[str] = ()

    def digest(self, labels: bool = False) -> str:
        """Hexadecimal SHA-256 of ids and versions, of content only where that is known, and where asked of labels."""
        told = [list(self.ids), [_decisive(version) for version in self.versions], *([list(self.labels)] * labels)]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def name(self, label: int) -> str:
        """What a label is called: the name of its class, else its number."""
        return self.classes[label] if 0 <= label < len(self.classes) else "none" if label < 0 else str(label)

    def with_regions(self, dataset: ImageDataset) -> Fingerprint:
        """The same where it also counts where the objects are."""
        regions = (_text(dataset.region_version(index)) for index in range(len(self.ids)))
        return replace(self, versions=[f"{version}|{_AT}{region}" for version, region in zip(self.versions, regions)])

    def with_importance(self, dataset: ImageDataset) -> Fingerprint:
        """The same where it also counts what people call important."""
        maps = (_text(dataset.importance_version(index)) for index in range(len(self.ids)))
        return replace(self, versions=[f"{version}|{_MAP}{map}" for version, map in zip(self.versions, maps)])


def fingerprint_of(dataset: ImageDataset, noticing: Noticing = "time") -> Fingerprint:
    """The fingerprint of all samples; with ``time`` it costs one look at the status of each file.

    Args:
        dataset: The samples.
        noticing: How a changed file is noticed, by size and time or by content.
    """
    versions = [sample_version(dataset, index, noticing) for index in range(len(dataset))]
    return Fingerprint(list(dataset.ids), versions, list(dataset.labels), list(dataset.classes))


def sample_version(dataset: ImageDataset, index: int, noticing: Noticing = "time") -> str:
    """The version of one sample."""
    files, own = dataset.files(index), dataset.version(index)
    return "|".join([*([files_version(files, noticing)] if files else []), *([_text(own)] if own else [])])


def files_version(files: Iterable[Path], noticing: Noticing = "time") -> str:
    """The version of what is read from some files."""
    return "|".join(_file_version(file, noticing) for file in files)


def same_version(first: str, second: str) -> bool:
    """Whether two versions may be of one sample.

    Example:
        >>> same_version("812:5", "812:6"), same_version("812:5#ab", "812:6#ab"), same_version("812:5", "812:5#ab")
        (False, True, True)
    """
    ours, theirs = first.split("|"), second.split("|")
    return len(ours) == len(theirs) and all(map(_same, ours, theirs))


def difference(old: str, new: str) -> str:
    """What differs between two versions of a sample, as a clause.

    Example:
        >>> difference("812:5", "900:6"), difference("812:5|@0,0,9,9", "812:5|@0,0,5,5")
        ('its size was 812 bytes and is 900', 'the place of its object is another one')
    """
    ours, theirs = old.split("|"), new.split("|")
    if len(ours) != len(theirs):
        return "what is known of it has changed"
    before, now = next((a, b) for a, b in zip(ours, theirs) if not _same(a, b))
    if now.startswith(_AT):
        return "the place of its object is another one"
    if now.startswith(_MAP):
        return "its importance map is another one"
    if ABSENT in (before, now):
        return "its file was not there" if before == ABSENT else "its file is gone"
    sizes = [text.partition(":")[0] for text in (before, now)]
    if sizes[0] != sizes[1]:
        return f"its size was {sizes[0]} bytes and is {sizes[1]}"
    if "#" in before and "#" in now:
        return "its content is another one"
    times = [_moment(text) for text in (before, now)]
    return f"its time was {times[0]} and is {times[1]}" if all(times) else "it is another one"


def _same(first: str, second: str) -> bool:
    ours, theirs = first.partition("#"), second.partition("#")
    return ours[2] == theirs[2] if ours[1] and theirs[1] else ours[0] == theirs[0]


def _decisive(version: str) -> str:
    return "|".join(part.partition("#")[2] or part for part in version.split("|"))


def _text(own: str) -> str:
    """A text of a dataset's own as a part of a version."""
    return quote(own, safe=" ,.;=()[]")


def _file_version(file: Path, noticing: Noticing) -> str:
    try:
        found = os.stat(file)
    except (OSError, ValueError):
        return ABSENT
    version = f"{found.st_size}:{found.st_mtime_ns}"
    return version if noticing == "time" else f"{version}#{_content(file)}"


def _content(file: Path) -> str:
    try:
        return digest_of_file(file)[:_DIGITS]
    except OSError:
        return "unreadable"


def _moment(version: str) -> str:
    """The time in a version of a file, to the microsecond; empty where there is none."""
    nanoseconds = version.partition("#")[0].partition(":")[2]
    try:
        return datetime.fromtimestamp(int(nanoseconds) / 1e9).isoformat(" ", "microseconds")
    except (ValueError, OverflowError, OSError):
        return ""
