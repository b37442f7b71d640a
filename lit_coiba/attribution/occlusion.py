"""What the score loses when a window of the image is hidden.

Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2013 (arXiv 1311.2901); Captum's
implementation.
"""

from __future__ import annotations

from typing import Literal

import torch
from captum.attr import Occlusion as CaptumOcclusion
from torch import Tensor

from lit_coiba.core.batched_evaluator import BatchedEvaluator, Chunk
from lit_coiba.core.errors import InputError, check_choice, check_count
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import AttributionMethod, Card
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved, Score
from lit_coiba.functional import Places
from lit_coiba.perturbation.hiding import HiddenTokens, Hiding, MaskBaseline, hiding

Overlap = Literal["mean", "sum"]

WINDOWS = 8  # along the shorter side, where no window is given: as many as Sobol and HSIC have cells


class Occlusion(AttributionMethod):
    """Score of the image minus its score with a square window hidden: above zero where the window speaks for the class.

    Windows that lie side by side (stride = window) have a map of one value each, ``(B, windows, windows)``: the fall of
    the score when that window is hidden. Where the window does not divide the image the last ones are cut off, cells
    are not equal, and the map is at pixel resolution, interpolated between the centers of the windows. Windows that
    overlap have a map at pixel resolution, where each pixel has the mean over the windows that cover it. A window at a
    time says nothing about evidence that is there twice: hiding one of two equal parts may cost nothing.

    Args:
        window: Side of the window in pixels; null = an eighth of the image's shorter side (ours), with ``tokens`` in
            whole patches.
        stride: Distance between windows in pixels, at most the window; null = the window (ours; Captum has no default).
        overlap: Value of a pixel under several windows: their ``mean`` (Captum), or their ``sum`` (Xplique).
        baseline: Baseline that replaces the window; zeros of model input (ours; Captum's too); ``tokens`` = of a ViT
            the patches are left out, where window and stride are of whole ones.
        output: Score of a class: ``logit``, ``prob``, ``logprob`` or ``rest`` (logit + logprob).
        chunk: Number of model inputs at once.
        seed: Seed of a random baseline.

    Raises:
        InputError: A window or stride below 1; a stride above the window, which would leave pixels out.
    """

    card = Card("Zeiler and Fergus, 2013 (arXiv 1311.2901)", "1 + windows forwards (65)")

    def __init__(
        self,
        window: int | None = None,
        stride: int | None = None,
        overlap: Overlap = "mean",
        baseline: MaskBaseline = "zero",
        output: Score = "logit",
        chunk: Chunk = "auto",
        seed: int = 0,
    ) -> None:
        check_count(**{name: v for name, v in (("window", window), ("stride", stride)) if v is not None})
        if window is not None and stride is not None and stride > window:
            raise InputError(f"stride is {stride}: give at most the window, {window}, or pixels are never hidden")
        self.window = window
        self.stride = stride
        self.overlap = check_choice(overlap, Overlap, "overlap")
        self.baseline = check_choice(baseline, MaskBaseline, "baseline")
        self.output = check_choice(output, Score, "output")
        self.chunk = chunk
        self.seed = seed
        self._evaluator = BatchedEvaluator(chunk)

    @torch.no_grad()
    def _explain(self, model: Network, images: Tensor, targets: Resolved) -> Explanation:
        """As `AttributionMethod` says.

        Raises:
            InputError: The window is larger than the image, or the stride larger than the window; they split patches.
        """
        images = images.contiguous()
        hidden = hiding(model, images, self.baseline, self.seed)
        window, stride = self._sizes(images, hidden)

        def score(masks: Tensor, rows: Tensor) -> Tensor:  # in pieces: Captum would fail where memory runs out
            def evaluate(_: slice, some: slice) -> Tensor:
                out = hidden.outputs(rows[some], masks[some].transpose(0, 1))
                return targets.take(rows[some]).score(out)[None]

            return self._evaluator.gather(images[:1].expand(len(masks), -1, -1, -1), 1, evaluate)[0]

        occlusion = CaptumOcclusion(score)
        occlusion.use_weights = False  # the sum over windows: Captum's mean is rounded to single precision
        values = occlusion.attribute(
            torch.ones_like(images[:, :1]),  # what is shown, of which windows are hidden
            (1, window, window),
            (1, stride, stride),
            additional_forward_args=torch.arange(len(images), device=images.device),  # copied along with the masks
            perturbations_per_eval=max(1, self._evaluator.at_once(images) // len(images)),
        )
        maps = values[:, 0]
        if stride == window:
            maps = maps[:, ::window, ::window].contiguous()
            size = (images.shape[-2], images.shape[-1])
            vertical, horizontal = (_edges(pixels, window) for pixels in size)
            return Explanation(maps, {}, Places.unless_equal(vertical, horizontal, size))
        if self.overlap == "mean":
            rows, columns = (_windows_over(pixels, window, stride).to(maps) for pixels in maps.shape[-2:])
            maps = maps / (rows.unsqueeze(-1) * columns)
        return Explanation(maps, {})

    def _sizes(self, images: Tensor, hidden: Hiding) -> tuple[int, int]:
        """Window and stride for images of this size."""
        shorter = min(images.shape[-2:])
        unit = hidden.side if isinstance(hidden, HiddenTokens) else 1
        window = self.window or max(1, round(shorter / WINDOWS / unit)) * unit
        stride = self.stride or window
        if window > shorter:
            raise InputError(f"window is {window}, larger than the image: give at most {shorter} pixels")
        if stride > window:
            raise InputError(f"stride is {stride}: give at most the window, {window}, or pixels are never hidden")
        if window % unit or stride % unit:
            raise InputError(
                f"window is {window} and stride {stride}, which splits patches of {unit} pixels, and baseline tokens"
                f" hides whole ones: give multiples of {unit}"
            )
        return window, stride


def _edges(pixels: int, window: int) -> list[int]:
    """Where the windows of one axis begin and end, the last one cut off."""
    return [*range(0, pixels, window), pixels]


def _windows_over(pixels: int, window: int, stride: int) -> Tensor:
    """How many windows lie over each pixel of one axis, ``(pixels,)``."""
    starts = stride * torch.arange(-(-(pixels - window) // stride) + 1).unsqueeze(-1)
    places = torch.arange(pixels)
    return ((starts <= places) & (places < starts + window)).sum(0)
