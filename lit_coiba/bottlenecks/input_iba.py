"""InputIBA: the bottleneck at the pixels, its prior the image as a hidden layer's bottleneck would leave it.

Zhang, Khakzar, Li, Farshad, Kim and Navab, "Fine-Grained Neural Network Explanation by Identifying Input Features with
Predictive Information", 2021 (arXiv 2110.01471).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from lit_coiba.bottlenecks.feature_matching import Matching, match_features
from lit_coiba.bottlenecks.fitting import PerImageAdam
from lit_coiba.bottlenecks.method import BottleneckMethod
from lit_coiba.bottlenecks.one_layer import chosen_layer, first_layers, prefix_leak_test
from lit_coiba.bottlenecks.pixel_bottleneck import PixelBottleneck
from lit_coiba.bottlenecks.pixel_noise import pixel_noise
from lit_coiba.bottlenecks.statistics import ActivationStatistics, LeakTest
from lit_coiba.bottlenecks.unit_bottleneck import UnitBottleneck
from lit_coiba.core.batched_evaluator import Chunk
from lit_coiba.core.errors import InputError, check_count, check_not_negative, check_positive
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.grid import Grid
from lit_coiba.core.method import Card
from lit_coiba.core.network import Network, SplitNetwork, State
from lit_coiba.core.targets import Resolved
from lit_coiba.functional import gaussian_kernel, resize_map

FEWEST, MOST = 0.01, 0.99  # bounds of the mask that matching starts from

COUNTS = ("feature_copies", "n_samples", "group", "epochs", "batch", "critic_steps", "critic_width", "steps", "copies")
POSITIVE = ("feature_lr", "clip", "lr_mask", "lr_mean", "lr_std", "lr_critic", "lr")


class InputIBA(BottleneckMethod):
    """Share of each pixel that has to pass for the class to stay, in [0, 1], mean over colors; maps at pixels.

    1. A bottleneck at a hidden layer finds the bits that each of its units passes (IBA, unsmoothed).
    2. A small Wasserstein GAN per image finds the mask of pixels under which noisy images look, at that layer, like the
       noised activation: where the hidden bits come from.
    3. A bottleneck at the pixels is fitted. What the mask already shows costs nothing, what it hides is paid for.

    The map is no amount of information: near 1 a pixel is kept, near 0 it is noise; there is no sign. It is as fine as
    the image, where IBA is as coarse as its layer. Trust it as far as the mask of step 2, which few RMSprop steps move
    little from where it starts, the upsampled bits of step 1; a layer at which bits gather in few places gives maps of
    those places.

    Not in the paper's description, so ours: the critic (`feature_matching.Critic`); a mask that starts as the bits of
    each place as a share of the image's largest, between 0.01 and 0.99; noise N(0, 1) where pixels are normalized by
    ImageNet's mean and standard deviation, and the same noise in pixels for models that normalize otherwise.

    Traps: a class that the model predicts for pure noise gets an empty map, and one that noise anywhere destroys gets a
    map with open pixels all over the background. Look at `cross_entropy`; lower `beta` if it is large.

    Cost for one image at the defaults: 690 forwards and backwards of the model (90 of them above the layer), and 4,000
    forwards and 900 backwards below the layer: minutes on a CPU. Memory: 200 noised activations, a critic per image.

    Args:
        layer: Bottleneck layer of the first two steps, at its output. None (a project choice): as in IBA, for a ViT the
            block at a third of the depth or an earlier one, otherwise the first of the model's default layers. The
            paper: conv4_1 of VGG-16, ``features.17``.
        statistics: File written by ``lit-coiba statistics``. None: call `prepare`.
        feature_steps: Step 1: forward passes; there is one update fewer.
        feature_copies: Step 1: noise copies per image and pass.
        feature_beta: Step 1: weight of the mean information per unit.
        feature_lr: Step 1: learning rate of Adam.
        min_std: Step 1: lower bound of the standard deviations.
        active_threshold: Step 1: share of the images in which a unit has to be non-zero; units that are so in no more
            than this share are closed.
        n_samples: Step 2: noised activations per image.
        group: Step 2: samples that share mean (-2 to 2) and standard deviation (0 to 5) of their noise.
        epochs: Step 2: passes over the samples.
        batch: Step 2: samples of one update.
        critic_steps: Step 2: updates of the critic per update of the mask.
        clip: Step 2: bound of the critic's weights.
        lr_mask: Step 2: learning rate of RMSprop for the mask.
        lr_mean: Step 2: learning rate for the mean of the noise at the pixels.
        lr_std: Step 2: learning rate for its scale.
        lr_critic: Step 2: learning rate for the critic.
        critic_width: Step 2: units of the critic's layers (ours).
        steps: Step 3: updates.
        copies: Step 3: noise copies per image and update.
        beta: Step 3: weight of the mean information per pixel and color.
        lr: Step 3: learning rate of Adam.
        smoothing: Step 3: standard deviation in pixels of the Gaussian over the ratios of each color; 0 = off.
        alpha_init: Steps 1 and 3: first logit of every ratio.
        chunk: Number of model inputs at once; ``auto`` = as many as are fast, halved where memory runs out.
        seed: Seed of all random numbers; the images of a run share them.

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
        super().__init__(statistics, min_std, chunk, seed)
        self.layer = layer
        self.feature_steps = feature_steps
        self.feature_copies = feature_copies
        self.feature_beta = feature_beta
        self.feature_lr = feature_lr
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
        check_count(2, feature_steps=feature_steps)
        check_count(**{name: getattr(self, name) for name in COUNTS})
        check_not_negative(feature_beta=feature_beta, beta=beta, smoothing=smoothing)
        check_positive(**{name: getattr(self, name) for name in POSITIVE})

    def statistics_layers(self, model: Network) -> list[str]:
        """The bottleneck layer, or the candidates of the leak test, earliest first.

        Raises:
            InputError: One of them has no grid.
        """
        layers = [self.layer] if self.layer else first_layers(model)
        for layer in layers:
            model.grid(layer)
        return layers

    def _leak_test(self, model: Network, statistics: ActivationStatistics, images: Iterable[Tensor]) -> LeakTest | None:
        candidates = self.statistics_layers(model)
        return prefix_leak_test(model, statistics, candidates, images, self.min_std, self.seed)

    def _explain(self, model: Network, images: Tensor, targets: Resolved) -> Explanation:
        self._check_smoothing(images)
        statistics = self._slot.of(model)
        split = model.split([chosen_layer(self.statistics_layers(model), statistics)])
        state = split.lower(images)
        feature_bits = self._feature_bits(split, state, images, targets, statistics)
        start = _mask_logits(feature_bits, split.grids[0], images)
        level, matching = pixel_noise(model, start), Matching(**{k: getattr(self, k) for k in Matching._fields})
        mask = match_features(split, images, state.activation, feature_bits, start, level, matching, self._evaluator)
        bottleneck = PixelBottleneck(
            model, images, targets, mask, level, self.beta, self.copies, self.smoothing, self.seed
        )
        adam = PerImageAdam(self.steps, self.lr, self.copies, self._evaluator)
        fitted = adam.fit(bottleneck.start(self.alpha_init), images, bottleneck)
        extras = {"feature_bits": feature_bits.flatten(1).sum(1), "bits": bottleneck.bits(fitted.alpha)}
        return Explanation(torch.sigmoid(fitted.alpha).mean(1), {**extras, **fitted.extras()})

    def _feature_bits(
        self, split: SplitNetwork, state: State, images: Tensor, targets: Resolved, statistics: ActivationStatistics
    ) -> Tensor:
        """Step 1: bits per unit of the layer, ``(B, *activation)``."""
        prior = self._prior(statistics, split.layers, self.feature_copies)
        active = statistics.active[split.layers[0]] > self.active_threshold
        bottleneck = UnitBottleneck(split, state, targets, prior, active, self.feature_beta)
        adam = PerImageAdam(self.feature_steps - 1, self.feature_lr, self.feature_copies, self._evaluator)
        return bottleneck.bits(adam.fit(bottleneck.start(self.alpha_init), images, bottleneck).alpha)

    def _check_smoothing(self, images: Tensor) -> None:
        """Refuse a kernel that a reflected border cannot carry."""
        radius = len(gaussian_kernel(self.smoothing)) // 2 if self.smoothing else 0
        if radius >= min(images.shape[-2:]):
            height, width = images.shape[-2:]
            raise InputError(
                f"smoothing={self.smoothing} needs more than {radius} pixels per side, and the images have"
                f" {height}x{width}: choose less smoothing (0 = off)"
            )


def _mask_logits(feature_bits: Tensor, grid: Grid, images: Tensor) -> Tensor:
    """Logits ``(B, 3, H, W)`` of a mask that shows each place by its share of the most bits of any place."""
    places = grid.to_map(grid.over_channels(feature_bits))
    pixels = resize_map(places, (images.shape[-2], images.shape[-1]), grid.places)
    most = pixels.amax((1, 2), keepdim=True).clamp_min(torch.finfo(pixels.dtype).tiny)
    return (pixels / most).clamp(FEWEST, MOST).logit().unsqueeze(1).expand(-1, 3, -1, -1)
