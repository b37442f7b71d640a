"""What LIME and KernelSHAP have in common: the score while segments of the image are hidden, and a value for each."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from lit_coiba.core.batched_evaluator import BatchedEvaluator, Chunk
from lit_coiba.core.errors import check_choice, check_count
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import AttributionMethod
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved, Score, Targets
from lit_coiba.functional import working_dtype
from lit_coiba.perturbation.hiding import Hiding, MaskBaseline, hiding, mask_scores
from lit_coiba.perturbation.segments import Segments, segment_masks, segments_of

Scores = Callable[[Tensor], Tensor]  # what is shown (n, d) -> scores (n, b), fp64 on the CPU


class SegmentMethod(AttributionMethod):
    """A value for each segment of an image; a concrete method says which, by `fit`.

    Args:
        grid_size: Cells along a side of the grid; about ``grid_size ** 2`` superpixels for ``slic``.
        n_samples: Perturbed copies.
        segments: ``grid`` = square cells; ``slic`` = superpixels of similar color.
        baseline: Baseline that replaces hidden segments; ``tokens`` = their patches are left out.
        output: Score of a class.
        chunk: Number of model inputs at once.
        seed: Seed of the random draws.

    Raises:
        InputError: A number outside its range.
    """

    def __init__(
        self,
        grid_size: int,
        n_samples: int,
        segments: Segments,
        baseline: MaskBaseline,
        output: Score,
        chunk: Chunk,
        seed: int,
    ) -> None:
        check_count(grid_size=grid_size)
        check_count(2, n_samples=n_samples)
        self.grid_size = grid_size
        self.n_samples = n_samples
        self.segments: Segments = check_choice(segments, Segments, "segments")
        self.baseline: MaskBaseline = check_choice(baseline, MaskBaseline, "baseline")
        self.output: Score = check_choice(output, Score, "output")
        self.chunk = chunk
        self.seed = seed
        self._evaluator = BatchedEvaluator(chunk)

    @abstractmethod
    def fit(self, parts: int, scores: Scores) -> tuple[Tensor, dict[str, Tensor]]:
        """Values ``(b, parts)`` and extras ``(b,)``, for b images with that many segments.

        Args:
            parts: d, the number of segments.
            scores: Gives the scores under n rows that say what is shown, 1, and what is hidden, 0.
        """

    def explain_regions(self, model: Network, images: Tensor, regions: Tensor, targets: Targets = None) -> Explanation:
        """`explain` with segments of your own; maps are at pixels.

        Args:
            model: The model, any classifier.
            images: Normalized model input, ``(B, 3, H, W)``.
            regions: Number of each pixel's segment, ``(H, W)`` for all images, or ``(B, H, W)``.
            targets: See `explain`.

        Raises:
            InputError: `regions` are not integers of the images' size, or what `explain` raises.
        """
        with self._inputs(model, images, targets) as (pixels, rows):
            return self._segmented(model, pixels, rows, regions)

    def _explain(self, model: Network, images: Tensor, targets: Resolved) -> Explanation:
        """As `AttributionMethod` says.

        Raises:
            InputError: More cells than pixels; scikit-image is missing for ``slic``.
        """
        return self._segmented(model, images, targets)

    @torch.no_grad()
    def _segmented(
        self, model: Network, images: Tensor, targets: Resolved, regions: Tensor | None = None
    ) -> Explanation:
        images = images.contiguous()
        places = segments_of(images, model, self.segments, self.grid_size, regions)
        values, extras = self._values(model, images, targets, places, self._told(regions))
        values = values.to(images.device, working_dtype(images))
        extras = {name: numbers.to(values) for name, numbers in extras.items()}
        if regions is None and self.segments == "grid":
            return Explanation(values.unflatten(-1, (self.grid_size, self.grid_size)), extras)
        at_pixels = values.gather(-1, places.flatten(1).expand(len(values), -1))
        return Explanation(at_pixels.unflatten(-1, tuple(images.shape[-2:])), extras)

    def _told(self, regions: Tensor | None) -> tuple[str, str]:
        """What the segments are, and what to give instead where they split patches; for messages."""
        if regions is not None:
            return "regions has a segment", "segments of whole patches"
        if self.segments == "slic":
            return "segments is slic", "segments grid"
        return f"grid_size is {self.grid_size}", ""

    def _values(
        self, model: Network, images: Tensor, targets: Resolved, places: Tensor, told: tuple[str, str]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """A value for every segment of every image, ``(B, d)`` padded with zeros, and extras ``(B,)``; on the CPU.

        Images that have as many segments share their draws and run together.

        Args:
            model: The model, frozen.
            images: ``(B, 3, H, W)``.
            targets: A row for each image.
            places: Segment of every pixel, from `segments_of`.
            told: What they are, and a remedy; see `HiddenTokens.check_cells`.
        """
        counts = (places.flatten(1).amax(1) + 1).cpu().expand(len(images))
        values = torch.zeros(len(images), int(counts.max()), dtype=torch.float64)
        extras: dict[str, Tensor] = {}
        for parts in counts.unique().tolist():
            rows = (counts == parts).nonzero().squeeze(-1)
            some = rows.to(images.device)
            shared = places if len(places) == 1 else places[some]
            hidden = hiding(model, images[some], self.baseline, self.seed)
            hidden.check_cells(shared, *told)
            scores = partial(self._scores, hidden, images[some], targets.take(some), shared)
            found, more = self.fit(parts, scores)
            values[rows, :parts] = found
            for name, numbers in more.items():
                extras.setdefault(name, torch.zeros(len(images), dtype=torch.float64))[rows] = numbers
        return values, extras

    def _scores(self, hidden: Hiding, images: Tensor, targets: Resolved, places: Tensor, shown: Tensor) -> Tensor:
        """Scores ``(n, b)`` of images that show the segments of rows `shown` ``(n, d)``, fp64 on the CPU."""
        shown = shown.to(images)

        def masks(copy: slice, row: slice) -> Tensor:
            return segment_masks(shown[copy], places if len(places) == 1 else places[row])

        return mask_scores(hidden, images, targets, len(shown), masks, self._evaluator).cpu().double()
