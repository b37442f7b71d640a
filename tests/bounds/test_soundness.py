"""E2 and E3: no point of the ball leaves a bound, and tighter methods are tighter."""

import pytest
import torch
from torch import nn

from lit_coiba.bounds import Box, overlap, propagate, specification, trace, upper_bounds
from lit_coiba.core.targets import Class

CLASSES, DRAWS = 4, 100_000
BOUNDS = ("ibp", "crown_ibp", "crown")


class Net(nn.Module):
    """What rows have to pass: a strided convolution, max pooling, a residual sum, norms, a gate, average pooling."""

    def __init__(self, activation: type[nn.Module], seed: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), activation(), nn.MaxPool2d(3, 2, 1))
        self.one = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=2), nn.BatchNorm2d(4), activation())
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 4, 1), nn.Sigmoid())
        self.pool, self.fc = nn.AvgPool2d(2), nn.Linear(4, CLASSES)
        generator = torch.Generator().manual_seed(seed)
        for name, value in (*self.named_parameters(), *self.named_buffers()):
            if value.is_floating_point():
                nn.init.normal_(value, 0, 0.5, generator=generator) if value.dim() != 1 or "mean" in name else (
                    nn.init.uniform_(value, 0.5, 1.5, generator=generator)
                )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        stem = self.stem(images)
        mixed = stem + self.one(stem)
        return self.fc(self.pool(mixed * self.gate(mixed)).mean((2, 3)) * 2.0 - 0.5)


def net(activation: type[nn.Module] = nn.ReLU, seed: int = 0) -> nn.Module:
    return Net(activation, seed).double().eval().requires_grad_(False)


def point(seed: int) -> torch.Tensor:
    return torch.randn(1, 1, 6, 6, generator=torch.Generator().manual_seed(seed)).double()


def draws(count: int, seed: int = 1) -> torch.Tensor:
    """Half of them inside the ball of radius 1, half of them its corners."""
    inside = 2 * torch.rand(count, 1, 6, 6, generator=torch.Generator().manual_seed(seed)).double() - 1
    inside[::2] = inside[::2].sign()
    return inside


def ascent(model: nn.Module, image: torch.Tensor, rows: torch.Tensor, radius: float) -> torch.Tensor:
    """Projected gradient ascent of each row of logits from several starts; the highest values, ``(R,)``."""
    best = []
    for row in rows:
        shift = radius * draws(8, 2)
        for step in range(12):
            shift.requires_grad_()
            (slope,) = torch.autograd.grad((model(image + shift) @ row).sum(), shift)
            shift = (shift.detach() + radius * 0.5 * 0.8**step * slope.sign()).clamp(-radius, radius)
        best.append((model(image + shift) @ row).max())
    return torch.stack(best)


@pytest.mark.parametrize("radius", [0.01, 0.1, 0.5])
def test_no_perturbation_leaves_a_bound(radius):
    """E2, with 100,000 draws and an attack."""
    model, image = net(), point(0)
    program, box = trace(model, dtype=torch.float64), Box.around(image, radius)
    pairs, _ = specification(Class(2).resolve(model(image)))
    rows = torch.cat([torch.eye(CLASSES), -torch.eye(CLASSES), pairs[0]]).double()
    logits = torch.cat([model(image + radius * part) for part in draws(DRAWS).split(10_000)])
    attacked = ascent(model, image, rows, radius)
    for bound in BOUNDS:
        limits = upper_bounds(program, box, rows[None], bound)[0]
        assert int((logits @ rows.T > limits + 1e-9).sum()) == 0
        assert (attacked <= limits + 1e-9).all()
    assert (attacked >= (logits @ rows.T).amax(0) - 1e-9).sum() > len(rows) / 2  # the attack is one


@pytest.mark.parametrize("activation", [nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.SiLU, nn.GELU, nn.Hardswish, nn.Tanh])
@pytest.mark.parametrize("radius", [0.02, 0.3, 3.0])
def test_every_activation_is_sound_in_a_network(activation, radius):
    model, image = net(activation, 1), point(1)
    program, rows = trace(model, dtype=torch.float64), torch.eye(CLASSES).double()
    rows = torch.cat([rows, -rows])
    values = (model(image + radius * draws(5_000)) @ rows.T).amax(0)
    bounds = [upper_bounds(program, Box.around(image, radius), rows[None], bound)[0] for bound in BOUNDS]
    assert all((values <= bound + 1e-9).all() for bound in bounds)
    assert (bounds[1] <= bounds[0] + 1e-9).all()
    assert bounds[2].mean() <= bounds[1].mean() + 1e-9


@pytest.mark.parametrize("radius", [0.01, 0.1, 0.5])
def test_tighter_methods_and_forms_are_tighter(radius):
    """E3."""
    found = {}
    for seed in range(3):
        program, box = trace(net(seed=seed), dtype=torch.float64), Box.around(point(seed), radius)
        targets = Class(seed % CLASSES).resolve(torch.zeros(1, CLASSES))
        for bound in BOUNDS:
            for form in ("margin", "independent"):
                value = overlap(program, box, targets, bound, form)
                found.setdefault((bound, form), []).append(value)
    found = {key: torch.cat(values) for key, values in found.items()}
    assert all((found[bound, "margin"] <= found[bound, "independent"] + 1e-9).all() for bound in BOUNDS[:2])
    for form in ("margin", "independent"):
        assert (found["crown_ibp", form] <= found["ibp", form] + 1e-9).all()
        assert found["crown", form].mean() <= found["crown_ibp", form].mean() + 1e-9
    assert found["crown", "margin"].mean() < found["ibp", "margin"].mean()


def test_boxes_in_between_hold_every_activation():
    """Of interval arithmetic, and as full CROWN tightens them: no sample leaves one, and none grows."""
    model, image, radius = net(), point(3), 0.2
    program, box = trace(model, dtype=torch.float64), Box.around(image, radius)
    seen = []
    model.one[0].register_forward_hook(lambda module, args, output: seen.append(output))
    model(image + radius * draws(20_000))
    (name,) = (step.output for step in program.steps if step.output == "one_0")
    part = program.until(name)
    wide = propagate(part, box).boxes[name]
    assert (seen[0] >= wide.lower - 1e-9).all()
    assert (seen[0] <= wide.upper + 1e-9).all()
    entries = seen[0][0].numel()
    rows = torch.eye(entries).double().view(1, entries, *seen[0].shape[1:])
    limits = upper_bounds(part, box, rows, "crown")[0].view(seen[0].shape[1:])
    assert (seen[0] <= limits + 1e-9).all()
    assert (limits <= wide.upper + 1e-9).all()
