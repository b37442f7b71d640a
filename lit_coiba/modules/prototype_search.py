"""Find the patches that each unit of a head answers to most: one pass, run by ``Trainer.prototypes`` block by block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import save

from lit_coiba.backbones import Backbone
from lit_coiba.core.batch import Batch
from lit_coiba.core.errors import InputError, check_choice, check_count
from lit_coiba.core.frozen import frozen
from lit_coiba.files.atomic import atomically
from lit_coiba.functional import Strongest, merge_strongest, strongest
from lit_coiba.functional.strongest import Score
from lit_coiba.heads import Head
from lit_coiba.modules.block_module import BlockModule
from lit_coiba.store.chunks import Chunks

LONGEST = 64  # blocks of a chunk: what a killed run may have to do again
PATCHES = 10  # of each side of a unit; part purity (PIP-Net) is over ten


class ChunkedPrototypes(Chunks):
    """The strongest samples of every unit, chunk by chunk on disk.

    Args:
        folder: Folder of the files; made when the first one is written.
        blocks: Block numbers, at least one.
    """

    def __init__(self, folder: Path, blocks: Sequence[int]) -> None:
        super().__init__(folder, blocks, longest=LONGEST)

    def write(self, chunk: int, found: Strongest | None, grid: tuple[int, int]) -> None:
        """Put what was found in a chunk in place, complete or not at all; nothing where no image could be read."""
        self.folder.mkdir(parents=True, exist_ok=True)
        tensors = {} if found is None else {**found._asdict(), "grid": torch.tensor(grid)}
        with atomically(self.file(chunk)) as out:
            out.write(save({name: values.cpu().contiguous() for name, values in tensors.items()}))

    def merged(self) -> tuple[Strongest, tuple[int, int]]:
        """The strongest of all chunks, and height and width of the grid that cells are counted on.

        Raises:
            InputError: No image could be read.
        """
        found, grid = None, (0, 0)
        for number in range(len(self.chunks)):
            if part := self.content(number):
                height, width = part.pop("grid").tolist()
                one, grid = Strongest(**part), (height, width)
                found = one if found is None else merge_strongest(found, one)
        if found is None:
            self.remove()
            raise InputError("there are no prototypes, since none of the images can be read: check the image files")
        return found, grid


class PrototypeSearch(BlockModule):
    """A classifier with an interpretable head, and the settings of the search for its prototypes.

    Args:
        backbone: The classifier.
        weights: File with the weights of a trained classifier, a Lightning checkpoint or safetensors; they replace the
            backbone's, and the head that they were trained with is attached.
        patches: Number of images to keep per unit, and per sign if a unit has both (InfoDisent).
        score: Score that ranks the images: ``max``, the strongest position of a unit's map, or ``sum``, over all
            positions. None = the head's own: ``sum`` for EPIC, else ``max``.
        head: Class of the head in `weights`, if it is one of your own: a file never imports a class.

    Raises:
        InputError: The classifier has no interpretable head, or fewer than one patch is asked for.
    """

    chunks: ChunkedPrototypes  # where what is found goes; set by the Trainer, as are the numbers
    numbers: Mapping[str, int]  # of each sample, by id

    def __init__(
        self,
        backbone: Backbone,
        weights: str | None = None,
        patches: int = PATCHES,
        score: Score | None = None,
        head: type[Head] | None = None,
    ) -> None:
        super().__init__(backbone, weights, head)
        own = backbone.head
        if not isinstance(own, Head):
            raise InputError(
                "prototypes belong to the units of an interpretable head, and this model has none: train one with "
                "model.head in fit, and give its file as model.weights"
            )
        check_count(patches=patches)
        if score is not None:
            check_choice(score, Score, "score")
        self.head = (own,)  # in a tuple, as it is a part of the network already
        self.patches = patches
        self.score: Score = score or own.score
        self._found: Strongest | None = None
        self._grid = (0, 0)

    @property
    def sides(self) -> Sequence[int]:
        """The sides of a unit: positive, and negative where that is evidence too."""
        return (1, -1) if self.head[0].two_sided else (1,)

    def on_predict_start(self) -> None:
        """Start over: an interrupted pass recomputes its current chunk."""
        self._found, self._grid = None, (0, 0)

    def predict_step(self, batch: Batch) -> None:
        """Merge one block into its chunk, and write the chunk after its last block."""
        if len(batch.images):
            with frozen(self.network), torch.no_grad():
                maps = self.head[0].activations(self.network.features(self.network.ordered(batch.images)))
            samples = torch.tensor([self.numbers[name] for name in batch.ids])
            found = strongest(maps, samples, self.patches, self.score, len(self.sides))
            self._found = found if self._found is None else merge_strongest(self._found, found)
            self._grid = (maps.shape[-2], maps.shape[-1])
        chunk = self.chunks.ended_by(batch.block)
        if chunk is not None:
            self.chunks.write(chunk, self._found, self._grid)
            self._found = None
