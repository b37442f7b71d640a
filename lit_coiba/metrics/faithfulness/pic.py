"""Performance information curves: how soon the class is back as the pixels that a map ranks first are shown."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, features
from torch import Tensor

from lit_coiba.core.errors import InputError, check_choice, check_count
from lit_coiba.core.targets import Resolved, Targets, select_output
from lit_coiba.functional import (
    area_under_points,
    cell_values,
    fp64_where_possible,
    heights_at,
    information_curve,
    keyed_noise,
    median_of_counts,
    precise,
    ranks,
)
from lit_coiba.metrics.batch import Model
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.faithfulness.probability import check_probability
from lit_coiba.metrics.faithfulness.removal import Removal, clean_key
from lit_coiba.metrics.maps import digest, maps_of, not_finite
from lit_coiba.metrics.metric import Metric
from lit_coiba.metrics.shared import Shared
from lit_coiba.perturbation.baselines import BaselineImages
from lit_coiba.perturbation.linear_interpolation import interpolate_linearly

Kind = Literal["sic", "aic"]
Summary = Literal["median", "mean"]

THRESHOLDS = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 13.0, 21.0, 34.0, 50.0, 75.0)  # percent, the authors' code
POINTS, BINS = 101, 1001  # of the median curve, and steps in which its values are counted
EXACT = 0.05  # of a step of 8 bits: pixels that lie farther from a whole number are no 8-bit data


class PIC(Metric):
    """Area under the performance information curve: softmax (SIC) or accuracy (AIC) over the information that is shown.

    Kapishnikov et al., XRAI, 2019 (arXiv 1906.02825), section 5. From 1 percent of the pixels, drawn at random, and the
    corners, the image is interpolated; then the first pixels of a map are shown beside them. Information is the size of
    the image as lossless WebP, performance the probability of the class, or whether it is the one that is predicted,
    each between that of the start and that of the image. Ours: exactly these shares of pixels are shown (the authors'
    code shows everything for sparse maps), and curves never fall; see `functional.information_curve`.

    The score of a sample is the area under its curve. Over a dataset the authors take the median of the curves, and its
    area is what `compute` returns; ``summary="mean"`` is the mean of the areas. Triangulation and WebP run on the CPU,
    seconds for each image.

    Args:
        kind: ``sic`` = softmax probability of the class, ``aic`` = 1 where it is predicted, else 0.
        thresholds: Shares of the pixels that are shown, in percent.
        start: Share of the pixels, in percent, that the start is interpolated from.
        least: Least probability of the class on the image; below it there is no score.
        summary: What `compute` returns.
        mean: Mean per channel of the model's normalization; None = `model.preprocessing` says it.
        std: Standard deviation per channel; None likewise.
        seed: Seed of the pixels of the start, which depend on it and the sample's id only.
        chunk: Images a forward; bounds memory, and changes no score. None = a number for the device.
        keep_samples: Whether every score is kept.

    Raises:
        InputError: An argument that is not among its choices or out of range, or Pillow has no WebP.
    """

    card = MetricCard(
        "faithfulness",
        "Kapishnikov, Bolukbasi, Viegas and Terry, 2019 (arXiv 1906.02825)",
        higher_is_better=True,
        range="0 to 1",
        cost="2 + thresholds forwards (15), and as many WebP images on the CPU",
        undefined="the class is less probable than 0.8, the start is as good as the image, or data are not 8-bit RGB",
    )
    higher_is_better = card.higher_is_better
    needs: ClassVar[tuple[str, ...]] = ("model", "images", "targets", "maps", "ids", "shared")

    counts: Tensor  # (points, bins) int64: how many curves have such a height at such an information

    def __init__(
        self,
        kind: Kind = "sic",
        thresholds: tuple[float, ...] = THRESHOLDS,
        start: float = 1.0,
        least: float = 0.8,
        summary: Summary = "median",
        mean: tuple[float, ...] | None = None,
        std: tuple[float, ...] | None = None,
        seed: int = 0,
        chunk: int | None = None,
        keep_samples: bool = False,
    ) -> None:
        super().__init__(keep_samples)
        self.kind, self.summary = check_choice(kind, Kind, "kind"), check_choice(summary, Summary, "summary")
        if not thresholds or not all(0 < share <= 100 for share in thresholds):
            raise InputError(f"thresholds is {list(thresholds)}: give some above 0 and up to 100")
        if not 0 <= start < 100 or not 0 <= least <= 1:
            raise InputError(f"start is {start} and least {least}: give a percentage below 100 and a probability")
        if chunk is not None:
            check_count(chunk=chunk)
        if not features.check("webp"):
            raise InputError("PIC measures information in WebP, which this Pillow was built without: install another")
        self.thresholds, self.start, self.least = tuple(thresholds), start, least
        self.mean, self.std = mean, std
        self.seed, self.chunk = seed, chunk
        self._pixels = BaselineImages("zero", mean=mean, std=std)
        self.add_state("counts", torch.zeros(POINTS, BINS, dtype=torch.int64), dist_reduce_fx="sum")

    def score(
        self,
        model: Model,
        images: Tensor,
        targets: Targets,
        maps: Tensor,
        ids: Sequence[str] | None = None,
        shared: Shared | None = None,
    ) -> Tensor:
        """Area under each sample's curve ``(B,)``; see `RemovalMetric.score`.

        Raises:
            InputError: The target has no probability, or the normalization of the model's input is not known.
        """
        return area_under_points(*self.points(model, images, targets, maps, ids, shared))

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Add a batch; the arguments are those of `score`."""
        information, performance = (points.to(self.counts.device) for points in self.points(*args, **kwargs))
        self._add(area_under_points(information, performance))
        known = ~performance.isnan().any(1)
        heights = heights_at(information[known], performance[known], torch.linspace(0, 1, POINTS))
        bins = (heights * (BINS - 1)).round().long()
        self.counts = self.counts.scatter_add(1, bins.T, torch.ones_like(bins.T))

    def compute(self) -> Tensor:
        """Area under the median of the curves, or the mean of the areas, fp64 ``()``; NaN where there are none."""
        if self.summary == "mean":
            return super().compute()
        median = median_of_counts(self.counts)
        return (median[1:] + median[:-1]).mean() / 2

    def median_curve(self) -> Tensor:
        """Median of the defined curves at equally spaced information from 0 to 1, over all processes; fp64."""
        with self.sync_context(dist_sync_fn=self.dist_sync_fn):
            return median_of_counts(self.counts)

    def points(
        self,
        model: Model,
        images: Tensor,
        targets: Targets,
        maps: Tensor,
        ids: Sequence[str] | None = None,
        shared: Shared | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Information and performance of each sample's curve ``(B, thresholds + 2)``; NaN where it is not defined.

        Arguments and errors are those of `score`.
        """
        check_probability("PIC", targets)
        maps, shared = maps_of(maps, images), Shared() if shared is None else shared
        removal = Removal(model, images, targets, self._pixels, "prob", self.chunk, shared)
        names = ("",) * len(images) if ids is None else tuple(ids)
        key = ("pic", digest(maps), names, self.thresholds, self.start, self.seed, str(self.mean), str(self.std))
        sizes, values = shared.get((*key, clean_key(model)), lambda: self._measured(removal, maps, names))
        found = values[..., 0 if self.kind == "sic" else 1]
        u, q = _normalized(sizes), _normalized(found)
        unknown = (values[:, -1, 0] < self.least) | not_finite(maps) | ~(u.isfinite() & q.isfinite()).all(1)
        curve = information_curve(u, q)
        return curve[0], curve[1].masked_fill(unknown.unsqueeze(1), torch.nan)

    def forwards(self, size: tuple[int, int]) -> int:
        """See `Metric.forwards`."""
        return 2 + len(self.thresholds)

    def identity(self) -> dict[str, Any]:
        """See `Metric.identity`; with the version of WebP, which decides sizes."""
        return {**super().identity(), "webp": features.version("webp")}

    def _measured(self, removal: Removal, maps: Tensor, names: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Bytes ``(B, K)``, and probability and rightness ``(B, K, 2)``: of the start, of each threshold, of the image.

        NaN where the data are not 8-bit RGB.
        """
        images, steps = removal.images, 1 + len(self.thresholds)
        unknown = images.new_full((len(images), steps + 1, 2), torch.nan)
        if images.shape[1] != 3:
            return fp64_where_possible(unknown[..., 0]), unknown
        mean, std = (images.new_tensor(v).view(-1, 1, 1) for v in self._pixels.normalization(images, removal.model))
        pixels = 255 * (images * std + mean)
        whole = pixels.round().clamp(0, 255)
        exact = ((pixels - whole).abs() <= EXACT).flatten(1).all(1)
        known = self._known(maps, removal.size, names)
        shown, sizes = [], []
        for picture, masks in zip(whole.permute(0, 2, 3, 1).cpu().numpy().astype(np.uint8), known.cpu().numpy()):
            row = [interpolate_linearly(picture, mask) for mask in masks]
            sizes.append([_bytes(one) for one in (*row, picture)])
            shown.append(np.stack(row))
        ready = torch.from_numpy(np.stack(shown)).permute(0, 1, 4, 2, 3)  # (B, K - 1, 3, H, W), uint8

        def made(rows: Tensor, copies: Tensor) -> Tensor:
            chosen = ready[rows.cpu(), copies.cpu()].to(images.device)
            return (chosen.to(images.dtype) / 255 - mean) / std

        values = removal.image_scores(steps, made, _performance)
        values = torch.cat([values, removal.clean_values(_performance).unsqueeze(1)], 1)
        bytes_ = fp64_where_possible(torch.tensor(sizes)).to(images.device)
        return bytes_, values.masked_fill(~exact[:, None, None], torch.nan)

    def _known(self, maps: Tensor, size: tuple[int, int], names: Sequence[str]) -> Tensor:
        """Which pixels are known, of the start and at each threshold ``(B, K - 1, H, W)``."""
        total = size[0] * size[1]
        places = ranks(cell_values(maps, size)).cpu()
        known = ranks(keyed_noise(self.seed, names, "start", size)) < round(self.start / 100 * total)
        known[:, :: max(1, size[0] - 1), :: max(1, size[1] - 1)] = True  # the corners
        steps = [known | (places < round(share / 100 * total)) for share in self.thresholds]
        return torch.stack([known, *steps], 1)


def _bytes(picture: NDArray[np.uint8]) -> int:
    """Size of a picture as lossless WebP."""
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "WEBP", lossless=True)
    return buffer.tell()


def _normalized(values: Tensor) -> Tensor:
    """Values of the thresholds between those of start and image ``(B, K - 2)``; NaN where that is not larger."""
    first, last = values[:, :1], values[:, -1:]
    found = ((values[:, 1:-1] - first) / (last - first)).clamp(0, 1)
    return found.masked_fill(~(last > first), torch.nan)


def _performance(resolved: Resolved, out: Any) -> Tensor:
    """Probability of each row's class, and 1 where it is predicted, else 0 ``(R, 2)``."""
    logits = precise(select_output(out, getattr(resolved, "output", None)))
    right = (logits.argmax(-1) == resolved.index).to(logits.dtype)
    return torch.stack([logits.softmax(-1).gather(-1, resolved.index.unsqueeze(-1))[:, 0], right], -1)
