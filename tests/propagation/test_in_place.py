import pytest
import timm
import torch
from torch import fx, nn

from lit_coiba.core.errors import Unsupported
from lit_coiba.propagation.in_place import refuse_overwriting
from lit_coiba.propagation.tracing import list_steps


class WithSum(nn.Module):
    """An activation in place, and a sum of its output with what `shown` makes of its input, before or after it."""

    def __init__(self, shown, before=True):
        super().__init__()
        self.conv, self.act, self.shown = nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), shown
        self.before = before

    def forward(self, x):
        x = self.conv(x)
        other = self.shown(x) if self.before else None
        y = self.act(x)
        return y + (other if self.before else self.shown(x)).reshape(y.shape)


class Clone(nn.Module):
    def forward(self, x):
        return x.clone()


class View(nn.Module):
    def forward(self, x):
        return x.flatten(1).unsqueeze(-1)


def refuse(model):
    refuse_overwriting(model, fx.symbolic_trace(model).eval().graph)


def apart_is_another_function(model):
    """By running it both ways."""
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    in_place = model(images)
    model.act.inplace = False
    apart = model(images)
    model.act.inplace = True
    return not torch.allclose(in_place, apart)


@pytest.mark.parametrize("shown", [nn.Identity(), nn.Dropout(0.5), View(), Clone(), nn.Conv2d(4, 4, 1)], ids=repr)
@pytest.mark.parametrize("before", [True, False])
def test_what_computes_another_function_apart_is_refused_and_nothing_else(shown, before):
    torch.manual_seed(0)
    model = WithSum(shown, before).eval()
    if apart_is_another_function(model):
        with pytest.raises(Unsupported, match="writes in place into a tensor that is used again") as refusal:
            refuse(model)
        assert (refusal.value.where, refusal.value.remedy) == ("act", "build the model with inplace=False")
        model.act.inplace = False
    else:
        assert before
        assert not isinstance(shown, (nn.Identity, nn.Dropout, View))
    refuse(model)


def test_values_that_were_written_may_be_read_and_written_again():
    class Again(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.act, self.skip = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(inplace=True), nn.Identity()

        def forward(self, x):
            y = self.skip(self.act(self.conv(x)))
            y += x
            return self.act(y).flatten(1)

    refuse(Again().eval())


def test_a_dropout_writes_nothing_in_evaluation():
    model = WithSum(nn.Identity()).eval()
    model.act = nn.Dropout(0.5, inplace=True)
    refuse(model.eval())


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_lite0", "densenet121", "mobilenetv3_small_050"])
def test_models_of_timm_read_nothing_that_was_overwritten(name):
    model = timm.create_model(name).eval()
    assert any(getattr(module, "inplace", False) for module in model.modules())
    assert list_steps(model, lambda module: False).nodes
