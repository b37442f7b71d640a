"""Callbacks that are called when `Trainer.explain` has all its blocks on disk."""

from __future__ import annotations

from typing import NamedTuple

from lightning import Callback

from lit_coiba.core.method import AttributionMethod
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.transforms import Transform
from lit_coiba.pictures.about import About
from lit_coiba.store import ExplanationStore


class Explained(NamedTuple):
    """A store, and what its explanations are about."""

    store: ExplanationStore
    images: ImageDataset  # that were explained
    transform: Transform  # from a picture to model input
    method: AttributionMethod
    about: About  # the model, and what classes and labels are called
    changed: bool  # whether this run has written a block


class StoreCallback(Callback):
    """What is made of a store when a run of `Trainer.explain` ends, such as a picture."""

    def on_explain_end(self, explained: Explained) -> None:
        """All blocks of this run are on disk, those of all processes; also where there was nothing left to do.

        Called on the first process only, while the others wait.
        """
