"""A contact sheet in every store: some images with their maps, to see at a glance whether they make sense."""

from __future__ import annotations

from lit_coiba.callbacks.store_callback import Explained, StoreCallback
from lit_coiba.pictures.contact_sheet import contact_sheet

FILE = "contact_sheet.png"  # in the store


class ContactSheet(StoreCallback):
    """Draw some explanations of a store into ``contact_sheet.png`` when a run ends, unless it is up to date.

    Args:
        count: Number of explanations on the sheet, at most.
    """

    def __init__(self, count: int = 24) -> None:
        self.count = count

    def on_explain_end(self, explained: Explained) -> None:
        """Draw it where blocks have been written, or where there is none yet."""
        store, file = explained.store, explained.store.path / FILE
        if explained.changed or not file.exists():
            preprocessing = explained.transform.preprocessing
            contact_sheet(store, explained.images, preprocessing, file, self.count, explained.named)
