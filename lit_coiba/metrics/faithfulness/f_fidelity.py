"""F-Fidelity: what a model that was trained with missing pixels loses without those that a map ranks first, or last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError, check_choice, check_count
from lit_coiba.core.targets import Resolved, Targets, select_output
from lit_coiba.functional import cell_values, keyed_noise, ranks, removal_probability, uniform
from lit_coiba.metrics.batch import Model, TakenBaseline
from lit_coiba.metrics.card import MetricCard
from lit_coiba.metrics.faithfulness.gate import check_gate
from lit_coiba.metrics.faithfulness.removal import (
    Output,
    Removal,
    Removed,
    chosen_by,
    score_of,
    settled_baseline,
    told_baseline,
)
from lit_coiba.metrics.maps import maps_of, not_finite
from lit_coiba.metrics.metric import Metric
from lit_coiba.metrics.shared import Shared
from lit_coiba.perturbation.baselines import BaselineImages

Score = Literal["prob", "logit", "logprob", "correct"]

SIZES = tuple(float(size) for size in range(5, 100, 5))


class FFidelity(Metric):
    """F-Fidelity: FFid+ - FFid-, the mean difference of what removing the first and the last pixels costs.

    Zheng et al., "F-Fidelity: A Robust Framework for Faithfulness Evaluation of Explainable AI", 2025 (arXiv
    2410.02970). Scores are those of a surrogate, the model trained further with random pixels missing by ``lit-coiba
    fit -c configs/experiment/f_fidelity.yaml``; maps are those of the original. Of the first (FFid+) or last (FFid-)
    pixels of a map each is removed with a probability such that no more of the image is missing than in training. Ours:
    exact sizes and all channels of a pixel, the probability of the target (authors: whether the label is predicted,
    ``correct``), the same draws for all sizes, and a gate: the file of the surrogate says how accurate it is without
    pixels, and more than two points less than on whole images is refused.

    Args:
        surrogate: File of the surrogate, as `ExportWeights` writes it; None = the model itself is one.
        alpha: Probability that a pixel of a small set is removed.
        beta: Share of the pixels that are missing at most, as in training.
        draws: Number of random removals of each set; see `standard_error`.
        sizes: Sizes of the set in percent of all pixels, above 0 and below 100.
        baseline: What takes the place of a pixel, as in training; ``tokens`` removes patches of a vision transformer.
        output: Score of a class; ``correct`` = 1 where it is the one that is predicted, else 0.
        clean_accuracy: Accuracy of the surrogate on whole images, where its file does not say it, 0 to 1.
        missing_accuracy: Accuracy without a share `beta` of the pixels, likewise.
        seed: Seed of the draws, which depend on it and the sample's id only.
        chunk: Images a forward; bounds memory, and changes no score. None = a number for the device.
        keep_samples: Whether every score is kept.

    Raises:
        InputError: An argument that is not among its choices or out of range.
    """

    card = MetricCard(
        "faithfulness",
        "Zheng, Shirani, Chen, Lin, Cheng, Guo and Luo, 2025 (arXiv 2410.02970)",
        higher_is_better=True,
        range="-1 to 1 for a probability; 0 for random maps",
        cost="1 + 2 x draws x sizes forwards (1,901)",
        undefined="the map or the surrogate's score is not finite",
    )
    higher_is_better = card.higher_is_better
    needs: ClassVar[tuple[str, ...]] = ("model", "images", "targets", "maps", "ids", "shared")

    curve_total: Tensor  # (2, sizes) fp64: sum of the defined curves, FFid+ and FFid-
    error_total: Tensor  # () fp64: sum of squared standard errors of the scores

    def __init__(
        self,
        surrogate: str | None = None,
        alpha: float = 0.5,
        beta: float = 0.1,
        draws: int = 50,
        sizes: tuple[float, ...] = SIZES,
        baseline: Removed | float = "zero",
        output: Score = "prob",
        clean_accuracy: float | None = None,
        missing_accuracy: float | None = None,
        seed: int = 0,
        chunk: int | None = None,
        keep_samples: bool = False,
    ) -> None:
        super().__init__(keep_samples)
        check_count(draws=draws)
        for name, share in (("alpha", alpha), ("beta", beta)):
            if not 0 < share <= 1:
                raise InputError(f"{name} is {share}: give a share above 0 and up to 1")
        if not sizes or not all(0 < size < 100 for size in sizes):
            raise InputError(f"sizes is {list(sizes)}: give some above 0 and below 100")
        if chunk is not None:
            check_count(chunk=chunk)
        self.surrogate = surrogate
        self.alpha, self.beta, self.draws, self.sizes = alpha, beta, draws, tuple(sizes)
        self.baseline = baseline
        self.output = check_choice(output, Score, "output")
        self.clean_accuracy, self.missing_accuracy = clean_accuracy, missing_accuracy
        self.seed, self.chunk = seed, chunk
        self._baselines = BaselineImages("zero" if baseline in ("tokens", "auto") else baseline)  # type: ignore[arg-type]
        self._loaded: list[Backbone] = []  # the surrogate, once it is read; in a list, so that it is no part of this
        self.add_state("curve_total", torch.zeros(2, len(sizes), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("error_total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def score(
        self,
        model: Model,
        images: Tensor,
        targets: Targets,
        maps: Tensor,
        ids: Sequence[str] | None = None,
        shared: Shared | None = None,
    ) -> Tensor:
        """FFid+ - FFid- of each sample ``(B,)``; see `RemovalMetric.score`.

        Raises:
            InputError: Missing pixels are not in the distribution of the surrogate, or that is not known.
        """
        return _differences(self.drops(model, images, targets, maps, ids, shared)).mean(1)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Add a batch; the arguments are those of `score`."""
        drops = self.drops(*args, **kwargs)
        differences, curves = _differences(drops), drops.mean(-1).to(self.curve_total.device).double()
        self._add(differences.mean(1))
        known = ~curves.isnan().flatten(1).any(1)
        self.curve_total = self.curve_total + curves[known].sum(0)
        if self.draws > 1:
            self.error_total = (
                self.error_total + (differences.to(known.device)[known].double().var(1) / self.draws).sum()
            )

    def mean_curves(self) -> Tensor:
        """Mean of the defined curves over all processes, FFid+ and FFid- ``(2, sizes)``, fp64."""
        with self.sync_context(dist_sync_fn=self.dist_sync_fn):
            return self.curve_total / self.count

    def standard_error(self) -> Tensor:
        """How far the mean is off because draws are few: its standard error over them ``()``; NaN of a single draw."""
        with self.sync_context(dist_sync_fn=self.dist_sync_fn):
            return (
                self.error_total.sqrt() / self.count if self.draws > 1 else torch.full_like(self.error_total, torch.nan)
            )

    def drops(
        self,
        model: Model,
        images: Tensor,
        targets: Targets,
        maps: Tensor,
        ids: Sequence[str] | None = None,
        shared: Shared | None = None,
    ) -> Tensor:
        """What the surrogate's score loses without pixels ``(B, 2, sizes, draws)``, first and last ones.

        Arguments and errors are those of `score`.
        """
        maps, shared = maps_of(maps, images), Shared() if shared is None else shared
        scorer = self._scorer(model, images)
        measured = self.clean_accuracy, self.missing_accuracy
        baseline = settled_baseline(scorer, self.baseline, self._baselines)
        taken = "tokens" if baseline == "tokens" else self._baselines.kind  # of auto, what it came to
        check_gate("FFidelity", scorer, "pixels", self.beta, taken, measured)
        output: Output = "prob" if self.output == "correct" else self.output
        asked = chosen_by(model, images, targets, shared)  # by the original, whose maps are scored
        removal = Removal(scorer, images, asked, baseline, output, self.chunk, shared)
        read = _correct if self.output == "correct" else score_of
        places, pixels = ranks(cell_values(maps, removal.canvas)), removal.canvas[0] * removal.canvas[1]
        counts = torch.tensor([max(1, round(size / 100 * pixels)) for size in self.sizes], device=places.device)
        chances = torch.tensor([removal_probability(self.alpha, self.beta, pixels, count) for count in counts.tolist()])
        names = [""] * len(images) if ids is None else ids
        steps = len(self.sizes)

        def removed(rows: Tensor, copies: Tensor) -> Tensor:
            step, last, draw = copies % steps, copies // steps % 2 == 1, copies // (2 * steps)
            count, chance = counts[step][:, None, None], chances.to(places.device)[step][:, None, None]
            chosen = torch.where(last[:, None, None], places[rows] >= pixels - count, places[rows] < count)
            return chosen & (self._drawn(rows, draw, names, removal.canvas) < chance)

        scores = removal.scores(2 * steps * self.draws, removed, read)
        drops = removal.clean_values(read).unsqueeze(1) - scores
        drops = drops.unflatten(1, (self.draws, 2, steps)).permute(0, 2, 3, 1)
        return drops.masked_fill(not_finite(maps)[:, None, None, None], torch.nan)

    def forwards(self, size: tuple[int, int]) -> int:
        """See `Metric.forwards`; the surrogate's."""
        return 1 + 2 * self.draws * len(self.sizes)

    def taken_baseline(self, model: Model) -> TakenBaseline:
        """See `Metric.taken_baseline`; the surrogate is the model fine-tuned, and can have the same."""
        return told_baseline(self.baseline, settled_baseline(model, self.baseline, self._baselines))

    def check(self, size: tuple[int, int]) -> None:
        """See `Metric.check`."""
        self._baselines.check(size)

    def identity(self) -> dict[str, Any]:
        """See `Metric.identity`; the surrogate goes by its digest, wherever its file is."""
        return {**super().identity(), "surrogate": self._network().digest() if self.surrogate is not None else None}

    def _network(self) -> Backbone:
        """The surrogate, read once."""
        if not self._loaded:
            self._loaded.append(Backbone.load(str(self.surrogate)).eval())
        return self._loaded[0]

    def _scorer(self, model: Model, images: Tensor) -> Any:
        """What scores: the surrogate on the device of the images, or the model."""
        if self.surrogate is None:
            return model
        network = self._network().to(images.device)
        own, its = getattr(model, "preprocessing", None), network.preprocessing
        if own is not None and (own.size, own.mean, own.std) != (its.size, its.mean, its.std):
            raise InputError(
                "surrogate has other image_size, mean or std than the model: give one that was trained from it"
            )
        return network

    def _drawn(self, rows: Tensor, draws: Tensor, names: Sequence[str], canvas: tuple[int, int]) -> Tensor:
        """Uniform numbers ``(n, *canvas)`` of some rows and draws, each pair drawn once."""
        pairs, places = torch.stack([rows, draws], 1).unique(dim=0, return_inverse=True)
        drawn = [keyed_noise(self.seed, [names[row]], f"removed {draw}", canvas) for row, draw in pairs.tolist()]
        return uniform(torch.cat(drawn)).to(rows.device)[places]


def _differences(drops: Tensor) -> Tensor:
    """FFid+ - FFid- of each draw, mean over the sizes ``(B, draws)``."""
    return (drops[:, 0] - drops[:, 1]).mean(1)


def _correct(resolved: Resolved, out: Any) -> Tensor:
    """1 where the class is the one that is predicted, else 0."""
    logits = select_output(out, getattr(resolved, "output", None))
    right = logits.argmax(-1) == resolved.classes("FFidelity")
    return right.float().masked_fill(~logits.isfinite().all(-1), torch.nan)
