"""Kind I: what is around the model, or inside it: compiled, scripted, exported, checkpointed, quantized, parallel."""

import warnings

import pytest
import timm
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from lit_coiba import attribution
from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.core.frozen import frozen
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.metrics import Insertion
from tests.faults.nets import SIZE, Net, images

BLACK_BOX = ("RISE", "Occlusion", "Sobol", "HSIC", "LIME", "KernelSHAP")
WITH_LAYERS = ("GradCAM", "ScoreCAM", "CoIBA", "IBA", "DeepLift", "AttnLRP", "Chefer", "NIB", "CompositeLRP")
FEW = {"RISE": {"n_samples": 8}, "Sobol": {"n_samples": 2, "grid_size": 2}, "HSIC": {"n_samples": 8, "grid_size": 2}}
FEW |= {"LIME": {"n_samples": 70}, "KernelSHAP": {"n_samples": 70}}


def method(name):
    return getattr(attribution, name)(**FEW.get(name, {}))


def vit(**arguments):
    return timm.create_model("vit_tiny_patch16_224", img_size=64, depth=2, num_classes=5, **arguments).eval()


@pytest.mark.parametrize("name", ["AttnLRP", "Chefer", "CoIBA", "GradCAM"])
def test_timm_s_checkpointing_is_off_while_a_method_runs(name):
    net = vit()
    plain = _map(name, Backbone.wrap(net, image_size=64))
    net.set_grad_checkpointing(True)
    assert torch.equal(_map(name, Backbone.wrap(net, image_size=64)), plain)
    assert net.grad_checkpointing


def test_so_it_is_for_deep_lift():
    net = timm.create_model("resnet10t", num_classes=5).eval()
    plain = _map("DeepLift", Backbone.wrap(net, image_size=64))
    net.set_grad_checkpointing(True)
    assert torch.equal(_map("DeepLift", Backbone.wrap(net, image_size=64)), plain)


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("name", ["DeepLift", "Saliency", "GradCAM", "CompositeLRP"])
def test_so_is_torch_s_own(name, reentrant):
    class Checkpointed(Net):
        def forward(self, x):
            return self.fc(checkpoint(self.f, x, use_reentrant=reentrant).mean((2, 3)))

    net = Checkpointed().eval()
    expected = method(name).attribute(Backbone.wrap(Net().eval(), image_size=SIZE), images(), 1)
    assert torch.equal(method(name).attribute(Backbone.wrap(net, image_size=SIZE), images(), 1), expected)
    ran = []
    net.f.register_forward_pre_hook(lambda *_: ran.append(1))
    net(images().requires_grad_()).sum().backward()
    assert len(ran) == 2  # it is on again behind


def test_checkpointing_comes_back_behind_an_error_and_within_another():
    from torch.utils import checkpoint as torch_s

    before, seen = torch_s.CheckpointFunction, []

    def fails():
        with frozen(Net()), frozen(Net()):
            seen.append(torch_s.CheckpointFunction)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert seen != [before]
    assert torch_s.CheckpointFunction is before


@pytest.mark.parametrize("where", ["outside", "inside", "in_place"])
def test_a_compiled_model_is_taken_out_or_runs_eagerly(where):
    net = vit()
    expected = _map("GradCAM", Backbone.wrap(net, image_size=64))
    if where == "outside":
        wrapped = torch.compile(net, backend="eager")
    elif where == "inside":
        wrapped, net.blocks = net, torch.compile(net.blocks, backend="eager")
    else:
        net.compile(backend="eager")
        wrapped = net
    for arguments in ({"image_size": 64}, {"preprocessing": Preprocessing(size=(64, 64))}):
        model = Backbone.wrap(wrapped, **arguments)
        layer = None if where != "inside" else next(n for n in model.layers() if n.endswith("1.norm1"))
        found = attribution.GradCAM(layer=layer).attribute(model, images(2, 64), 1)
        torch.testing.assert_close(found, expected)
    assert "compile" in str(model.report)


