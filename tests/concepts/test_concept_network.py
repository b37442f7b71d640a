"""A network that ends in concepts is a network: whole and split give the same, and methods explain its outputs."""

import pytest
import torch

from lit_coiba.attribution import RISE, GradCAM, HiResCAM, IntegratedGradients, Occlusion, Saliency
from lit_coiba.concepts import Concept, ConceptNetwork, encode
from lit_coiba.core.errors import InputError
from lit_coiba.core.frozen import frozen
from tests._testers import tiny

CASES = [(tiny.resnet, "layer2", "layer1"), (tiny.vit, "blocks.3", "blocks.1.norm1"), (tiny.swin, "norm", "layers.0")]


def network_of(build, layer, encoding="nnls"):
    model = build()
    channels = model.grid(layer).channels
    dictionary = torch.randn(5, channels, generator=torch.Generator().manual_seed(0))
    return ConceptNetwork(model, layer, dictionary, encoding), tiny.images(2, model.preprocessing.size)


@pytest.mark.parametrize(("build", "layer", "below"), CASES)
def test_outputs_are_means_of_coefficients_that_are_encoded_place_by_place(build, layer, below):
    network, images = network_of(build, layer)
    split = network.model.split([layer])
    with torch.no_grad():
        spatial = split.grids[0].to_spatial(split.lower(images).activation)
        found = network.features(images)
        expected = encode(spatial.movedim(1, -1), network.dictionary)
        torch.testing.assert_close(found, expected.movedim(-1, 1), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(network(images), found.mean((2, 3)))
    assert found.min() >= 0
    assert network.num_classes == 5


@pytest.mark.parametrize(("build", "layer", "below"), CASES)
def test_split_anywhere_below_gives_the_same(build, layer, below):
    network, images = network_of(build, layer)
    with frozen(network), torch.no_grad():
        whole = network(images)
        for layers in ([below], [layer], [below, layer]):
            split = network.split(layers)
            assert sorted(split.layers) == sorted(layers)
            seen = []
            found = split.upper(split.lower(images), lambda i, activation, seen=seen: seen.append(i) or activation)
            torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-5)
            assert seen == list(range(len(layers)))
            nothing = split.upper(split.lower(images), lambda i, activation: torch.zeros_like(activation))
            assert not torch.allclose(nothing, whole)
    hooks = [len(module._forward_hooks) for module in network.modules()]
    assert sum(hooks) == 0


@pytest.mark.parametrize("method", [Saliency(), GradCAM(), HiResCAM(relu=False), Occlusion(), RISE(n_samples=50)])
@pytest.mark.parametrize(("build", "layer"), [(tiny.resnet, "layer2"), (tiny.vit, "blocks.3")])
def test_methods_explain_a_concept(method, build, layer):
    network, images = network_of(build, layer)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    maps = method.attribute(network, images, Concept("strongest"))
    assert maps.isfinite().all()
    assert (maps.abs().amax((1, 2)) > 0).all()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    other = method.attribute(network, images, Concept(int(network(images)[0].argsort()[-2])))
    assert not torch.allclose(maps[0], other[0])


def test_saliency_is_the_gradient_by_finite_differences():
    network, images = network_of(tiny.resnet, "layer2")
    network, images = network.double(), images.double()
    leaf = images.clone().requires_grad_()
    concept = int(network(images)[0].argmax())
    (gradient,) = torch.autograd.grad(network(leaf)[:, concept].sum(), leaf)
    direction = torch.randn(images.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    direction /= direction.norm()
    step = 1e-6
    with torch.no_grad():
        up, down = (network(images + sign * step * direction)[:, concept].sum() for sign in (1, -1))
    torch.testing.assert_close((gradient * direction).sum(), (up - down) / (2 * step), rtol=1e-4, atol=1e-9)


def test_at_the_layer_itself_hires_cam_sums_to_the_coefficient():
    """Coefficients are homogeneous of degree 1 in the activation."""
    network, images = network_of(tiny.resnet, "layer2")
    maps = HiResCAM(relu=False).attribute(network, images, Concept(0))
    torch.testing.assert_close(maps.sum((1, 2)), network(images)[:, 0].detach(), rtol=1e-4, atol=1e-6)


def test_integrated_gradients_add_up_to_the_change_of_the_coefficient():
    network, images = network_of(tiny.resnet, "layer2")
    maps = IntegratedGradients(steps=64).attribute(network, images, Concept("strongest"))
    with torch.no_grad():
        clean, empty = network(images), network(torch.zeros_like(images))
    strongest = clean.argmax(1, keepdim=True)
    change = (clean - empty).gather(1, strongest).squeeze(1)
    torch.testing.assert_close(maps.sum((1, 2)), change, rtol=0.05, atol=0.02)


def test_a_network_of_principal_directions_has_linear_outputs():
    network, images = network_of(tiny.vit, "blocks.3", "linear")
    assert network(images).min() < 0
    assert GradCAM(relu=False).attribute(network, images, Concept(1)).isfinite().all()


def test_layers_above_the_concepts_are_refused():
    network, _ = network_of(tiny.resnet, "layer2")
    assert network.layers()[-1] == "layer2"
    assert "layer3" not in network.layers()
    assert network.cam_layer() == "layer2"
    assert set(network.default_layers()) <= set(network.layers())
    assert set(network.candidate_layers()) <= set(network.layers())
    with pytest.raises(InputError, match="layer layer4 lies above layer2"):
        network.split(["layer4"])
    with pytest.raises(InputError, match="layer5"):
        network.split(["layer5"])


def test_its_digest_is_that_of_model_layer_and_concepts():
    network, _ = network_of(tiny.resnet, "layer2")
    again, _ = network_of(tiny.resnet, "layer2")
    turned = ConceptNetwork(network.model, "layer2", network.dictionary.flip(0))
    assert network.digest() == again.digest()
    assert len({network.digest(), turned.digest(), network.model.digest()}) == 3


def test_concepts_of_k_means_are_explained_by_scores_alone():
    network, images = network_of(tiny.vit, "blocks.3", "nearest")
    torch.testing.assert_close(network(images).sum(1), torch.ones(2))
    assert Occlusion().attribute(network, images, Concept("strongest")).isfinite().all()
    for method in (Saliency(), GradCAM()):
        with pytest.raises(InputError, match="concepts of k-means have no gradient"):
            method.attribute(network, images, Concept(0))


def test_what_is_known_of_the_model_is_known_of_the_network():
    network, _ = network_of(tiny.resnet, "layer2")
    assert network.behavior.outputs == 5
    assert network.behavior.batch == network.model.behavior.batch


def test_half_precision_is_encoded_in_single_precision():
    network, images = network_of(tiny.vit, "blocks.3")
    whole = network(images)
    network.model.bfloat16()
    half = network(images.bfloat16())
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, whole, rtol=0.2, atol=0.05)
