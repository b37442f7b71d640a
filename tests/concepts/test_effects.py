"""Interventions on concepts: against what a linear classifier says of them, and against edits by hand."""

import pytest
import torch
from torch import nn

from lit_coiba.backbones import Backbone
from lit_coiba.concepts.additive_head import additive_head
from lit_coiba.concepts.concept_network import ConceptNetwork
from lit_coiba.concepts.effects import concept_effects
from lit_coiba.concepts.lowered import Lowered
from lit_coiba.core.batched_evaluator import BatchedEvaluator
from lit_coiba.core.frozen import frozen
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.core.targets import Class
from tests._testers import tiny

CHANNELS, CLASSES = 6, 4


def pooled_linear():
    """A convolution with a ReLU, global average pooling, a linear classifier."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, CHANNELS, 8, stride=8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    module = nn.Sequential(*layers, nn.Linear(CHANNELS, CLASSES))
    return Backbone.wrap(module, Preprocessing((32, 32), 1.0, "bilinear", (0.0,) * 3, (1.0,) * 3)).eval()


def images(size=32, count=3):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def dictionary(channels, concepts=3):
    found = torch.rand(concepts, channels, generator=torch.Generator().manual_seed(2))
    return found / found.norm(dim=1, keepdim=True)


def test_under_a_linear_classifier_deletion_costs_what_the_concept_contributes():
    model, given = pooled_linear(), images()
    network = ConceptNetwork(model, "1", dictionary(CHANNELS))
    with frozen(model):
        lowered = Lowered.of(network, given)
        logits = lowered.logits(BatchedEvaluator())
        found = concept_effects(lowered, Class(2).resolve(logits))
    torch.testing.assert_close(logits, model(given).detach())
    weights, bias = model.model[-1].weight[2].detach(), model.model[-1].bias[2].detach()
    contributions = lowered.coefficients.mean((2, 3)) * (network.dictionary @ weights)
    torch.testing.assert_close(found.deletion.float(), -contributions)
    torch.testing.assert_close(found.raised.float(), contributions)
    torch.testing.assert_close(found.keep_only.float(), contributions + bias - logits[:, 2:3])


def test_of_a_transformer_the_prefix_stays_and_the_rest_of_the_activation_too():
    model, layer = tiny.vit(), "blocks.2"
    given = images(count=2)
    network = ConceptNetwork(model, layer, dictionary(32), "linear")
    with frozen(model):
        lowered = Lowered.of(network, given)
        found = concept_effects(lowered, Class(1).resolve(lowered.logits(BatchedEvaluator())))
        path = model.split([layer])
        state = path.lower(given)
        with torch.no_grad():
            edited = state.activation.clone()
            own = edited[:, 1:] @ network.dictionary[1]
            edited[:, 1:] -= own[..., None] * network.dictionary[1]
            logits, clean = path.upper(state, lambda _, __: edited), path.upper(state, lambda _, a: a)
    torch.testing.assert_close(found.deletion[:, 1].float(), (logits - clean)[:, 1], atol=1e-5, rtol=1e-4)
    assert found.deletion.abs().min() > 0


def test_pieces_change_nothing():
    model, given = tiny.vit(), images(count=3)
    network = ConceptNetwork(model, "blocks.2", dictionary(32), "linear")
    with frozen(model):
        lowered = Lowered.of(network, given)
        targets = Class(1).resolve(lowered.logits(BatchedEvaluator()))
        whole = concept_effects(lowered, targets)
        small = concept_effects(lowered, targets, BatchedEvaluator(2))
        alone = concept_effects(lowered.take(torch.tensor([2])), targets.take(slice(2, 3)))
    for one, other, last in zip(whole, small, alone):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(one[2:], last, atol=1e-5, rtol=1e-4)


def test_the_linear_classifier_is_found_by_asking():
    model = pooled_linear()
    with frozen(model):
        found = additive_head(model, "1", images())
    torch.testing.assert_close(found.weights, model.model[-1].weight.detach().T, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.bias, model.model[-1].bias.detach())


@pytest.mark.parametrize(("build", "layer", "size"), [(tiny.vit, "blocks.2", 32), (tiny.resnet, "layer2", 64)])
def test_where_more_is_above_there_is_none(build, layer, size):
    model = build()
    with frozen(model):
        assert additive_head(model, layer, images(size)) is None
