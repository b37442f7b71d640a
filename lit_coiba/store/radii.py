"""The certified radii of a store, read without its maps."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa

from lit_coiba.core.errors import warn
from lit_coiba.lipschitz.certifying import RADIUS
from lit_coiba.store.blocks import BlockFile, DamagedBlock, StaleBlock, read_group
from lit_coiba.store.folder import FOLDER
from lit_coiba.store.index import BlockIndex
from lit_coiba.store.manifest import Manifest
from lit_coiba.store.records import PREDICTION
from lit_coiba.store.store import ExplanationStore

CERTIFIED = "certified"  # key of an identity: whether the rows have radii; absent = they have none


class Decision(NamedTuple):
    """What a model decided for one image."""

    id: str
    label: int  # -1 = no label
    predicted: int
    radius: float  # certified, in L2 of pixels in [0, 1]


def has_radii(manifest: Manifest) -> bool:
    """Whether the explanations of a store have the certified radius of the decision; an extra of a method is none."""
    return manifest.identity.get(CERTIFIED) is True


def decisions_of(store: ExplanationStore) -> list[Decision]:
    """The decision for each image that a store explains, by id, from four columns; empty where it has no radii.

    Args:
        store: The store; what another process moves meanwhile is left out.
    """
    if not has_radii(store.manifest):
        return []
    index = BlockIndex(store.path / FOLDER, store.manifest.digest)
    index.refresh()
    opened: tuple[BlockFile, int, pa.Table] | None = None
    found: dict[str, Decision] = {}
    for file, part in index.pieces.values():
        names = [name for name, *_ in file.layout if name in (RADIUS, PREDICTION[0])]
        if not part.keys or RADIUS not in names:
            continue
        try:
            if opened is None or opened[:2] != (file, part.group):
                opened = file, part.group, read_group(file, part.group, ["id", *names])
        except (DamagedBlock, StaleBlock) as error:
            warn(f"{file.path} is left out of the certified radii ({error})")
            continue
        rows = opened[2].slice(part.first, part.length).to_pydict()
        ids, radii, predicted = rows["id"], rows[RADIUS], rows.get(PREDICTION[0])
        explained = (place for place, radius in enumerate(radii) if radius is not None)  # the others failed
        for place, (_, target), label in zip(explained, part.keys, part.labels):
            cls = target if predicted is None else predicted[place]
            found.setdefault(ids[place], Decision(ids[place], label, cls, radii[place]))
    return [found[name] for name in sorted(found)]
