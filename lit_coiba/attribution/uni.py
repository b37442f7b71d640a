"""UNI: gradients along a short path that starts where the model has forgotten the image.

Choi, Duplessis and Belongie, "Unlearning-based Neural Interpretations", ICLR 2025 (arXiv 2410.08069).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from lit_coiba.core.batched_evaluator import BatchedEvaluator, Chunk
from lit_coiba.core.behavior import behavior_of, refuse_one_logit
from lit_coiba.core.errors import InputError, check_choice, check_count
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import AttributionMethod, Card
from lit_coiba.core.network import Network
from lit_coiba.core.targets import Resolved, Score, Targets
from lit_coiba.functional import noise, precise
from lit_coiba.functional.channels import Reduce, over_colours
from lit_coiba.functional.unlearning import (
    FLAT,
    MATCHED,
    Projection,
    divergence,
    lengths,
    log_probabilities,
    match,
    project,
    unit,
    unlearned_logits,
)
from lit_coiba.perturbation.paths import cast, path_attribution
from lit_coiba.propagation.attention import unfused_attention

NUMBERS = ("confidence", "baseline_confidence", "unlearned_confidence", "kl_image", "kl_baseline", "radius")
WEIGHT_BYTES = 4 << 30  # of all copies of the weights that are in flight on an accelerator


class UNI(AttributionMethod):
    """Integrated gradients from a baseline made for the image: a near input that the model takes for a forgotten one.

    One step of gradient ascent in the weights, of length `eta`, makes the model forget the image; `matching_steps`
    steps in the input then look for a neighbor of the image, within `eps`, for which the unchanged model gives the
    forgotten prediction. The map is the right Riemann sum of gradients from there to the image, times the difference.

    Maps are signed, at pixel resolution, and sum to the score at the image minus the score at the baseline, up to an
    error of the order of ``eps ** 2 / steps``. No static baseline has to be chosen, none of its colors is favored.
    The baseline looks like the image, so values are small; compare maps after a normalization. Where forgetting does
    not change the prediction (``eta=0``, or a flat model), the map is zero.

    Extras: the probability of the target at the image, at the baseline and under the unlearned weights; the divergence
    from the unlearned prediction in nats at the image and at the baseline; the distance between the two.

    Args:
        eta: Length of the step in the weights, in L2 over all of them (paper).
        matching_steps: Steps in the input, T (paper).
        mu: Length of the first of them, in units of model input.
        eps: Radius around the image, in units of model input; may be infinite for a ball.
        steps: Points of the Riemann sum, B (paper).
        norm: Norm of `mu` and `eps`: 1, 2, ..., or infinity.
        projection: ``ball`` = anywhere within `eps`; ``sphere`` = at `eps` exactly.
        delta0: The search starts at the image (``zero``), or `mu` away from it in a random direction.
        decay: Factor of `mu` from one step to the next; steps of constant length do not converge.
        output: Score of a class: ``prob`` (the paper), ``logit``, ``logprob`` or ``rest`` (logit + logprob).
        reduce: Reduction over the colors; ``sum`` keeps the sum of a map.
        seed: Seed of the random start, which all images share.
        chunk: Number of model inputs at once.

    Raises:
        InputError: A value out of its range.
    """

    card = Card(
        "Choi, Duplessis and Belongie, Unlearning-based Neural Interpretations, 2025 (arXiv 2410.08069)",
        "4 + T + B forwards (29), 3 + T + B backwards (28)",
        ("gradients",),
    )

    may_be_infinite = frozenset({"eps", "norm"})

    def __init__(
        self,
        eta: float = 1.0,
        matching_steps: int = 10,
        mu: float = 0.1,
        eps: float = 0.25,
        steps: int = 15,
        norm: float = 2.0,
        projection: Projection = "ball",
        delta0: Literal["zero", "random"] = "zero",
        decay: float = 1.0,
        output: Score = "prob",
        reduce: Reduce = "sum",
        seed: int = 0,
        chunk: Chunk = "auto",
    ) -> None:
        check_count(0, matching_steps=matching_steps)
        check_count(steps=steps)
        if not 0 <= eta < torch.inf:
            raise InputError(f"eta is {eta}: give a length, 0 or more")
        for name, number in (("mu", mu), ("eps", eps), ("decay", decay)):
            if not number > 0:
                raise InputError(f"{name} is {number}: give a positive number")
        if not norm >= 1:
            raise InputError(f"norm is {norm}: give 1 or more, 2 for Euclidean lengths")
        if projection == "sphere" and eps == torch.inf:
            raise InputError(
                "eps is infinite, and such a sphere has no points: give a finite radius, or projection ball"
            )
        self.eta, self.matching_steps, self.mu, self.eps, self.steps = eta, matching_steps, mu, eps, steps
        self.norm, self.decay, self.seed, self.chunk = norm, decay, seed, chunk
        self.projection: Projection = check_choice(projection, Projection, "projection")
        self.delta0 = check_choice(delta0, Literal["zero", "random"], "delta0")
        self.output: Score = check_choice(output, Score, "output")
        self.reduce: Reduce = check_choice(reduce, Reduce, "reduce")
        self._evaluator = BatchedEvaluator(chunk)

    def _explain(self, model: Network, images: Tensor, targets: Resolved) -> Explanation:
        baselines, numbers = self._baselines(model, images, targets)
        shares = [(step + 1) / self.steps for step in range(self.steps)]
        weights = [1 / self.steps] * self.steps
        values = path_attribution(
            cast(model, images), precise(images), baselines, targets, weights, shares, self._evaluator
        )
        return Explanation(over_colours(values, self.reduce), dict(zip(NUMBERS, numbers.unbind(1))))

    def baseline(self, model: Network, images: Tensor, targets: Targets = None) -> Tensor:
        """Where the paths of `images` start: model input ``(B, 3, H, W)`` that is predicted as a forgotten image is.

        In fp32 at least, also for images in bf16, whose spacing is wider than most of what a search adds to a pixel.
        """
        with self._inputs(model, images, targets) as (pixels, rows):
            return self._baselines(model, pixels, rows)[0]

    def _baselines(self, model: Network, images: Tensor, targets: Resolved) -> tuple[Tensor, Tensor]:
        """Baselines ``(B, 3, H, W)`` and the numbers that describe them, ``(B, 6)``.

        Raises:
            InputError: The model has no weights, or what is explained is no class of a softmax, whose prediction is
                what is forgotten and matched.
        """
        if not isinstance(model, nn.Module):
            raise InputError("UNI unlearns in the weights: give a torch module, such as a Backbone")
        if (behavior := behavior_of(model)) is not None:
            behavior.refuse_needs("UNI", ("modules",))  # whose weights are changed
        if not any(True for _ in model.parameters()):
            raise InputError("UNI unlearns in the weights, and the model has none: use IntegratedGradients")
        classes = targets.classes("UNI")
        refuse_one_logit(getattr(targets, "num_classes", 0), "nothing is there to unlearn: the probability is")

        def search(_: slice, rows: slice) -> Tensor:
            shift, numbers = self._search(model, images[rows], classes[rows])
            return torch.cat([shift.flatten(1).to(numbers.dtype), numbers], 1).unsqueeze(0)

        found = self._evaluator.gather(images, 1, search).squeeze(0)
        shift, numbers = found[:, : -len(NUMBERS)], found[:, -len(NUMBERS) :]
        start = precise(images)
        return start + shift.view_as(images).to(start.dtype), numbers

    def _search(self, model: Network, images: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """What to add to the images, and what came of it."""
        unlearned = log_probabilities(self._unlearned(model, images, classes)).exp()
        start, network = precise(images).clone(), cast(model, images)
        shift = torch.zeros_like(start)
        if self.delta0 == "random":
            direction = unit(noise(self.seed, 0, 0, (1, *images.shape[1:])), self.norm).to(start)
            shift = project(self.mu * direction + shift, self.eps, self.norm, self.projection)
        image, log_prob, matched = self._unchanged(network, start, classes, unlearned)
        found = match(
            network,
            start,
            unlearned,
            shift,
            steps=self.matching_steps,
            mu=self.mu,
            decay=self.decay,
            eps=self.eps,
            norm=self.norm,
            projection=self.projection,
        )
        shift = torch.where(matched.view(-1, 1, 1, 1), 0, found.shift)
        end = torch.where(matched, image, found.end)
        last = torch.where(matched.unsqueeze(-1), log_prob, found.log_prob)
        confidences = [p.gather(-1, classes.unsqueeze(-1)).squeeze(-1) for p in (log_prob.exp(), last.exp(), unlearned)]
        return shift, torch.stack([*confidences, image, end, lengths(shift, self.norm).flatten().to(end)], 1)

    def _unchanged(
        self, network: Callable[[Tensor], Tensor], images: Tensor, classes: Tensor, unlearned: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Divergence ``(B,)`` and log-probabilities ``(B, K)`` at the image, and whether there is nothing to match.

        There is nothing where the divergence or its gradient is rounding: normalized steps would follow noise.
        """
        pixels = images.detach().clone().requires_grad_()
        logits = network(pixels)
        log_prob = log_probabilities(logits)
        cost = divergence(unlearned, log_prob)
        own = log_prob.gather(-1, classes.unsqueeze(-1)).sum()
        steep, scale = (
            lengths(torch.autograd.grad(value, pixels, retain_graph=keep)[0], 2).flatten()
            for value, keep in ((cost.sum(), True), (own, False))
        )
        least = max(MATCHED, torch.finfo(logits.dtype).eps ** 2)  # low precision rounds more
        return cost.detach(), log_prob.detach(), (cost.detach() < least) | (steep <= FLAT * scale)

    def _unlearned(self, model: Network, images: Tensor, classes: Tensor) -> Tensor:
        assert isinstance(model, nn.Module)
        if not images.is_cuda:
            return unlearned_logits(model, images, classes, self.eta)
        size = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
        with unfused_attention(model):  # fused kernels are not vectorised over weights
            return unlearned_logits(model, images, classes, self.eta, max(1, WEIGHT_BYTES // (3 * size)))
