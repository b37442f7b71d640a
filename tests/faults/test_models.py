"""Kinds D, F, J and K: models that write into their input, let images see one another, or are not what they say."""

import copy
import inspect
import warnings

import pytest
import timm
import torch
from torch import nn

import lit_coiba.attribution as methods
from lit_coiba import metrics
from lit_coiba.attribution import Saliency
from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data.synthetic.dataset import SPLITS
from lit_coiba.data.synthetic_parts import SyntheticParts
from lit_coiba.modules.explainer import Explainer
from lit_coiba.modules.scorer import Scorer
from lit_coiba.trainer import Trainer
from tests._testers import readouts
from tests.faults.nets import (
    SIZE,
    BatchNormed,
    Blanked,
    Centered,
    Dropping,
    Named,
    Net,
    Noisy,
    Rectified,
    Silent,
    Squeezed,
    Unwritten,
    Written,
    images,
)

WRITING = [Written, Rectified, Blanked, Silent]
CHEAP = {"n_samples": 16, "steps": 2, "copies": 2, "feature_steps": 2, "epochs": 1, "matching_steps": 1}
OWN = {
    "EVA": {"radius": 0.01, "patch": 16, "n_samples": None},
    "CompositeLRP": {"composite": "epsilon_plus"},
    "LIME": {"n_samples": 70},
}
OWN |= {"KernelSHAP": {"n_samples": 70}, "InputIBA": {"n_samples": 2, "smoothing": 0.5}, "Sobol": {"n_samples": 2}}
NOT_HERE = dict.fromkeys(("AttentionRollout", "AttnLRP", "Chefer"), "attention") | {"HeadAttribution": "head"}


def wrapped(net, **arguments):
    return Backbone.wrap(net.eval(), image_size=SIZE, **arguments)


def built(name, model=None, folder=None):
    method = getattr(methods, name)
    parameters = inspect.signature(method).parameters
    if name in readouts.KINDS:
        return method(readouts.saved(model, folder, readouts.KINDS[name]))
    return method(**({key: value for key, value in CHEAP.items() if key in parameters} | OWN.get(name, {})))


@pytest.mark.parametrize("name", methods.__all__)
@pytest.mark.filterwarnings("ignore")
def test_every_method_explains_a_model_that_writes_as_one_that_does_not(name, tmp_path):
    """The caller's images stay as they are, and maps and extras are those of the same function."""
    found = []
    for net in (Written, Unwritten):
        model, given = wrapped(net()), images()
        method = built(name, model, tmp_path)
        if name in NOT_HERE:
            with pytest.raises(InputError, match=NOT_HERE[name]):
                method.explain(model, given, 1)
            return
        method.prepare(model, [images(8)])
        found.append(method.explain(model, given, 1))
        assert torch.equal(given, images())
    torch.testing.assert_close(found[0].maps, found[1].maps, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("net", WRITING)
@pytest.mark.parametrize("name", ["Saliency", "GradCAM", "Occlusion", "InputXGradient", "RISE"])
def test_however_it_writes_the_caller_s_images_stay(net, name):
    model, given = wrapped(net()), images()
    assert model.behavior.writes_input
    assert built(name).attribute(model, given, 1).isfinite().all()
    assert torch.equal(given, images())
    with torch.no_grad():
        model(given)
    assert torch.equal(given, images())


@pytest.mark.parametrize("name", ["Insertion", "Deletion"])
@pytest.mark.parametrize("look", [True, False])
def test_metrics_score_it_as_the_other_one(name, look):
    maps, scores = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(0)), []
    for model in (wrapped(Written(), look=look), Written().eval(), wrapped(Unwritten())):
        given = images()
        scores.append(getattr(metrics, name)(steps=4).score(model, given, None, maps))
        assert torch.equal(given, images())
    torch.testing.assert_close(scores[0], scores[2])
    torch.testing.assert_close(scores[1], scores[2])