def test_data_parallel_is_taken_off():
    model = Backbone.wrap(nn.DataParallel(Net().eval()), image_size=SIZE)
    assert model.layers()[0] == "f.0"
    assert "DataParallel (taken off)" in str(model.report)


@pytest.fixture(scope="module", params=["script", "trace", "export", "export_of_one", "exported_module"])
def box(request):
    net = Net().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if request.param == "script":
            return torch.jit.script(net)
        if request.param == "trace":
            return torch.jit.trace(net, images())
        if request.param == "export_of_one":
            return torch.export.export(net, (images(1),))
        exported = torch.export.export(net, (images(),), dynamic_shapes=({0: torch.export.Dim("batch")},))
        return exported if request.param == "export" else exported.module()


@pytest.mark.parametrize("name", BLACK_BOX)
def test_a_box_is_explained_by_what_needs_scores(box, name):
    expected = method(name).attribute(Backbone.wrap(Net().eval(), image_size=SIZE), images(), 1)
    model = Backbone.wrap(box, image_size=SIZE)
    torch.testing.assert_close(method(name).attribute(model, images(), 1), expected, rtol=1e-3, atol=1e-5)
    assert model.num_classes == 3
    assert len(model.digest()) == 64


def test_a_box_is_scored(box):
    maps, given = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(0)), images()
    scores = [
        Insertion(steps=3).score(Backbone.wrap(net, image_size=SIZE), given, None, maps) for net in (box, Net().eval())
    ]
    torch.testing.assert_close(scores[0], scores[1])


@pytest.mark.parametrize("name", [*WITH_LAYERS, "UNI"])
def test_what_needs_layers_is_refused_with_the_wrapper_s_name(box, name):
    model = Backbone.wrap(box, image_size=SIZE)
    one = method(name)
    with pytest.raises(
        InputError, match=rf"{name} needs the layers of a network, and .*\((TorchScript|torch.export)\)"
    ):
        (one.prepare if "IBA" in name else one.attribute)(model, images())


@pytest.fixture(scope="module")
def quantized():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(vit(), {nn.Linear})


@pytest.mark.filterwarnings("ignore:.*quant")
@pytest.mark.parametrize("name", ["Saliency", "CoIBA", "GradCAM", "IntegratedGradients", "UNI"])
def test_no_gradients_flow_through_quantized_layers(quantized, name):
    model = Backbone.wrap(quantized, image_size=64)
    one = method(name)
    with pytest.raises(
        InputError, match=rf"{name} needs gradients, and none flow through .*quantized layers"
    ) as refusal:
        (one.prepare if "IBA" in name else one.attribute)(model, images(2, 64))
    assert len(str(refusal.value)) < 500


@pytest.mark.filterwarnings("ignore:.*quant")
def test_scores_of_quantized_layers_do_not_depend_on_the_batch(quantized):
    model, given = Backbone.wrap(quantized, image_size=64), images(3, 64)
    torch.testing.assert_close(model(given)[:1], model(given[:1]))
    assert method("RISE").attribute(model, given).any()


@pytest.mark.parametrize("name", ["Saliency", "GradCAM", "InputXGradient"])
def test_a_model_that_detaches_is_refused(name):
    class Detached(Net):
        def forward(self, x):
            with torch.no_grad():
                return super().forward(x)

    model = Backbone.wrap(Detached().eval(), image_size=SIZE)
    with pytest.raises(InputError, match=f"{name} needs gradients, and none flow through Detached"):
        method(name).attribute(model, images())
    assert method("RISE").attribute(model, images()).any()
    assert method("ScoreCAM").attribute(model, images()).any()


def _map(name, model):
    one = getattr(attribution, name)(**({"steps": 2, "copies": 1} if name == "CoIBA" else {}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one.prepare(model, [images(4, 64)])
    return one.attribute(model, images(2, 64), 1)
