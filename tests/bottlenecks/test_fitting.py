import pytest
import torch
from torch.nn.functional import cross_entropy

from lit_coiba.bottlenecks.fitting import cross_entropy_of_copies, fit


def test_iba_9_each_image_is_scored_for_its_own_class():
    """The released notebook averages the table of all images and all targets."""
    logits = torch.randn(4 * 3, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    targets = torch.tensor([6, 0, 3])
    found = cross_entropy_of_copies(logits, targets, copies=4)
    by_copy = logits.view(4, 3, 7)
    for b in range(3):
        alone = cross_entropy(by_copy[:, b], targets[b].repeat(4))
        assert found[b].item() == pytest.approx(alone.item(), rel=1e-12)


def test_low_precision_logits_are_scored_in_single_precision():
    logits = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)).bfloat16()
    found = cross_entropy_of_copies(logits, torch.tensor([1, 2]), copies=3)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, cross_entropy_of_copies(logits.float(), torch.tensor([1, 2]), copies=3))


def test_fit_is_adam_without_the_pass_that_no_one_reads():
    alpha, twin = torch.full((2, 3), 5.0, requires_grad=True), torch.full((2, 3), 5.0, dtype=torch.float64)
    weights = torch.tensor([[1.0, -2.0, 0.5], [3.0, 0.1, -0.2]])
    steps = []

    def gradient(step):
        steps.append(step)
        return weights * (alpha.detach() - 4) + step

    fit(alpha, gradient, steps=6, lr=0.5)
    first, second = torch.zeros_like(twin), torch.zeros_like(twin)
    for step in range(5):  # Kingma and Ba, algorithm 1
        slope = weights.double() * (twin - 4) + step
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        twin -= 0.5 * (first / (1 - 0.9 ** (step + 1))) / ((second / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8)
    assert steps == [0, 1, 2, 3, 4]
    torch.testing.assert_close(alpha.detach().double(), twin, rtol=1e-5, atol=1e-5)