def test_what_is_not_looked_at_always_gets_a_copy():
    model, given = wrapped(Silent(), look=False), images()
    model(given)
    assert torch.equal(given, images())
    assert model.behavior is None


@pytest.mark.filterwarnings("ignore")
def test_the_verbs_run_on_it(tmp_path, monkeypatch):
    for split, samples in SPLITS.items():  # statistics are those of a whole split
        monkeypatch.setitem(SPLITS, split, samples[:16])
    rows, tables = [], []
    for net in (Written, Unwritten):
        model = Backbone.wrap(net(20).eval(), image_size=64)
        data = SyntheticParts(batch_size=2, num_workers=0)
        trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
        folder = str(tmp_path / net.__name__)
        store = trainer.explain(Explainer(model, methods.IBA(steps=2, copies=2)), data, folder, limit=4)
        rows.append(torch.stack([torch.as_tensor(row.map) for row in store]))
        scorer = Scorer(model, {"deletion": metrics.Deletion(steps=3)})
        tables.append(str(trainer.benchmark(scorer, data, [folder], f"{folder}_scores")).replace(net.__name__, ""))
    torch.testing.assert_close(rows[0], rows[1], rtol=1e-4, atol=1e-6)
    assert tables[0] == tables[1]


@pytest.mark.parametrize("net", [BatchNormed, Centered])
@pytest.mark.parametrize("count", [1, 2])
def test_images_that_see_one_another_are_refused(net, count):
    model = wrapped(net())
    for method in (Saliency(), methods.Occlusion()):
        with pytest.raises(InputError, match="lets the images of a batch see one another") as refusal:
            method.attribute(model, images(count))
        assert len(str(refusal.value)) < 500
    with pytest.raises(InputError, match="see one another"):
        metrics.Insertion(steps=2).score(model, images(count), None, torch.rand(count, 8, 8))


def test_a_run_says_so_before_its_first_block(tmp_path):
    data = SyntheticParts(batch_size=2, num_workers=0)
    model = Backbone.wrap(BatchNormed().eval(), image_size=64)
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
    with pytest.raises(InputError, match="see one another"):
        trainer.explain(Explainer(model, Saliency()), data, tmp_path / "store", limit=2)


def test_norms_with_running_statistics_are_fine():
    net = Net()
    net.f.insert(1, nn.BatchNorm2d(8))
    model = wrapped(net)
    assert model.behavior.batch == 0
    assert Saliency().attribute(model, images()).any()


@pytest.mark.parametrize("net", [Dropping, Noisy])
def test_chance_is_told(net):
    with pytest.warns(UserWarning, match="returns other numbers when it runs again on the same images"):
        model = wrapped(net())
    assert model.behavior.chance > 0


def test_looking_draws_nothing_from_the_global_generator():
    net, before = Dropping(), torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        print(wrapped(net).report)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_number_of_classes_is_the_width_of_the_output():
    model = timm.create_model("resnet10t", num_classes=1000).eval()
    model.fc = nn.Linear(model.fc.in_features, 5)
    wrapped_model = Backbone.wrap(model, image_size=64)
    assert wrapped_model.num_classes == 5
    with pytest.raises(InputError, match="class 7, but the model's classes are 0 to 4"):
        methods.GradCAM().attribute(wrapped_model, images(1, 64), 7)


def test_it_is_also_where_a_classifier_was_put_into_a_model_without_one():
    model = timm.create_model("resnet10t", num_classes=0).eval()
    model.fc = nn.Linear(model.num_features, 4)
    assert Backbone.wrap(model, image_size=64).num_classes == 4


