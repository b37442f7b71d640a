"""ClickMe: pictures of ImageNet with maps of where people clicked, in TFRecord shards."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from PIL import Image
from torch import Tensor

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.files.expected_tree import Entry, Tree
from lit_coiba.data.files.image_file import image_size, read_image, read_levels
from lit_coiba.data.files.map_file import fitted
from lit_coiba.data.files.tf_example import Feature, Span, features_of
from lit_coiba.data.files.tf_record import Record, Take, list_records, read_record, taking
from lit_coiba.data.fingerprint import Noticing
from lit_coiba.data.passes import BatchSize
from lit_coiba.data.released.published import PublishedDataset
from lit_coiba.data.subset import LimitOrder

_SHARDS = {
    "train": Entry("train/train-0.tfrecords", "318 shards, to fit", ("train/train-*.tfrecord*",), optional=True),
    "val": Entry("val/val-0.tfrecords", "17 shards", ("val/val-*.tfrecord*",)),
}
_IMAGE, _MAP, _LABEL = "image", "heatmap", "label"
_MOST = 1 << 31  # above every label


class ClickMe(PublishedDataset):
    """ClickMe: pictures of 256 x 256 pixels, the class of each, and a map of where people say the evidence is.

    Linsley et al., "Learning what and where to attend", 2019 (arXiv 1805.08819), as Fel et al., 2022 (arXiv
    2211.04533), harmonize with them. **Whether these files are available, and under which licence, is not confirmed**:
    this reads the layout that the public code of the latter reads, shards of TFRecords ``train/train-N.tfrecords`` and
    ``val/val-N.tfrecords`` of ``tf.train.Example`` with the JPEGs ``image`` and ``heatmap`` and the whole number
    ``label``, and was never run on the released files. TensorFlow is not needed. Your own maps go by `ImageFolder`.

    ``train`` may be missing where nothing is trained; there is no test split, and validation takes its place. The id of
    a picture is its shard and its number there, ``val-3/000017``. Classes have no names: labels are taken as the
    numbers of the model's classes, ImageNet's 1,000. Maps are not per participant: the published ceiling of an
    alignment with them is 0.65753 (`HumanAlignment`).

    The arguments and errors are those of `PublishedDataset`.
    """

    trees = (Tree("ClickMe", "click-me", (_SHARDS["val"], _SHARDS["train"])),)
    official = ("train", "val")

    def __init__(
        self,
        root: str,
        split: Literal["train", "val"] = "val",
        augment: bool = False,
        batch_size: BatchSize = 8,
        num_workers: int | None = None,
        limit: int | None = None,
        limit_order: LimitOrder = "spread",
        fingerprint: Noticing = "time",
    ) -> None:
        super().__init__(root, split, 0.0, augment, batch_size, num_workers, limit, limit_order, fingerprint)

    def read(self, part: str) -> ImageDataset:
        """The pictures of ``train`` or ``val``.

        Raises:
            InputError: There are no shards, one is cut off or damaged, or a record is no example with a label.
        """
        first = self.place.path(_SHARDS[part].shown)
        if first is None:
            raise InputError(f"split: {self.place.folder} has no split train, only val")
        named = re.compile(rf"{part}-\d+\.tfrecords?")
        shards = sorted(file for file in first.parent.iterdir() if named.fullmatch(file.name))
        try:
            return ClickMeDataset([place for shard in shards for place in _places(shard)])
        except OSError as error:
            raise InputError(f"root: {error}") from error


class ClickMePlace(NamedTuple):
    """Where a sample is, and its class."""

    shard: Path
    number: int  # of the record in its shard
    record: Record
    label: int

    @property
    def id(self) -> str:
        """The sample's id."""
        return f"{self.shard.name.partition('.')[0]}/{self.number:06d}"


class ClickMeDataset(ImageDataset):
    """Samples of ClickMe, of which one is read without the rest of its shard.

    Args:
        places: Where they are.

    Raises:
        OSError: There are none.
    """

    def __init__(self, places: Sequence[ClickMePlace]) -> None:
        if not places:
            raise OSError("the shards hold no record")
        self.places = sorted(places, key=lambda place: place.id)
        self.ids = [place.id for place in self.places]
        self.labels = [place.label for place in self.places]
        self.classes = []

    def image(self, index: int) -> Image.Image:
        """The picture.

        Raises:
            OSError: Its record is damaged, or has no picture; the message says why.
        """
        return read_image(self._contents(index).get(_IMAGE, b""))

    def importance(self, index: int) -> Tensor | None:
        """Where people say the evidence is, float32 ``(H, W)``, shares of white; None where the record has no map.

        Raises:
            OSError: The record is damaged, or the map is none of its picture; the message says why.
        """
        contents = self._contents(index)
        if not contents.get(_MAP):
            return None
        size = image_size(contents.get(_IMAGE, b""))
        return fitted(read_levels(contents[_MAP]), *size, "the importance map")

    def version(self, index: int) -> str:
        """Length and checksum of the record."""
        record = self.places[index].record
        return f"{record.length} {record.checksum:08x}"

    def importance_version(self, index: int) -> str:
        """The same: a record holds both."""
        return self.version(index)

    def _contents(self, index: int) -> dict[str, bytes]:
        """The files in a sample's record, by their names."""
        place = self.places[index]
        content = read_record(place.shard, place.record)
        name = f"record {place.number} of {printable(place.shard, 200)}"
        found = _features(
            lambda start, length: content[start : start + length], Span(0, len(content)), (_IMAGE, _MAP), name
        )
        spans = {key: feature.content for key, feature in found.items() if feature.content is not None}
        return {key: content[span.start : span.end] for key, span in spans.items()}


def _places(shard: Path) -> list[ClickMePlace]:
    """The samples of a shard: of their records the labels are read, not the pictures."""
    found = []
    if not (records := list_records(shard)):
        raise OSError(f"{printable(shard, 200)} is empty: copy it again")
    with taking(shard) as (take, _):
        for number, record in enumerate(records):
            name = f"record {number} of {printable(shard, 200)}"
            whole = Span(record.start, record.start + record.length)
            label = _features(take, whole, (_LABEL,), name).get(_LABEL, Feature()).number
            if label is None or not 0 <= label < _MOST:
                raise OSError(f"{name} has {'no label' if label is None else f'the label {label}'}: copy it again")
            found.append(ClickMePlace(shard, number, record, label))
    return found


def _features(take: Take, whole: Span, wanted: Collection[str], name: str) -> dict[str, Feature]:
    try:
        return features_of(take, whole, wanted)
    except ValueError as error:
        raise OSError(f"{name} is no tf.train.Example: {error}") from error
