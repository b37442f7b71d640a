"""The loss of a student against torch.distributions and a plain loop in double precision."""

import math

import pytest
import torch
from torch.distributions import Categorical, kl_divergence

from lit_coiba.losses import distillation_loss

TEMPERATURE, ALPHA, WEIGHT = 6.0, 0.3, 2.5


def logits(seed, dtype=torch.float64):
    return 3 * torch.randn(5, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


LABELS = torch.tensor([0, 3, 1, 1, 2])


def by_hand(student, teacher, probabilities):
    """Sample by sample, class by class."""
    total = 0.0
    for z_s, z_t, y in zip(student.tolist(), teacher.tolist(), probabilities.tolist()):
        soft = [[math.exp(v / TEMPERATURE) for v in z] for z in (z_s, z_t)]
        q, p = ([v / sum(values) for v in values] for values in soft)
        divergence = sum(b * math.log(b / a) for a, b in zip(q, p))
        norm = math.log(sum(math.exp(v) for v in z_s))
        hard = sum(share * (norm - v) for share, v in zip(y, z_s))
        total += ALPHA * TEMPERATURE**2 * divergence + (1 - ALPHA) * hard
    return WEIGHT * total / len(student)


def test_it_is_the_sum_of_the_definition():
    student, teacher = logits(0), logits(1)
    soft = torch.nn.functional.one_hot(LABELS, 4).double()
    mixed = 0.7 * soft + 0.3 * soft.roll(1, 0)
    for targets, probabilities in ((LABELS, soft), (mixed, mixed)):
        found = distillation_loss(student, teacher, targets, TEMPERATURE, ALPHA, WEIGHT)
        assert found.item() == pytest.approx(by_hand(student, teacher, probabilities), rel=1e-12)


def test_the_teacher_comes_first_in_the_divergence():
    student, teacher = logits(0), logits(1)
    p, q = (Categorical(logits=z / TEMPERATURE) for z in (teacher, student))
    found = distillation_loss(student, teacher, LABELS, TEMPERATURE, alpha=1.0)
    torch.testing.assert_close(found, TEMPERATURE**2 * kl_divergence(p, q).mean())
    assert not torch.isclose(found, TEMPERATURE**2 * kl_divergence(q, p).mean(), rtol=0.01)


def test_equal_logits_have_no_divergence():
    student = logits(0)
    assert distillation_loss(student, student, LABELS, TEMPERATURE, alpha=1.0).abs() < 1e-12
    shifted = distillation_loss(student, student + 7, LABELS, TEMPERATURE, alpha=1.0)  # the same probabilities
    assert shifted.abs() < 1e-12


def test_without_a_share_of_the_teacher_it_is_the_weighted_cross_entropy():
    student = logits(0)
    surprise = -student.softmax(1).log()[range(5), LABELS].mean()
    torch.testing.assert_close(
        distillation_loss(student, logits(1), LABELS, TEMPERATURE, alpha=0.0, weight=WEIGHT), WEIGHT * surprise
    )


def test_smoothing_is_of_the_labels_alone():
    student, teacher = logits(0), logits(1)
    smooth = 0.8 * torch.nn.functional.one_hot(LABELS, 4).double() + 0.2 / 4
    found = distillation_loss(student, teacher, LABELS, TEMPERATURE, ALPHA, WEIGHT, label_smoothing=0.2)
    assert found.item() == pytest.approx(by_hand(student, teacher, smooth), rel=1e-12)


def test_the_gradient_reaches_the_student_alone_and_keeps_its_size():
    student, teacher = logits(0).requires_grad_(True), logits(1).requires_grad_(True)
    for temperature in (1.0, 1e3):
        student.grad = None
        distillation_loss(student, teacher, LABELS, temperature, alpha=1.0).backward()
        assert teacher.grad is None
        expected = temperature * ((student / temperature).softmax(1) - (teacher / temperature).softmax(1)) / 5
        torch.testing.assert_close(student.grad, expected.detach(), rtol=1e-6, atol=1e-9)
    assert student.grad.abs().max() > 0.05  # at T = 1000


def test_half_precision_is_summed_in_single():
    student, teacher = logits(0, torch.bfloat16), logits(1, torch.bfloat16)
    found = distillation_loss(student, teacher, LABELS, TEMPERATURE, ALPHA)
    assert found.dtype == torch.float32
    exact = distillation_loss(student.double(), teacher.double(), LABELS, TEMPERATURE, ALPHA)
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=0)
