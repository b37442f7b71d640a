"""HKR losses: identities, a plain loop of the definitions, deel-torchlip, and the transport distance of scipy."""

import math

import pytest
import torch
from scipy.stats import wasserstein_distance

from lit_coiba.losses.hkr import hinge, hkr, kr, multiclass_hkr
from lit_coiba.losses.lse_hkr import lse_hkr
from lit_coiba.losses.soft_hkr import SoftHKR
from lit_coiba.losses.tau_cross_entropy import tau_cross_entropy

CLASSES = 5


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


LOGITS, TARGETS = 2 * drawn(12, CLASSES), torch.tensor([0, 1, 2, 3, 4, 0, 1, 2, 0, 0, 3, 1])
VALUES, POSITIVE = 2 * drawn(12, seed=1), TARGETS < 2


def test_kr_of_the_optimal_function_is_the_transport_distance():
    """Check 1: of two Gaussians in one dimension, moved apart, f(x) = x is optimal."""
    x = torch.cat([drawn(4000), drawn(4000, seed=2) + 3])
    positive = torch.arange(8000) >= 4000
    exact = wasserstein_distance(x[4000:].numpy(), x[:4000].numpy())
    assert kr(x, positive).item() == pytest.approx(exact, rel=1e-9)
    assert exact == pytest.approx(3, rel=0.02)


def test_the_ends_of_alpha_are_kr_and_the_hinge():
    assert hkr(VALUES, POSITIVE, 0.0) == -kr(VALUES, POSITIVE)
    assert hkr(VALUES, POSITIVE, 1.0, 0.4) == hinge(VALUES, POSITIVE, 0.4).mean()
    for alpha in (0.0, 1.0):
        torch.testing.assert_close(hkr(-VALUES, ~POSITIVE, alpha), hkr(VALUES, POSITIVE, alpha))  # classes swapped


def test_a_constant_has_no_distance_and_one_class_alone_is_finite():
    constant = torch.full((12,), 3.0, dtype=torch.float64)
    assert kr(constant, POSITIVE).abs() < 1e-12
    everything = torch.ones(12, dtype=torch.bool)
    assert hkr(VALUES, everything).isfinite()
    assert kr(VALUES, everything) == VALUES.mean()
    assert multiclass_hkr(LOGITS, torch.zeros(12, dtype=torch.int64)).isfinite()


def test_multiclass_hkr_is_the_loop_of_the_definition():
    alpha, margin = 0.8, 0.6
    distances, hinges = [], []
    for k in range(CLASSES):
        own = [f[k] for f, y in zip(LOGITS.tolist(), TARGETS.tolist()) if y == k]
        rest = [f[k] for f, y in zip(LOGITS.tolist(), TARGETS.tolist()) if y != k]
        distances.append(sum(own) / len(own) - sum(rest) / len(rest))
    for f, y in zip(LOGITS.tolist(), TARGETS.tolist()):
        terms = [max(0, margin / 2 - (v if k == y else -v)) * (CLASSES - 1 if k == y else 1) for k, v in enumerate(f)]
        hinges.append(sum(terms) / CLASSES)
    expected = alpha * sum(hinges) / len(hinges) - (1 - alpha) * sum(distances) / CLASSES
    assert multiclass_hkr(LOGITS, TARGETS, alpha, margin).item() == pytest.approx(expected, rel=1e-12)


def soft_by_hand(alpha, margin, tau, average):
    temperature = min(max(tau * margin / max(average, margin), 0.005), 250)
    total = 0.0
    for f, y in zip(LOGITS.tolist(), TARGETS.tolist()):
        norm = sum(math.exp(temperature * v) for k, v in enumerate(f) if k != y)
        for k, v in enumerate(f):
            weight, s = (1, 1) if k == y else (math.exp(temperature * v) / norm, -1)
            total += weight * ((1 - alpha) * -s * v + alpha * max(0, margin / 2 - s * v))
    return total / len(LOGITS)


def test_soft_hkr_is_the_loop_of_the_definition_and_its_average_moves():
    loss = SoftHKR(0.7, 0.5, 3.0)
    size = LOGITS.abs().mean().item()
    average = 0.5
    for _ in range(3):
        average = 0.99 * average + 0.01 * size
        assert loss(LOGITS, TARGETS).item() == pytest.approx(soft_by_hand(0.7, 0.5, 3.0, average), rel=1e-6)
    loss.eval()
    for _ in range(2):  # an evaluation leaves the average as it is
        assert loss(LOGITS, TARGETS).item() == pytest.approx(soft_by_hand(0.7, 0.5, 3.0, average), rel=1e-6)
    again = SoftHKR(0.7, 0.5, 3.0)
    again.load_state_dict(loss.state_dict())
    assert again.eval()(LOGITS, TARGETS) == loss(LOGITS, TARGETS)


def test_gradients_flow_through_the_weights_of_soft_hkr():
    """F is not a constant: the gradient is that of the whole expression, by differences."""
    loss = SoftHKR().eval()
    given = LOGITS.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda f: loss(f, TARGETS), (given,))


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.9, 1.0])
def test_they_equal_those_of_deel_torchlip(alpha):
    torchlip = pytest.importorskip("deel.torchlip", reason="deel-torchlip is not installed")
    hot = torch.nn.functional.one_hot(TARGETS, CLASSES)
    pairs = [
        (hkr(VALUES, POSITIVE, alpha, 0.7), torchlip.HKRLoss(alpha, 0.7)(VALUES[:, None], POSITIVE[:, None].double())),
        (multiclass_hkr(LOGITS, TARGETS, alpha, 0.7), torchlip.HKRMulticlassLoss(alpha, 0.7)(LOGITS, hot)),
        (
            SoftHKR(alpha, 0.7, 2.0)(LOGITS, TARGETS),
            torchlip.SoftHKRMulticlassLoss(alpha, 0.7, temperature=2.0)(LOGITS, hot),
        ),
        (lse_hkr(LOGITS, TARGETS, alpha, 0.7), torchlip.LseHKRMulticlassLoss(alpha, min_margin=0.7)(LOGITS, hot)),
        (tau_cross_entropy(LOGITS, TARGETS, 5.0), torchlip.TauCrossEntropyLoss(5.0)(LOGITS, TARGETS)),
    ]
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs.to(ours), rtol=1e-5, atol=1e-6)


def test_the_smooth_maximum_lies_within_half_a_band():
    """KR alone: l - f_y, where l is at least the largest other logit, and half a margin more at most."""
    for classes in (2, CLASSES):
        logits, targets = LOGITS[:, :classes], TARGETS.clamp_max(classes - 1)
        hidden = logits.scatter(1, targets[:, None], -math.inf).amax(1)
        exact = (hidden - logits.gather(1, targets[:, None]).squeeze(1)).mean()
        found = lse_hkr(logits, targets, 0.0, 0.5)
        assert exact <= found <= exact + 0.25


def test_temperature_of_cross_entropy():
    expected = torch.nn.functional.cross_entropy(7 * LOGITS, TARGETS) / 7
    torch.testing.assert_close(tau_cross_entropy(LOGITS, TARGETS, 7.0), expected)
