import pytest
import torch
from torch.nn.functional import cross_entropy

from lit_coiba.bottlenecks.fitting import Loss, PerImageAdam, fidelity_of_copies
from lit_coiba.core.batched_evaluator import BatchedEvaluator
from lit_coiba.core.targets.class_target import class_rows

IMAGES = torch.zeros(2, 3, 4, 4)
WEIGHTS = torch.tensor([[1.0, -2.0, 0.5], [3.0, 0.1, -0.2]])


def test_iba_9_each_image_is_scored_for_its_own_class():
    """The released notebook averages the table of all images and all targets."""
    logits = torch.randn(4 * 3, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    classes = torch.tensor([6, 0, 3])
    found = fidelity_of_copies(logits, class_rows(classes, 7), copies=4)
    by_copy = logits.view(4, 3, 7)
    for b in range(3):
        alone = cross_entropy(by_copy[:, b], classes[b].repeat(4))
        assert found[b].item() == pytest.approx(alone.item(), rel=1e-12)


def test_low_precision_logits_are_scored_in_single_precision():
    logits, targets = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)), class_rows(torch.tensor([1, 2]), 5)
    found = fidelity_of_copies(logits.bfloat16(), targets, copies=3)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, fidelity_of_copies(logits.bfloat16().float(), targets, copies=3))


class Quadratic:
    """Mean over copies n of ``w (alpha - 4)^2 / 2 + (step + n) alpha``, and information with the gradient ``alpha``."""

    def __init__(self):
        self.asked = []

    def loss(self, alpha, step, copies, rows):
        self.asked.append((step, copies.start, copies.stop, rows.start, rows.stop))
        slope = step + torch.arange(copies.start, copies.stop).float().mean()
        fidelity = (WEIGHTS[rows] * (alpha - 4).square() / 2).sum(1)
        return Loss(fidelity + (slope * alpha).sum(1), fidelity)

    def information_gradient(self, alpha):
        return alpha


@pytest.mark.parametrize("chunk", ["auto", 1, 3, 4])
def test_the_fit_is_adam_on_the_mean_over_copies(chunk):
    start = torch.tensor([[5.0, 5.0, 5.0], [4.0, 3.0, 6.0]])
    bottleneck, twin = Quadratic(), start.double()
    fitted = PerImageAdam(5, 0.5, 3, BatchedEvaluator(chunk)).fit(start.clone(), IMAGES, bottleneck)
    first, second, fidelities = torch.zeros_like(twin), torch.zeros_like(twin), []
    for step in range(5):  # Kingma and Ba, algorithm 1
        fidelities.append((WEIGHTS.double() * (twin - 4) ** 2 / 2).sum(1))
        slope = WEIGHTS.double() * (twin - 4) + step + 1 + twin  # 1: the mean of the copies 0, 1 and 2
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        twin -= 0.5 * (first / (1 - 0.9 ** (step + 1))) / ((second / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8)
    torch.testing.assert_close(fitted.alpha.double(), twin, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(fitted.fidelity_start.double(), fidelities[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(fitted.fidelity.double(), fidelities[-1], rtol=1e-4, atol=1e-5)
    assert not fitted.fidelity.requires_grad
    assert sorted({step for step, *_ in bottleneck.asked}) == [0, 1, 2, 3, 4]
    if chunk == 1:
        assert len(bottleneck.asked) == 5 * 3 * 2  # one copy of one image at a time


def test_what_is_told_of_a_fit_has_the_names_of_stores():
    fitted = PerImageAdam(2, 0.5, 1, BatchedEvaluator()).fit(torch.full((2, 3), 5.0), IMAGES, Quadratic())
    extras = {"cross_entropy_start": fitted.fidelity_start, "cross_entropy": fitted.fidelity}
    assert fitted.extras().keys() == extras.keys()
    assert all(fitted.extras()[name] is values for name, values in extras.items())
    assert not torch.equal(fitted.fidelity_start, fitted.fidelity)
