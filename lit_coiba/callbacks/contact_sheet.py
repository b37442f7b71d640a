"""A contact sheet in every store: some images with their maps, to see at a glance whether they make sense."""

from __future__ import annotations

import hashlib
import json

from lit_coiba.callbacks.store_callback import Explained, StoreCallback
from lit_coiba.callbacks.unwritable import unwritable_is_a_warning
from lit_coiba.core.errors import check_choice, check_count
from lit_coiba.files.owned import check_own_file
from lit_coiba.files.png import is_our_png
from lit_coiba.pictures.contact_sheet import contact_sheet
from lit_coiba.pictures.order import Order
from lit_coiba.pictures.page import note_of

FILE = "contact_sheet.png"  # in the store


class ContactSheet(StoreCallback):
    """Draw some explanations of a store into ``contact_sheet.png`` when a run ends, unless it is up to date.

    Args:
        count: Number of explanations on the sheet, at most.
        order: Order of the explanations: ``spread``, evenly spaced over the samples; ``wrong_first``, predictions that
            contradict their label; ``least_certain_first``.
        common_scale: Whether all maps are drawn on one scale, so that brightness compares between images.
    """

    def __init__(self, count: int = 24, order: Order = "spread", common_scale: bool = False) -> None:
        check_count(0, count=count)
        self.count = count
        self.order: Order = check_choice(order, Order, "order")
        self.common_scale = common_scale

    def on_explain_end(self, explained: Explained) -> None:
        """Draw it where blocks have been written, or where the sheet there is of other settings or names."""
        store, file, about = explained.store, explained.store.path / FILE, explained.about
        note = self._note(explained)
        if explained.changed or note_of(file) != note:
            preprocessing = explained.transform.preprocessing
            with unwritable_is_a_warning(file):
                check_own_file(file, "the contact sheet", is_our_png)
                contact_sheet(
                    store,
                    explained.images,
                    preprocessing,
                    file,
                    count=self.count,
                    order=self.order,
                    common_scale=self.common_scale,
                    about=about,
                    note=note,
                )

    def _note(self, explained: Explained) -> str:
        """A digest of what decides the sheet, beside the explanations themselves."""
        about, images = explained.about, explained.images
        own = [self.count, self.order, self.common_scale, about.model, about.random_weights]
        told = [*own, list(about.names.classes), list(about.names.labels), about.names.same, images.ids, images.labels]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()
