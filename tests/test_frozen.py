import pytest
import torch
from torch import nn

from lit_coiba.frozen import frozen


@pytest.fixture
def model():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Sequential(nn.Conv2d(4, 2, 1)))
    model.train()
    model[1].eval()
    model[3][0].weight.requires_grad_(False)
    model[0].bias.grad = torch.ones(4)
    return model


def flags(model):
    return [m.training for m in model.modules()], [p.requires_grad for p in model.parameters()]


def test_inside_the_model_evaluates_and_has_no_parameter_gradients(model):
    with frozen(model):
        training, trainable = flags(model)
        assert not any(training)
        assert not any(trainable)
        images = torch.ones(2, 3, 4, 4, requires_grad=True)
        assert torch.equal(model(images), model(images))  # no dropout
        model(images).sum().backward()
    assert images.grad is not None
    assert model[0].weight.grad is None
    assert torch.equal(model[0].bias.grad, torch.ones(4))
    assert model[1].num_batches_tracked == 0


@pytest.mark.parametrize("raised", [None, RuntimeError, KeyboardInterrupt])
def test_outside_flags_are_what_they_were(model, raised):
    before = flags(model)
    if raised is None:
        with frozen(model):
            pass
    else:
        with pytest.raises(raised), frozen(model):
            raise raised
    assert flags(model) == before


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode])
def test_gradients_are_on_also_where_the_caller_turned_them_off(model, around):
    with around():
        with frozen(model):
            assert torch.is_grad_enabled()
            assert not torch.is_inference_mode_enabled()
            leaf = torch.ones(2, requires_grad=True)
            assert torch.autograd.grad((leaf**2).sum(), leaf)[0].tolist() == [2, 2]
        assert not torch.is_grad_enabled()
        assert torch.is_inference_mode_enabled() == (around is torch.inference_mode)
    assert torch.is_grad_enabled()


def test_nested(model):
    before = flags(model)
    with frozen(model):
        with frozen(model):
            pass
        assert not any(p.requires_grad for p in model.parameters())
        assert not any(m.training for m in model.modules())
    assert flags(model) == before


def test_a_shared_module_is_given_back_too():
    shared = nn.Linear(2, 2)
    model = nn.Sequential(shared, shared).train()
    with frozen(model):
        assert not shared.training
    assert shared.training
    assert shared.weight.requires_grad


def test_a_plain_callable_is_left_alone():
    with torch.no_grad(), frozen(lambda images: images):
        assert torch.is_grad_enabled()
