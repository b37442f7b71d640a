"""Decisions of a head as pictures: patches of the image, the training patches they look like, and what they add."""

from __future__ import annotations

from lit_coiba.attribution import HeadAttribution
from lit_coiba.callbacks.store_callback import Explained, StoreCallback
from lit_coiba.callbacks.unwritable import unwritable_is_a_warning
from lit_coiba.pictures.decision import DECISIONS, draw_decisions
from lit_coiba.prototypes import Prototypes

FOLDER = "decisions"  # in the store


class Decisions(StoreCallback):
    """Draw some decisions into ``decisions`` when a run ends, where `HeadAttribution` has prototypes.

    Args:
        count: Number of decisions to draw, at most.
    """

    def __init__(self, count: int = DECISIONS) -> None:
        self.count = count

    def on_explain_end(self, explained: Explained) -> None:
        """Draw them where blocks have been written, or where there are none yet."""
        method, folder = explained.method, explained.store.path / FOLDER
        if not isinstance(method, HeadAttribution) or method.prototypes is None:
            return
        if explained.changed or not folder.is_dir():
            preprocessing, known = explained.transform.preprocessing, Prototypes(method.prototypes)
            with unwritable_is_a_warning(folder):
                draw_decisions(
                    explained.store, explained.images, preprocessing, known, folder, explained.about.names, self.count
                )
