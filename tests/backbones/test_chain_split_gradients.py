import pytest
import torch

from tests._testers import tiny


@pytest.mark.parametrize(("network", "layer"), [(tiny.vit, "blocks.1"), (tiny.resnet, "layer2.1")])
def test_the_activation_has_gradients_with_respect_to_the_images(network, layer):
    model = network().double()
    images = tiny.images(2, model.preprocessing.size).double().requires_grad_(True)
    path = model.split([layer])
    activation = path.activation(images)
    torch.testing.assert_close(activation, path.lower(images).activation, rtol=1e-12, atol=1e-12)
    (gradient,) = torch.autograd.grad(activation.sum(), images)
    shift = tiny.images(2, model.preprocessing.size, seed=9).double()
    up, down = (path.lower(images + s * 1e-5 * shift).activation.sum() for s in (1, -1))
    torch.testing.assert_close((gradient * shift).sum(), (up - down) / 2e-5, rtol=1e-6, atol=0)