def test_channels_that_are_not_three_are_refused_with_the_way_out():
    with pytest.raises(InputError, match="in_chans 1, and lit-coiba gives models images of 3 channels"):
        Backbone("resnet10t", timm_kwargs={"in_chans": 1}, image_size=64)
    for channels, way in ((1, r"model\(images.mean\(1, keepdim=True\)\)"), (4, "model.torch.cat"), (6, "6 channels")):
        with pytest.raises(InputError, match=f"takes images of {channels} channel.*{way}"):
            wrapped(Net(channels=channels))
        with pytest.raises(InputError, match=f"takes images of {channels} channel"):
            Backbone.wrap(Net(channels=channels).eval(), Preprocessing(size=(SIZE, SIZE)), num_classes=3)


def test_the_way_out_works():
    class Gray(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = Net(channels=1)

        def forward(self, x):
            return self.model(x.mean(1, keepdim=True))

    assert methods.GradCAM().attribute(wrapped(Gray()), images()).shape == (2, 16, 16)


@pytest.mark.parametrize(("net", "what"), [(Squeezed, "for an image"), (Named, "a dict with logits, aux")])
def test_outputs_that_are_no_rows_of_logits_are_refused(net, what):
    with pytest.raises(InputError, match=f"returns .*{what}, not logits"):
        wrapped(net())


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ("resnet18", r"not text: for a timm model, Backbone\('resnet18', ...\)"),
        (Net, r"the class Net: give a module of it, Net\(...\)"),
        (lambda x: x, "the function <lambda>: give a torch module"),
        (None, "a NoneType: give a torch module"),
    ],
)
def test_what_is_no_module_is_refused(given, what):
    with pytest.raises(InputError, match=what):
        Backbone.wrap(given)


@pytest.mark.parametrize(("given", "what"), [(Net(), "not a Net: use Backbone.wrap"), (Net, "not the class Net")])
def test_what_is_no_name_is_refused(given, what):
    with pytest.raises(InputError, match=what):
        Backbone(given)


def test_classes_and_plain_modules_in_the_place_of_objects():
    with pytest.raises(InputError, match="plain Net: wrap it first"):
        Saliency().attribute(Net(), images())
    with pytest.raises(InputError, match="the class Net: give a model of it"):
        Saliency().attribute(Net, images())
    with pytest.raises(InputError, match=r"method is the class Saliency: give an instance, Saliency\(\)"):
        Explainer(wrapped(Net()), Saliency)
    with pytest.raises(InputError, match="backbone is a Net: give a Backbone"):
        Explainer(Net(), Saliency())


def test_types_and_devices_are_compared():
    with pytest.raises(InputError, match="images are float32 and the model's weights bfloat16: convert one of them"):
        methods.GradCAM().attribute(wrapped(Net().bfloat16()), images())
    with pytest.raises(InputError, match="the images are on meta and the model is on cpu: move one of them"):
        Saliency().attribute(wrapped(Net()), images().to("meta"))
    with torch.autocast("cpu", torch.bfloat16):
        assert Saliency().attribute(wrapped(Net()), images()).any()


def test_a_copy_of_a_model_is_looked_at_anew():
    model = wrapped(Written())
    assert model.report.behavior.writes_input
    twin = copy.deepcopy(model)
    assert torch.equal(twin(images()), model(images()))
    assert str(twin.report) == str(model.report)


@pytest.mark.parametrize("size", [None, 32])
def test_weights_for_another_size_of_images_are_told_where_none_was_chosen(tmp_path, size):
    """DINOv2 is built for 518 pixels by timm; a file for 32 was resampled without a word."""
    small = {"embed_dim": 12, "depth": 1, "num_heads": 2}
    file = str(tmp_path / "weights.pth")
    torch.save(Backbone("vit_tiny_patch16_224", timm_kwargs=small, image_size=32).model.state_dict(), file)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        Backbone("vit_tiny_patch16_224", timm_kwargs=small, checkpoint=file, image_size=size)
    found = [str(one.message) for one in told if "position embedding is resampled" in str(one.message)]
    assert len(found) == (size is None)
    assert all("for images of 32 x 32 pixels, and the model is built for 224 x 224" in one for one in found)
