"""The one place where metrics run images with parts removed: masks -> batched forward -> scores of the target."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from lit_coiba.backbones.tokens import TokenDropping
from lit_coiba.core.batched_evaluator import report_progress
from lit_coiba.core.behavior import behavior_of
from lit_coiba.core.errors import InputError
from lit_coiba.core.frozen import frozen
from lit_coiba.core.targets import Resolved, Targets
from lit_coiba.functional import spread_cells
from lit_coiba.metrics.batch import Model, TakenBaseline
from lit_coiba.metrics.faithfulness.faithfulness import resolve_on
from lit_coiba.metrics.shared import Shared
from lit_coiba.perturbation.baselines import Baseline, BaselineImages
from lit_coiba.perturbation.many_forwards import many_forwards

Output = Literal["prob", "logit", "logprob"]
Removed = Baseline | Literal["tokens", "auto"]  # what a removed part is replaced by, beside numbers
Masks = Callable[[Tensor, Tensor], Tensor]  # rows (n,), copies (n,) -> what is removed of each (n, *canvas), bool
Images = Callable[[Tensor, Tensor], Tensor]  # rows (n,), copies (n,) -> images (n, C, H, W)
Read = Callable[[Resolved, Any], Tensor]  # n rows, the model's output for n images -> n scores, or rows of them

OUTPUT: Output = "prob"  # of a class, where neither the target nor the user says another one
CHUNK = 64  # images a forward, on a GPU
CPU_PIXELS = 4 * 224 * 224  # of a forward on a CPU, whose caches more would leave


def score_of(resolved: Resolved, out: Any) -> Tensor:
    """Score of each row, ``(R,)``: what is read from an output where nothing else is asked for."""
    return resolved.score(out)


class Removal:
    """A batch of images whose parts can be removed, and the score of what is explained in what is left.

    Masks live on the `canvas`: the pixels of the image, or, with ``tokens``, the patches of a vision transformer, whose
    removed tokens are absent from the sequence instead of being painted over (Jain et al., 2022, arXiv 2204.08945).

    Args:
        model: Images to logits, or to a structure with them.
        images: Normalized model input ``(B, C, H, W)``.
        targets: What is scored, a row for each image; see `Faithfulness.score`.
        baseline: What takes the place of removed pixels; ``tokens`` = nothing, the patches' tokens are dropped.
        output: Score of a class; a target that has a score of its own keeps it.
        chunk: Images a forward; bounds memory, and changes no score. None = a number for the device.
        shared: What other metrics have computed for the same model, images and targets.
        asked: Whether the user set `output`; None = where it is not the usual one.

    Raises:
        InputError: Images or targets that do not fit the model, or a baseline that it cannot have.
    """

    def __init__(
        self,
        model: Model,
        images: Tensor,
        targets: Targets,
        baseline: BaselineImages | Literal["tokens"],
        output: Output = OUTPUT,
        chunk: int | None = None,
        shared: Shared | None = None,
        asked: bool | None = None,
    ) -> None:
        if (behavior := behavior_of(model)) is not None:
            behavior.refuse_batches()
        self.model = model
        self.images = images.detach()
        self.size = (images.shape[-2], images.shape[-1])
        self._shared = Shared() if shared is None else shared
        self._chunk = chunk
        self._baseline = baseline
        self._output = output
        self._tokens = TokenDropping.of(model) if baseline == "tokens" else None
        if self._tokens is None:
            self.baseline_images()  # refuses images that are too small for it, before anything runs
        out = clean_output(model, images, self._shared)
        self.resolved: Resolved = resolve_on(out, targets, images).scored_by(
            output, asked=output != OUTPUT if asked is None else asked
        )
        self.clean: Tensor = self.resolved.score(out)  # (B,) score of the images as they are

    @property
    def canvas(self) -> tuple[int, int]:
        """Rows and columns of masks: the pixels of the image, or the patches where tokens are dropped."""
        return self.size if self._tokens is None else self._tokens.grid

    def grid(self, cells: int) -> tuple[int, int]:
        """A grid of `cells` by `cells`, or where tokens are dropped the finest one up to that which splits no patch."""
        rows, columns = (max(n for n in range(1, min(cells, side) + 1) if side % n == 0) for side in self.canvas)
        return (cells, cells) if self._tokens is None else (rows, columns)

    def cells(self, grid: tuple[int, int] | None) -> Tensor:
        """Number of the cell, row by row, at each place of the canvas, int64 ``canvas``; None = each place is a cell.

        Raises:
            InputError: A cell would be smaller than a place, or would split a patch.
        """
        rows, columns = self.canvas
        height, width = self.canvas if grid is None else grid
        if self._tokens is not None and grid is None:
            raise InputError(
                f"baseline tokens removes whole patches, not pixels: set grid_size to {rows} x {columns} patches, or to"
                " a divisor of both"
            )
        if self._tokens is not None and (rows % height or columns % width):
            raise InputError(
                f"grid_size is {height} x {width}, which splits patches: the model has {rows} x {columns} of them; give"
                " a divisor of both, or another baseline than tokens"
            )
        if height > rows or width > columns:
            raise InputError(f"grid_size is {height} x {width}, but images have {rows} x {columns} pixels: give fewer")
        numbers = torch.arange(height * width, device=self.images.device).view(1, height, width)
        return spread_cells(numbers, self.canvas)[0]

    def scores(self, count: int, removed: Masks, read: Read = score_of) -> Tensor:
        """Scores ``(B, count)`` of `count` copies of each image.

        Args:
            count: Number of copies of each image.
            removed: What is removed of some copies: called with the number of the image and that of the copy, ``(n,)``
                each, it returns masks ``(n, *canvas)``, bool, True = removed; of pixels also ``(n, C, H, W)``.
            read: What is read from the model's output for some rows.
        """
        return self._evaluated(count, lambda rows, copies: self._run(rows, removed(rows, copies)), read)

    def image_scores(self, count: int, made: Images, read: Read = score_of) -> Tensor:
        """Scores ``(B, count)`` of images that are made of each image otherwise than by a baseline.

        Args:
            count: Number of images that are made of each.
            made: Function that makes some of them: called as for `scores`, it returns ``(n, C, H, W)``.
            read: What is read from the model's output for some rows.
        """
        return self._evaluated(count, lambda rows, copies: self.model(made(rows, copies)), read)

    def _evaluated(self, count: int, run: Callable[[Tensor, Tensor], Any], read: Read) -> Tensor:
        """What is read from the model's outputs for `count` copies of each image, ``(B, count)``."""
        found = []
        total = len(self.images) * count
        with frozen(self.model), torch.no_grad(), many_forwards(self.model):
            for pairs in torch.arange(total, device=self.images.device).split(self._at_once()):
                if self._tokens is None:
                    rows, copies = pairs // count, pairs % count
                else:  # copies of one number lose as many tokens for all images, and are gathered together
                    rows, copies = pairs % len(self.images), pairs // len(self.images)
                found.append(read(self.resolved.take(rows), run(rows, copies)))
                report_progress(sum(map(len, found)), total)
        if not total:
            return self.clean.new_empty(len(self.images), count)
        scores = torch.cat(found)
        if self._tokens is None:
            return scores.unflatten(0, (len(self.images), count))
        return scores.unflatten(0, (count, len(self.images))).transpose(0, 1).contiguous()

    def cell_scores(self, count: int, cells: Tensor, removed: Masks, read: Read = score_of) -> Tensor:
        """`scores` where what is removed is told by cell: `removed` returns ``(n, number of cells)``, bool.

        Args:
            count: Number of copies of each image.
            cells: Number of the cell at each place of the canvas, ``canvas`` or ``(B, *canvas)``, int64.
            removed: As for `scores`, by cell.
            read: What is read from the model's output for some rows.
        """

        def masks(rows: Tensor, copies: Tensor) -> Tensor:
            told = removed(rows, copies)
            places = (cells.expand(len(rows), *cells.shape) if cells.dim() == 2 else cells[rows]).flatten(1)
            return told.gather(1, places).unflatten(1, self.canvas)

        return self.scores(count, masks, read)

    @property
    def ends_empty(self) -> bool:
        """Whether an image without any part has a score: not where tokens are dropped and the model pools patches."""
        return self._tokens is None or not self._tokens.pools_patches

    def empty(self) -> Tensor:
        """Score of each image without any part ``(B,)``; NaN where tokens are dropped and the model pools patches."""

        def all_removed(rows: Tensor, _: Tensor) -> Tensor:
            return torch.ones(len(rows), *self.canvas, dtype=torch.bool, device=rows.device)

        return self.shared(("empty",), lambda: self.scores(1, all_removed)[:, 0])

    def clean_values(self, read: Read) -> Tensor:
        """What is read from the model's output for the images as they are, ``(B,)``."""
        return read(self.resolved, clean_output(self.model, self.images, self._shared))

    def shared(self, key: tuple[Any, ...], compute: Callable[[], Tensor]) -> Tensor:
        """What does not depend on a map, computed once for all maps and metrics with this baseline and this output.

        Args:
            key: What decides it, beside model, images, targets, baseline and output.
            compute: Function that computes it.
        """
        return self._shared.get((*key, id(self.model), repr(self._baseline), self._output), compute)

    def _run(self, rows: Tensor, removed: Tensor) -> Any:
        """The model's output for some images without what is removed of them."""
        if self._tokens is None:
            replaced = self.baseline_images()
            gone = removed.unsqueeze(1) if removed.dim() == 3 else removed
            one = rows.device.type == "cpu" and len(rows) > 0 and bool(rows[0] == rows[-1])  # copying costs
            of = slice(int(rows[0]), int(rows[0]) + 1) if one else rows
            return self.model(torch.where(gone, replaced[of], self.images[of]))
        dropping = self._tokens
        embedded = self._shared.get(("embedding", id(self.model)), lambda: dropping.embed(self.images))
        return dropping.run(embedded[rows], ~removed.flatten(1))

    def baseline_images(self) -> Tensor:
        """What takes the place of removed pixels ``(B, C, H, W)``.

        Raises:
            InputError: Tokens are dropped, and nothing takes their place.
        """
        baseline = self._baseline
        if baseline == "tokens":
            raise InputError(
                "baseline is tokens, which leaves nothing in the place of a patch: choose another baseline"
            )
        return self._shared.get(
            ("baseline", repr(baseline), id(self.model)), lambda: baseline.of(self.images, self.model)
        )

    def _at_once(self) -> int:
        """Images a forward."""
        if self._chunk is not None or self.images.device.type != "cpu":
            return self._chunk or CHUNK
        room = CPU_PIXELS * (2 if torch.is_autocast_enabled("cpu") else 1)  # of two bytes each
        return max(1, room // (self.size[0] * self.size[1]))


def clean_key(model: Model) -> tuple[str, int]:
    """Key in `Shared` of a model's output for the images as they are."""
    return "output", id(model)


def clean_output(model: Model, images: Tensor, shared: Shared) -> Any:
    """The model's output for images ``(B, C, H, W)`` as they are, computed once and kept in `shared`."""

    def run() -> Any:
        with frozen(model), torch.no_grad():
            return model(images.detach().clone())  # which a model may write into

    return shared.get(clean_key(model), run)


def chosen_by(model: Model, images: Tensor, targets: Targets, shared: Shared) -> Resolved:
    """What is explained of each image, chosen on a model's clean output unless that has been done.

    Args:
        model: The model.
        images: ``(B, C, H, W)``.
        targets: See `Faithfulness.score`.
        shared: Where the output is kept.
    """
    if isinstance(targets, Resolved):
        return targets
    return resolve_on(clean_output(model, images, shared), targets, images)


def told_baseline(asked: Removed | float, settled: BaselineImages | Literal["tokens"]) -> TakenBaseline:
    """A baseline in words: what the user asked for, and what `settled_baseline` made of it."""
    return TakenBaseline(str(asked), settled if isinstance(settled, str) else str(settled.kind))


def settled_baseline(
    model: Model, baseline: Removed | float, default: BaselineImages
) -> BaselineImages | Literal["tokens"]:
    """What removed parts are replaced by: `default`, or nothing where tokens are asked for, or where ``auto`` can.

    Args:
        model: The model.
        baseline: What the user asked for.
        default: Baseline images for everything but tokens.

    Raises:
        InputError: Tokens are asked for and the model cannot drop them.
    """
    if baseline == "tokens":
        return "tokens"
    if baseline == "auto":
        try:
            TokenDropping.of(model)
        except InputError:
            return default
        return "tokens"
    return default
