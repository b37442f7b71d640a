"""How much information passes a noise-injecting bottleneck, in closed form.

With z = lambda * r + (1 - lambda) * (mu + s * eps) and the prior N(mu, s^2), the Kullback-Leibler divergence per unit
is -1/2 * (1 + ln (1 - lambda)^2 - lambda^2 * rbar^2 - (1 - lambda)^2) nats, rbar = (r - mu) / s (Schulz et al., 2020).
Where lambda does not depend on the channel, the mean over channels depends on rbar only through m = mean of rbar^2.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

BITS_PER_NAT = 1 / math.log(2)


def information(alpha: Tensor, squared: Tensor) -> Tensor:
    """Information per unit in nats, for lambda = sigmoid(alpha); shapes broadcast.

    -ln(1 - lambda) is computed as softplus(alpha), which stays finite where ``log(1 - sigmoid(alpha))`` overflows, and
    1 - (1 - lambda)^2 as lambda * (2 - lambda), which keeps the digits of a small lambda.

    Args:
        alpha: Logit of the damping ratio lambda.
        squared: rbar^2, or its mean over the channels that share lambda.

    Example:
        >>> information(torch.tensor([5.0, 0.0, -1.0]), torch.tensor(1.0))
        tensor([5.0001, 0.4431, 0.1166])
    """
    ratio = torch.sigmoid(alpha)
    return 0.5 * ratio.square() * (squared + 1) + (softplus(alpha) - ratio)


def information_gradient(alpha: Tensor, squared: Tensor) -> Tensor:
    """Derivative of `information` with respect to `alpha`."""
    ratio, one_minus_ratio = torch.sigmoid(alpha), torch.sigmoid(-alpha)
    return ratio.square() * (1 + one_minus_ratio * (squared + 1))


def information_of_ratio(ratio: Tensor, one_minus_ratio: Tensor, squared: Tensor) -> Tensor:
    """`information` for a ratio that is no longer a sigmoid (smoothed, resized); finite for all ratios in [0, 1].

    Args:
        ratio: lambda, the share of signal.
        one_minus_ratio: 1 - lambda, computed without cancellation (smooth sigmoid(-alpha), not ``1 - ratio``).
        squared: rbar^2, or its mean over the channels that share lambda.
    """
    small = torch.log1p(-ratio.clamp_max(0.5))
    large = one_minus_ratio.clamp_min(torch.finfo(one_minus_ratio.dtype).tiny).log()
    log_one_minus_ratio = torch.where(ratio < 0.5, small, large)
    return 0.5 * ratio.square() * (squared + 1) - (ratio + log_one_minus_ratio)


def beyond_masked_prior(ratio: Tensor, one_minus_ratio: Tensor, closed: Tensor) -> tuple[Tensor, Tensor]:
    """The ratio that `information_of_ratio` counts where the prior itself passes part of the signal.

    InputIBA (Zhang et al., 2021) measures z = lambda * x + (1 - lambda) * (mu + s * eps) against what is left of x when
    it is damped by lambda * g, N(g lambda x + (1 - g lambda) mu, ((1 - g lambda) s)^2). With rn = (x - mu) (1 - g) /
    ((1 - g lambda) s) and v = (1 - lambda)^2 / (1 - g lambda)^2 their divergence is -1/2 (1 + ln v - (lambda rn)^2 - v)
    nats, which is the plain form at the ratio 1 - sqrt(v) = lambda (1 - g) / (1 - g lambda): lambda itself at g = 0,
    and zero, free of charge, at g = 1.

    Args:
        ratio: lambda.
        one_minus_ratio: 1 - lambda, computed without cancellation.
        closed: 1 - g, what the prior holds back, computed without cancellation.

    Returns:
        This ratio, and one minus it.

    Example:
        >>> beyond_masked_prior(torch.tensor(0.5), torch.tensor(0.5), torch.tensor([1.0, 0.25, 0.0]))
        (tensor([0.5000, 0.2000, 0.0000]), tensor([0.5000, 0.8000, 1.0000]))
    """
    signal = ratio * closed
    total = (one_minus_ratio + signal).clamp_min(torch.finfo(one_minus_ratio.dtype).tiny)
    return signal / total, one_minus_ratio / total
