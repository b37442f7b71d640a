"""Check 5 of harmonization: two redundant cues, of which people mark the left one.

The signed gradient, as in the public code, is matched in its positive part only, so evidence against the other classes
may stay on the right: there the share rises, and the model goes on using the right cue. With the absolute gradient it
no longer does.
"""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from lit_coiba.losses.harmonization import evaluation_saliency, harmonization_loss, training_saliency

NOISE, STEPS, BATCH = 2.5, 500, 64
LEFT, RIGHT = (slice(5, 11), slice(1, 7)), (slice(5, 11), slice(9, 15))


def samples(seed, left=True, right=True, count=1024):
    """Gray noise, and brighter or darker patches on the left and on the right."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    images = NOISE * torch.randn(count, 1, 16, 16, generator=generator)
    for shown, (rows, columns) in ((left, LEFT), (right, RIGHT)):
        images[:, :, rows, columns] += shown * (2.0 * labels - 1).view(-1, 1, 1, 1)
    return images.repeat(1, 3, 1, 1), labels


def trained(kind, weight):
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Flatten()]
    model = nn.Sequential(*layers, nn.Linear(8 * 256, 2))
    people = torch.zeros(16, 16)
    people[LEFT] = 1
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    images, labels = samples(1)
    for _ in range(STEPS):
        some = torch.randperm(len(images))[:BATCH]
        x = images[some].requires_grad_()
        logits = model(x)
        loss = cross_entropy(logits, labels[some])
        if weight:
            saliency = training_saliency(logits, x, labels[some], kind)
            mapped = torch.ones(BATCH, dtype=torch.bool)
            loss = loss + weight * harmonization_loss(saliency, people.expand(BATCH, -1, -1), mapped, levels=3)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval().requires_grad_(False)


def measured(model):
    """Accuracy with both cues and with each alone, and the left half's share of the absolute gradient."""
    shown = {"both": (True, True), "left": (True, False), "right": (False, True)}
    row = {}
    for name, cues in shown.items():
        images, labels = samples(2, *cues)
        row[name] = (model(images).argmax(1) == labels).float().mean().item()
    images, labels = samples(2)
    _, saliency = evaluation_saliency(model, images, labels)
    row["share"] = (saliency[..., :8].sum((1, 2)) / saliency.sum((1, 2))).mean().item()
    print(row)
    return row


@pytest.fixture(scope="module")
def plain():
    return measured(trained("signed", 0.0))


def test_a_plain_model_uses_both(plain):
    assert plain["share"] == pytest.approx(0.5, abs=0.05)
    assert min(plain["left"], plain["right"]) > 0.85
    assert plain["both"] > 0.95


def test_the_absolute_gradient_moves_saliency_and_reliance_to_the_marked_cue(plain):
    row = measured(trained("absolute", 1.0))
    assert row["share"] > 0.8
    assert row["both"] > plain["both"] - 0.02
    assert row["left"] > plain["left"]
    assert row["right"] < 0.65  # chance is 0.5


def test_the_signed_gradient_moves_saliency_more_than_reliance(plain):
    row = measured(trained("signed", 1.0))
    assert plain["share"] + 0.15 < row["share"]
    assert row["both"] > plain["both"] - 0.02
    assert row["right"] > 0.65  # it still uses what nobody marked
