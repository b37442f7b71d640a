"""InfoDisent: channels that act like prototypical parts, by a rotation, a sparse pooling and non-negative weights.

Struski, Rymarczyk and Tabor, "InfoDisent: Explainability of Image Classification Models by Information
Disentanglement", 2024 (arXiv 2409.10329). There is no usable reference code; what is called a reconstruction is our
reading.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from lit_coiba.core.errors import InputError, check_choice
from lit_coiba.functional import precise, signed_gumbel, signed_log_sum_exp, signed_max, signed_top_k, spatial_average
from lit_coiba.heads.head import Head, Terms, at_least_one, exact_linear
from lit_coiba.heads.rotation import Parametrization, Rotation

Pooling = Literal["gumbel", "hard", "average", "top_k", "log_sum_exp"]
Positive = Literal["clamp", "relu", "softplus", "abs", "exp", "none"]
Evidence = Literal["peak", "spread"]

FLOOR = 1e-4  # of initial weights under a map whose gradient vanishes at 0, or which does not reach it


class InfoDisentHead(Head):
    """J = U F, v = the signed maximum of each channel of J, logits = W v with W >= 0.

    A positive v_k is evidence for, a negative one evidence against, every class that uses channel k, and channel k adds
    W_ck v_k to the logit of c. Units are the channels of J.

    W starts uniform in [0, 0.5 / sqrt(D)]: small, so that Adam at 1e-3 soon outweighs what is left of chance, yet not
    the same for all classes, for then no gradient would reach U.

    Args:
        in_channels: Number of channels D of the features.
        num_classes: Number of classes K.
        pooling: ``hard`` = `functional.signed_max`; ``gumbel`` trains with `functional.signed_gumbel` and evaluates
            with ``hard``. For ablations: ``average``, ``top_k``, ``log_sum_exp``.
        rotation: Whether U is trained; False: U = I (ablation).
        parametrization: Parametrization of U; see `Rotation`.
        positive: Way to keep W non-negative (a reconstruction, all of it): ``clamp`` by `constrain` after each step;
            else W is this function of a free weight. ``none``: W may have any sign (ablation).
        bias: Whether to add one number per class.
        tau: Temperature of ``gumbel`` at the start of training, or of ``log_sum_exp``, in units of the features (a
            reconstruction, like `tau_end`).
        tau_end: Temperature of ``gumbel`` at the end; see `anneal`.
        top_k: Number of positions that ``top_k`` pools.
        hard: Whether ``gumbel`` pools one drawn position (straight-through) instead of a soft mixture.
        evidence: The map of a class. Each channel adds W_ck times the pooled positive side and takes W_ck times the
            pooled negative side: ``peak`` at the position of the extremum, which is literally where the terms of the
            logit come from; ``spread`` over all positions where the channel has that sign, in proportion to J_k. Both
            are signed and sum to the logit without bias. None: peaks where the pooling reads them, ``hard`` and
            ``gumbel``, else spread. On SyntheticParts (the shipped ViT, 50 images) 41% of the energy of peaks lies on
            the parts, and 13% of what is spread; the parts have 12% of the area.

    Raises:
        InputError: An argument that is not among its choices or out of range.

    Example:
        >>> head = InfoDisentHead(8, num_classes=3).eval()
        >>> features = torch.rand(2, 8, 7, 7)
        >>> head.explain(features, targets=1).contributions.sum(1) - head(features)[:, 1] < 1e-5
        tensor([True, True])
    """

    two_sided = True
    temperature: float  # of the next random draw

    orderless = True

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        pooling: Pooling = "gumbel",
        rotation: bool = True,
        parametrization: Parametrization = "auto",
        positive: Positive = "clamp",
        bias: bool = False,
        tau: float = 1.0,
        tau_end: float = 0.1,
        top_k: int = 5,
        hard: bool = True,
        evidence: Evidence | None = None,
    ) -> None:
        super().__init__(in_channels, num_classes)
        self.pooling: Pooling = check_choice(pooling, Pooling, "pooling")
        self.rotation = rotation
        self.parametrization: Parametrization = check_choice(parametrization, Parametrization, "parametrization")
        self.positive: Positive = check_choice(positive, Positive, "positive")
        self.bias = bias
        self.tau, self.tau_end = tau, tau_end
        if not (tau > 0 and tau_end > 0):
            raise InputError(f"tau is {tau} and tau_end {tau_end}: give positive temperatures")
        self.top_k = at_least_one(top_k, "top_k")
        self.hard = hard
        self.evidence: Evidence | None = None if evidence is None else check_choice(evidence, Evidence, "evidence")
        self.temperature = tau
        self.rotate = Rotation(in_channels, "orthogonal", parametrization) if rotation else nn.Identity()
        self.weight = nn.Parameter(torch.empty(num_classes, in_channels))
        self.class_bias = nn.Parameter(torch.zeros(num_classes)) if bias else None
        self.init_from_linear(torch.rand(num_classes, in_channels) * 0.5 / in_channels**0.5)

    @property
    def units(self) -> int:
        """D."""
        return self.in_channels

    @property
    def class_weights(self) -> Tensor:
        """W, ``(K, D)``."""
        weight = precise(self.weight)
        if self.positive == "softplus":
            return softplus(weight)
        mapped = {"relu": torch.relu, "abs": torch.abs, "exp": torch.exp}.get(self.positive)
        return weight if mapped is None else mapped(weight)

    @torch.no_grad()
    def init_from_linear(self, weight: Tensor, bias: Tensor | None = None) -> None:
        """Take W, ``(K, D)``, from a trained linear classifier; what is negative becomes 0.

        Under a map that does not reach 0, or would hold an entry there for ever, it becomes 1e-4.

        Raises:
            InputError: Weights of another shape, or a bias for a head without.
        """
        if weight.shape != self.weight.shape:
            raise InputError(f"weights have shape {tuple(weight.shape)}: this head takes {tuple(self.weight.shape)}")
        if self.positive != "none":
            weight = precise(weight).clamp_min(0.0 if self.positive == "clamp" else FLOOR)
        if self.positive == "softplus":
            weight = weight + (-(-weight).expm1()).log()  # the inverse, without overflow
        self.weight.copy_(weight.log() if self.positive == "exp" else weight)
        if bias is not None:
            if self.class_bias is None:
                raise InputError("this head has no bias to start from: build it with bias=True")
            self.class_bias.copy_(bias)

    def forward(self, features: Tensor) -> Tensor:
        """Logits ``(B, K)``; random in training mode with ``gumbel`` pooling."""
        rotated = self.rotate(self._checked(features))
        if self.training and self.pooling == "gumbel":
            pooled = signed_gumbel(rotated, self.temperature, hard=self.hard)
        else:
            pooled = self._pool(rotated)
        return exact_linear(pooled, self.class_weights, self.class_bias)

    def activations(self, features: Tensor) -> Tensor:
        """J, ``(B, D, h, w)``."""
        return precise(self.rotate(self._checked(features)))

    def unit_weights(self) -> Tensor:
        """W, ``(K, D)``."""
        return self.class_weights

    @torch.no_grad()
    def constrain(self) -> None:
        """Clamp W at 0, where that is how it is kept from being negative; to be called after each optimizer step."""
        if self.positive == "clamp":
            self.weight.clamp_(min=0)

    def anneal(self, progress: float) -> None:
        """Set the temperature of ``gumbel``: tau * (tau_end / tau)^progress, for progress from 0 to 1."""
        self.temperature = self.tau * (self.tau_end / self.tau) ** min(max(progress, 0.0), 1.0)

    def diagnostics(self) -> dict[str, float]:
        """How far U is from orthogonal, and the share of W that is 0."""
        found = {"unused weights": (self.class_weights <= 0).float().mean().item()}
        if isinstance(self.rotate, Rotation):
            found["orthogonality error"] = self.rotate.orthogonality_error()
        return found

    def _pool(self, maps: Tensor) -> Tensor:
        """Pooling in evaluation mode, ``(B, D)``."""
        if self.pooling == "average":
            return spatial_average(maps)
        if self.pooling == "top_k":
            return signed_top_k(maps, self.top_k)
        if self.pooling == "log_sum_exp":
            return signed_log_sum_exp(maps, self.tau)
        return signed_max(maps)

    def _contributions(self, features: Tensor, classes: Tensor) -> Tensor:
        return self.class_weights[classes] * self._pool(self.rotate(features))

    def _terms(self, features: Tensor, classes: Tensor) -> Terms:
        rotated = self.activations(features)
        weights = self.class_weights[classes]
        for_, against = rotated.relu(), (-rotated).relu()
        maps = self._evidence_map(for_, weights) - self._evidence_map(against, weights)
        pooled = self._pool(rotated)
        unit_maps = torch.where(pooled[:, :, None, None] < 0, against, for_)
        return Terms(weights * pooled, maps, unit_maps)

    def _evidence_map(self, side: Tensor, weights: Tensor) -> Tensor:
        """What one side of all channels ``(B, D, h, w)`` adds to the logit, at its positions, ``(B, h, w)``."""
        amounts = weights * self._pool(side)
        literal = "peak" if self.pooling in ("hard", "gumbel") else "spread"  # where the pooling reads
        if (self.evidence or literal) == "peak":
            peaks = (side == side.amax((-2, -1), keepdim=True)).to(amounts)  # equal ones share
            return ((amounts / peaks.sum((-2, -1)))[:, :, None, None] * peaks).sum(1)
        sums = side.sum((-2, -1))
        return ((amounts / torch.where(sums > 0, sums, 1))[:, :, None, None] * side).sum(1)

    def _bias(self) -> Tensor | None:
        return self.class_bias
