"""Concepts of every class: a pass that predicts all images, then a class at a time, run by ``Trainer.concepts``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from lit_coiba.backbones import Backbone
from lit_coiba.concepts.class_study import ClassStudy
from lit_coiba.concepts.craft import CRAFT
from lit_coiba.concepts.crops import crop_boxes
from lit_coiba.concepts.factorization import Factorization
from lit_coiba.concepts.nmf import NMF
from lit_coiba.concepts.semi_nmf import SemiNMF
from lit_coiba.core.batch import Batch
from lit_coiba.core.errors import InputError, check_count
from lit_coiba.core.frozen import frozen
from lit_coiba.core.targets import select_output
from lit_coiba.files.atomic import atomically
from lit_coiba.heads import Head
from lit_coiba.modules.block_module import BlockModule
from lit_coiba.store.chunks import Chunks

LONGEST = 64  # blocks of a chunk: what a killed run may have to do again
CONCEPTS = 10  # of each class


class ChunkedPredictions(Chunks):
    """What the model says of every image, chunk by chunk on disk.

    Args:
        folder: Folder of the files; made when the first one is written.
        blocks: Block numbers, at least one.
    """

    def __init__(self, folder: Path, blocks: Sequence[int]) -> None:
        super().__init__(folder, blocks, longest=LONGEST)

    def write(self, chunk: int, parts: Sequence[dict[str, Tensor]]) -> None:
        """Put the predictions of a chunk in place, complete or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        names = parts[0].keys() if parts else ()
        with atomically(self.file(chunk)) as out:
            out.write(save({name: torch.cat([part[name] for part in parts]).contiguous() for name in names}))

    def merged(self) -> dict[str, Tensor]:
        """Columns of all chunks: number of the sample, predicted class, its probability and its logit.

        Raises:
            InputError: No image could be read.
        """
        parts = [part for number in range(len(self.chunks)) if (part := self.content(number))]
        if not parts:
            self.remove()
            raise InputError("there are no concepts, since none of the images can be read: check the image files")
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


class ConceptSearch(BlockModule):
    """A classifier, and how the concepts of its classes are found.

    Args:
        backbone: The classifier.
        weights: File with the weights of a trained classifier, a Lightning checkpoint or safetensors; they replace the
            backbone's, and the head that they were trained with is attached.
        factorization: Factorization of the activations; None = ten concepts, by `NMF` where no activation is negative,
            by `SemiNMF` elsewhere.
        layer: Layer on a grid, by its name in the model; None = that of class activation maps.
        crop_size: Side in pixels of square crops that are enlarged to whole inputs, as in the paper (64 of 224); None =
            the layer's positions in whole images are the rows. Concepts of crops look sharper, those of positions
            account for the logit: new images are always encoded position by position.
        images: Number of images of a class to use at most, evenly spaced over those that the model gives it.
        measured: Number of these that causal effects and importance are measured on.
        n_samples: Number of points of the Sobol design, a power of two; used where the logit is not additive in the
            concepts.
        crops: Number of crops to keep for each concept, at most one of an image.
        stability: Whether concepts are searched for in each half of the images too, to say how stable they are.
        seed: Seed of everything that is drawn.
        head: Class of the head in `weights`, if it is one of your own: a file never imports a class.

    Raises:
        InputError: A number is out of its range, or the model has no classes.
    """

    chunks: ChunkedPredictions  # where predictions go; set by the Trainer, as are the numbers
    numbers: Mapping[str, int]  # of each sample, by id

    def __init__(
        self,
        backbone: Backbone,
        weights: str | None = None,
        factorization: Factorization | None = None,
        layer: str | None = None,
        crop_size: int | None = None,
        images: int = 500,
        measured: int = 50,
        n_samples: int = 128,
        crops: int = 10,
        stability: bool = True,
        seed: int = 0,
        head: type[Head] | None = None,
    ) -> None:
        super().__init__(backbone, weights, head)
        check_count(images=images, measured=measured, crops=crops)
        self.layer = layer or backbone.cam_layer()
        backbone.grid(self.layer)  # which refuses what is none
        if crop_size is not None:
            crop_boxes(backbone.preprocessing.size, crop_size)
        CRAFT(factorization, self.layer, crop_size, crop_size is None, seed=seed)  # which refuses what it does not take
        self.factorization, self.crop_size = factorization, crop_size
        self.images, self.measured, self.n_samples, self.crops = images, measured, n_samples, crops
        self.stability, self.seed = stability, seed
        self._parts: list[dict[str, Tensor]] = []
        self.check_classes()

    def decide(self, batch: Batch) -> None:
        """Look at the activations of some images, and decide the factorization where none was given.

        Raises:
            InputError: The factorization does not take such activations.
        """
        with frozen(self.network), torch.no_grad():
            path = self.network.split([self.layer])
            device = next(self.network.parameters()).device
            least = float(path.grids[0].to_spatial(path.lower(batch.images.to(device)).activation).min())
        if self.factorization is None:
            self.factorization = (NMF if least >= 0 else SemiNMF)(CONCEPTS, seed=self.seed)
        elif isinstance(self.factorization, NMF) and least < 0:
            raise InputError(
                f"the activations of layer {self.layer} have negative values (down to {least:.3g}), and NMF takes none:"
                " set model.factorization to SemiNMF, or model.layer to a layer behind a ReLU"
            )

    @cached_property
    def study(self) -> ClassStudy:
        """How each class is studied; there when the factorization is decided."""
        craft = CRAFT(self.factorization, self.layer, self.crop_size, self.crop_size is None, seed=self.seed)
        return ClassStudy(craft, self.layer, self.measured, self.n_samples, self.seed, self.stability)

    def on_predict_start(self) -> None:
        """Start over: an interrupted pass recomputes its current chunk."""
        self._parts = []

    def predict_step(self, batch: Batch) -> None:
        """Predict one block, and write the chunk after its last block."""
        if len(batch.images):
            with frozen(self.network), torch.no_grad():
                logits = select_output(self.network(batch.images)).float()
            best = logits.max(-1)
            chances = logits.softmax(-1).gather(1, best.indices[:, None])[:, 0]
            columns = {"predicted": best.indices, "probability": chances, "logit": best.values}
            told = {name: column.cpu() for name, column in columns.items()}
            self._parts.append({"sample": torch.tensor([self.numbers[name] for name in batch.ids]), **told})
        chunk = self.chunks.ended_by(batch.block)
        if chunk is not None:
            self.chunks.write(chunk, self._parts)
            self._parts = []
