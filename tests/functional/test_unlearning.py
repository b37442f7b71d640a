import pytest
import torch
from torch import nn

from lit_coiba.core.frozen import frozen
from lit_coiba.functional.unlearning import against, divergence, match, project, unit, unlearned_logits
from lit_coiba.propagation.attention import unfused_attention
from tests._testers import tiny


def slow_unlearned(model, image, label, eta):
    """The definition: a copy of the model, one step of the cross-entropy's own gradient."""
    weights = {name: parameter.detach().clone().requires_grad_() for name, parameter in model.named_parameters()}
    loss = nn.functional.cross_entropy(torch.func.functional_call(model, weights, (image[None],)), label[None])
    slopes = torch.autograd.grad(loss, list(weights.values()), materialize_grads=True)
    length = torch.cat([slope.flatten() for slope in slopes]).norm()
    moved = {name: weights[name] + eta * slope / length for name, slope in zip(weights, slopes)}
    return torch.func.functional_call(model, moved, (image[None],))[0].detach()


@pytest.mark.parametrize("network", [tiny.resnet, tiny.vit, tiny.swin])
def test_unlearning_is_a_step_of_the_cross_entropy(network):
    model = network().double()
    images, labels = tiny.images(3, model.preprocessing.size).double(), torch.tensor([3, 0, 7])
    expected = torch.stack([slow_unlearned(model, x, c, 0.5) for x, c in zip(images, labels)])
    with frozen(model):
        found = [unlearned_logits(model, images, labels, 0.5)]
        with unfused_attention(model):
            found += [unlearned_logits(model, images, labels, 0.5, at_once) for at_once in (2, 3)]
    for logits in found:
        torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-9)
    assert not torch.allclose(expected, model(images), atol=1e-2)


def test_models_that_cannot_be_vectorised_run_one_by_one():
    class Branching(nn.Linear):
        def forward(self, x):
            return super().forward(x.flatten(1)) * (2 if x.sum().item() > 0 else 1)

    torch.manual_seed(0)
    model, images, labels = Branching(12, 3).double(), torch.randn(4, 3, 2, 2).double(), torch.tensor([0, 1, 2, 0])
    found = unlearned_logits(model, images, labels, 1.0, at_once=4)
    torch.testing.assert_close(found, unlearned_logits(model, images, labels, 1.0), rtol=0, atol=0)


def test_a_fault_of_the_model_is_not_hidden():
    class Broken(nn.Linear):
        def forward(self, x):
            raise RuntimeError("the model failed")

    with pytest.raises(RuntimeError, match="the model failed"):
        unlearned_logits(Broken(12, 3), torch.zeros(2, 12), torch.tensor([0, 1]), 1.0, at_once=2)


def test_log_odds_do_not_round_away():
    logits = torch.tensor([[100.0, 0.0, 0.0], [0.0, 1.0, 2.0]], dtype=torch.float64)
    found = against(logits, torch.tensor([0, 2]))
    assert found[0] == pytest.approx(torch.tensor(2.0).log().item() - 100)
    prob = logits[1].softmax(0)[2]
    assert found[1] == pytest.approx(((1 - prob) / prob).log().item())
    torch.testing.assert_close(against(logits.float(), torch.tensor([0, 2])), found.float())


def test_divergence_of_impossible_classes():
    prob, log_prob = torch.tensor([[0.0, 1.0], [0.5, 0.5]]), torch.tensor([[-torch.inf, 0.0], [-1.0, -1.0]])
    found = divergence(prob, log_prob)
    torch.testing.assert_close(found, torch.tensor([0.0, 1 - 0.6931472]))


@pytest.mark.parametrize("norm", [1.0, 2.0, torch.inf])
def test_projections_keep_directions(norm):
    shift = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0))
    shift[2] *= 1e-4
    ball, sphere = (project(shift, 0.5, norm, kind) for kind in ("ball", "sphere"))
    for found, lengths in ((ball, [0.5, 0.5, None]), (sphere, [0.5, 0.5, 0.5])):
        for row, origin, length in zip(found, shift, lengths):
            cosine = torch.nn.functional.cosine_similarity(row.flatten(), origin.flatten(), dim=0)
            assert cosine == pytest.approx(1, abs=1e-6)
            if length is not None:
                assert row.flatten().norm(norm) == pytest.approx(length)
    assert torch.equal(ball[2], shift[2])
    assert torch.equal(project(shift, torch.inf, norm, "ball"), shift)
    zeros = torch.zeros(1, 3)
    assert not any(project(zeros, 0.5, norm, kind).any() for kind in ("ball", "sphere"))
    assert not unit(zeros, norm).any()


def test_the_best_shift_is_kept():
    """A step far too long overshoots; the start was better."""
    prob = torch.tensor([[0.6, 0.4]])
    found = match(
        lambda x: x, torch.zeros(1, 2), prob, torch.zeros(1, 2),
        steps=1, mu=50.0, decay=1.0, eps=torch.inf, norm=2.0, projection="ball",
    )  # fmt: skip
    assert not found.shift.any()
    assert found.end == found.start
    torch.testing.assert_close(found.log_prob.exp(), torch.tensor([[0.5, 0.5]]))


def test_where_there_is_no_direction_nothing_is_unlearned_however_long_the_step():
    model, images = nn.Linear(4, 1), torch.ones(2, 4)  # one class: no odds, no gradient
    found = unlearned_logits(model, images, torch.zeros(2, dtype=torch.long), 1e3)
    torch.testing.assert_close(found, model(images).detach())
