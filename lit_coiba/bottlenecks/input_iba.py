"""InputIBA: the bottleneck at the pixels, its prior the image as a hidden layer's bottleneck would leave it.

Zhang, Khakzar, Li, Farshad, Kim and Navab, "Fine-Grained Neural Network Explanation by Identifying Input Features with
Predictive Information", 2021 (arXiv 2110.01471).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from lit_coiba.bottlenecks.feature_matching import Matching, PixelNoise, match_features
from lit_coiba.bottlenecks.fitting import cross_entropy_of_copies, fit, unchanged
from lit_coiba.bottlenecks.method import BottleneckMethod
from lit_coiba.bottlenecks.one_layer import choose_layer, chosen_layer, first_layers
from lit_coiba.bottlenecks.prior import PriorSettings, PriorSlot
from lit_coiba.bottlenecks.statistics import ActivationStatistics, StatisticsSlot
from lit_coiba.bottlenecks.unit_bottleneck import UnitBottleneck
from lit_coiba.core.batched_evaluator import BatchedEvaluator, Chunk
from lit_coiba.core.errors import InputError, check_count
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.frozen import frozen
from lit_coiba.core.grid import Grid
from lit_coiba.core.images import check_images, class_targets
from lit_coiba.core.method import Card
from lit_coiba.core.network import Network, SplitNetwork, State
from lit_coiba.functional import (
    BITS_PER_NAT,
    beyond_masked_prior,
    gaussian_kernel,
    information_of_ratio,
    noise,
    resize_map,
    smooth,
)

PIXELS = 1000  # purpose of random numbers: noise at the pixels
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pixels: what the paper normalises by
FEWEST, MOST = 0.01, 0.99  # bounds of the mask that matching starts from

COUNTS = ("feature_copies", "n_samples", "group", "epochs", "batch", "critic_steps", "critic_width", "steps", "copies")
POSITIVE = ("feature_lr", "min_std", "clip", "lr_mask", "lr_mean", "lr_std", "lr_critic", "lr")


class _Task(NamedTuple):
    """A batch that is explained."""

    model: Network
    images: Tensor
    classes: Tensor


class InputIBA(BottleneckMethod):
    """Share of each pixel that has to pass for the class to stay, in [0, 1], mean over colours; maps at pixels.

    1. A bottleneck at a hidden layer tells the bits that each of its units passes (IBA, unsmoothed).
    2. A small Wasserstein GAN per image finds the mask of pixels under which noisy images look, at that layer, like the
       noised activation: where the hidden bits come from.
    3. A bottleneck at the pixels is fitted. What the mask already shows costs nothing, what it hides is paid for.

    The map is no amount of information: near 1 a pixel is kept, near 0 it is noise; there is no sign. It is as fine as
    the image, where IBA is as coarse as its layer. Trust it as far as the mask of step 2, which few RMSprop steps move
    little from where it starts, the upsampled bits of step 1; a layer at which bits gather in few places gives maps of
    those places.

    Not in the paper's description, so ours: the critic (`feature_matching.Critic`); a mask that starts as the bits of
    each place as a share of the image's largest, between 0.01 and 0.99; noise N(0, 1) where pixels are normalised by
    ImageNet's mean and standard deviation, and the same noise in pixels for models that normalise otherwise.

    Traps: a class that the model predicts for pure noise gets an empty map, and one that noise anywhere destroys gets a
    map with open pixels all over the background. Look at `cross_entropy`; lower `beta` if it is large.

    Cost for one image at the defaults: 690 forwards and backwards of the model (90 of them above the layer), and 4,000
    forwards and 900 backwards below the layer: minutes on a CPU. Memory: 200 noised activations, a critic per image.

    Args:
        layer: Of the first two steps, at its output. None (a project choice): as in IBA, for a ViT the block at a third
            of the depth or an earlier one, otherwise the first of the model's default layers. The paper: conv4_1 of
            VGG-16, ``features.17``.
        statistics: File made by ``lit-coiba statistics``. None: call `prepare`.
        feature_steps: Step 1: forward passes; one less updates.
        feature_copies: Step 1: noise copies per image and pass.
        feature_beta: Step 1: weight of the mean information per unit.
        feature_lr: Step 1: learning rate of Adam.
        min_std: Step 1: floor of the standard deviations.
        active_threshold: Step 1: units that are non-zero in no more than this share of the images are closed.
        n_samples: Step 2: noised activations of an image.
        group: Step 2: samples that share mean (-2 to 2) and standard deviation (0 to 5) of their noise.
        epochs: Step 2: passes over the samples.
        batch: Step 2: samples of one update.
        critic_steps: Step 2: updates of the critic for one of the mask.
        clip: Step 2: bound of the critic's weights.
        lr_mask: Step 2: learning rate of RMSprop for the mask.
        lr_mean: Step 2: learning rate for the mean of the noise at the pixels.
        lr_std: Step 2: learning rate for its scale.
        lr_critic: Step 2: learning rate for the critic.
        critic_width: Step 2: units of the critic's layers (ours).
        steps: Step 3: updates.
        copies: Step 3: noise copies per image and update.
        beta: Step 3: weight of the mean information per pixel and colour.
        lr: Step 3: learning rate of Adam.
        smoothing: Step 3: standard deviation in pixels of the Gaussian over the ratios of each colour; 0 = off.
        alpha_init: Steps 1 and 3: first logit of every ratio.
        chunk: Model inputs at once; ``auto`` = as many as are fast, halved where memory runs out.
        seed: Of all random numbers; the images of a run share them.

    Extras of the explanation, per image: ``feature_bits`` (step 1, all units), ``bits`` (step 3, beyond the mask, all
    pixels), ``cross_entropy_start`` and ``cross_entropy`` in nats (step 3, first and last pass).
    """

    card = Card(
        "Zhang, Khakzar, Li, Farshad, Kim and Navab, 2021 (arXiv 2110.01471)",
        "690 forwards and backwards, and 4,000 forwards and 900 backwards below the layer",
        ("gradients", "layer", "statistics"),
    )

    def __init__(
        self,
        layer: str | None = None,
        statistics: str | None = None,
        feature_steps: int = 10,
        feature_copies: int = 10,
        feature_beta: float = 20.0,
        feature_lr: float = 1.0,
        min_std: float = 0.01,
        active_threshold: float = 0.01,
        n_samples: int = 200,
        group: int = 20,
        epochs: int = 20,
        batch: int = 32,
        critic_steps: int = 5,
        clip: float = 0.01,
        lr_mask: float = 0.003,
        lr_mean: float = 0.1,
        lr_std: float = 0.05,
        lr_critic: float = 5e-5,
        critic_width: int = 32,
        steps: int = 60,
        copies: int = 10,
        beta: float = 20.0,
        lr: float = 1.0,
        smoothing: float = 1.0,
        alpha_init: float = 5.0,
        chunk: Chunk = "auto",
        seed: int = 0,
    ) -> None:
        self.layer = layer
        self.statistics = statistics
        self.feature_steps = feature_steps
        self.feature_copies = feature_copies
        self.feature_beta = feature_beta
        self.feature_lr = feature_lr
        self.min_std = min_std
        self.active_threshold = active_threshold
        self.n_samples = n_samples
        self.group = group
        self.epochs = epochs
        self.batch = batch
        self.critic_steps = critic_steps
        self.clip = clip
        self.lr_mask = lr_mask
        self.lr_mean = lr_mean
        self.lr_std = lr_std
        self.lr_critic = lr_critic
        self.critic_width = critic_width
        self.steps = steps
        self.copies = copies
        self.beta = beta
        self.lr = lr
        self.smoothing = smoothing
        self.alpha_init = alpha_init
        self.chunk = chunk
        self.seed = seed
        self._check_arguments()
        self._copies = BatchedEvaluator(chunk)
        self._slot = StatisticsSlot(statistics)
        self._priors = PriorSlot()

    def statistics_layers(self, model: Network) -> list[str]:
        """The target, or the candidates of the leak test, earliest first.

        Raises:
            InputError: It lies on no grid.
        """
        layers = [self.layer] if self.layer else first_layers(model)
        for layer in layers:
            model.grid(layer)
        return layers

    def set_statistics(
        self, model: Network, statistics: ActivationStatistics, images: Iterable[Tensor]
    ) -> ActivationStatistics:
        """Use `statistics`; where tokens lie outside the map, test on batches of `images` what these know alone."""
        layers = self.statistics_layers(model)
        return choose_layer(self._slot, model, statistics, images, layers, self.min_std, self.seed)

    def explain(self, model: Network, images: Tensor, targets: Tensor | int | None = None) -> Explanation:
        """Explain `images` ``(B, 3, H, W)`` for `targets` ``(B,)``, or one for all; None: the predicted class."""
        check_images(model, images)
        self._check_smoothing(images)
        statistics = self._slot.of(model)
        layer = chosen_layer(self.statistics_layers(model), statistics)
        with frozen(model):
            images, path = images.detach().clone(), model.split([layer])  # autograd keeps them: no inference tensor
            state = path.lower(images)
            classes = class_targets(targets, images, model.num_classes, lambda: path.upper(state, unchanged))
            task = _Task(model, images, classes)
            capacity = self._capacity(task, path, state, statistics)
            start = _mask_logits(capacity, path.grids[0], images)
            level, matching = pixel_noise(model, start), self._matching()
            mask = match_features(path, images, state.activation, capacity, start, level, matching, self._copies)
            alpha, extras = self._open_pixels(task, mask, level)
        return Explanation(torch.sigmoid(alpha).mean(1), {"feature_bits": capacity.flatten(1).sum(1), **extras})

    def _capacity(self, task: _Task, path: SplitNetwork, state: State, statistics: ActivationStatistics) -> Tensor:
        """Step 1: bits per unit of the layer, ``(B, *activation)``."""
        settings = PriorSettings(statistics, tuple(path.layers), self.feature_copies, self.min_std, False, self.seed)
        active = statistics.active[path.layers[0]] > self.active_threshold
        capacity = UnitBottleneck(path, state, task.classes, self._priors.of(settings), active, self.feature_beta)
        return capacity.fit(self.feature_steps, self.feature_lr, self.alpha_init, self._copies, task.images).bits

    def _open_pixels(self, task: _Task, mask: Tensor, level: PixelNoise) -> tuple[Tensor, dict[str, Tensor]]:
        """Step 3: logits of the pixels' ratios, ``(B, 3, H, W)``, and what happened; `mask` in logits."""
        alpha, closed = torch.full_like(mask, self.alpha_init), torch.sigmoid(-mask)
        precise, entropies = task.images.to(mask.dtype), []
        squared = ((precise - level.mean) / level.std).square()

        def nats(logits: Tensor) -> Tensor:
            ratio, rest = (self._smoothed(torch.sigmoid(sign * logits)) for sign in (1, -1))
            return information_of_ratio(*beyond_masked_prior(ratio, rest, closed), squared)

        def gradient(step: int) -> Tensor:
            eps = noise(self.seed, step, PIXELS, (self.copies, *mask.shape[1:])).to(mask)
            draw = level.mean + level.std * eps

            def through_network(some: slice, rows: slice) -> Tensor:
                leaf, count = alpha[rows].clone().requires_grad_(True), some.stop - some.start
                mixed = torch.lerp(draw[some].unsqueeze(1), precise[rows], self._smoothed(torch.sigmoid(leaf)))
                logits = task.model(mixed.flatten(0, 1).to(task.images.dtype))
                entropy = cross_entropy_of_copies(logits, task.classes[rows], count) * count / self.copies
                slope = torch.autograd.grad(entropy.sum(), leaf)[0]
                return torch.cat([slope.flatten(1), entropy.detach().unsqueeze(1).to(slope)], 1)

            found = self._copies.accumulate(task.images, self.copies, through_network)
            entropies.append(found[:, -1])
            leaf = alpha.clone().requires_grad_(True)
            paid = self.beta * nats(leaf).flatten(1).mean(1).sum()
            return found[:, :-1].view_as(alpha) + torch.autograd.grad(paid, leaf)[0]

        fit(alpha, gradient, self.steps + 1, self.lr)
        bits = nats(alpha).flatten(1).sum(1) * BITS_PER_NAT
        return alpha, {"bits": bits, "cross_entropy_start": entropies[0], "cross_entropy": entropies[-1]}

    def _smoothed(self, ratio: Tensor) -> Tensor:
        return smooth(ratio, self.smoothing) if self.smoothing else ratio

    def _matching(self) -> Matching:
        return Matching(**{name: getattr(self, name) for name in Matching._fields})

    def _check_arguments(self) -> None:
        check_count(2, feature_steps=self.feature_steps)
        check_count(**{name: getattr(self, name) for name in COUNTS})
        for name in ("feature_beta", "beta", "smoothing"):
            if not getattr(self, name) >= 0:
                raise InputError(f"InputIBA: {name} is {getattr(self, name)}: give 0 or more")
        for name in POSITIVE:
            if not getattr(self, name) > 0:
                raise InputError(f"InputIBA: {name} is {getattr(self, name)}: give a number above 0")

    def _check_smoothing(self, images: Tensor) -> None:
        """Refuse a kernel that a reflected border cannot carry."""
        radius = len(gaussian_kernel(self.smoothing)) // 2 if self.smoothing else 0
        if radius >= min(images.shape[-2:]):
            height, width = images.shape[-2:]
            raise InputError(
                f"smoothing={self.smoothing} needs more than {radius} pixels a side, and the images have"
                f" {height}x{width}: choose less smoothing (0 = off)"
            )


def pixel_noise(model: Network, like: Tensor) -> PixelNoise:
    """What is N(0, 1) where ImageNet's mean and standard deviation normalise, for images as `model` takes them."""
    own, mean, std = (torch.tensor(v).to(like).view(3, 1, 1) for v in (model.preprocessing.mean, MEAN, STD))
    scale = torch.tensor(model.preprocessing.std).to(like).view(3, 1, 1)
    return PixelNoise((mean - own) / scale, std / scale)


def _mask_logits(capacity: Tensor, grid: Grid, images: Tensor) -> Tensor:
    """Logits ``(B, 3, H, W)`` of a mask that shows each place by its share of the most bits of any place."""
    places = grid.to_map(grid.over_channels(capacity))
    pixels = resize_map(places, (images.shape[-2], images.shape[-1]))
    most = pixels.amax((1, 2), keepdim=True).clamp_min(torch.finfo(pixels.dtype).tiny)
    return (pixels / most).clamp(FEWEST, MOST).logit().unsqueeze(1).expand(-1, 3, -1, -1)
