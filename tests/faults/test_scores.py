"""Kind A: scores that are no softmax of several classes. One sentence in the place of every silent wrong number."""

import warnings

import pytest
import torch
from torch import nn

from lit_coiba import attribution, heads, metrics
from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.modules.explainer import Explainer
from lit_coiba.modules.scorer import Scorer
from lit_coiba.training.classifier import Classifier
from tests.faults.nets import SIZE, Net, Sigmoid, Softmax, images

ONE_LOGIT = r"single output.*wrap a module that returns the log odds z of two classes as two logits"
NO_CLASSES = "no classifier.*give num_classes, weights with a classifier, or new_head"
MAPS = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def one():
    return Backbone.wrap(Net(1).eval(), image_size=SIZE)


@pytest.fixture
def headless():
    return Backbone("test_vit", num_classes=0, image_size=SIZE)


@pytest.mark.parametrize("name", ["UNI", "IBA", "CoIBA", "InputIBA"])
def test_bottlenecks_and_unlearning_refuse_one_logit(one, name):
    method = getattr(attribution, name)()
    run = method.explain if name == "UNI" else method.prepare
    with pytest.raises(InputError, match=ONE_LOGIT) as refusal:
        run(one, images())
    assert len(str(refusal.value)) < 500


@pytest.mark.parametrize("score", ["prob", "logprob", "rest"])
def test_a_softmax_of_one_logit_is_refused_as_a_score(one, score):
    with pytest.raises(InputError, match=ONE_LOGIT):
        attribution.Occlusion(output=score).attribute(one, images())


def test_the_logit_itself_can_be_explained(one):
    assert attribution.Occlusion(output="logit").attribute(one, images()).any()
    assert attribution.Saliency().attribute(one, images()).any()


@pytest.mark.parametrize("curve", ["Insertion", "Deletion"])
@pytest.mark.parametrize("output", ["prob", "logprob"])
def test_curves_refuse_one_logit(one, curve, output):
    for model in (one, one.model):  # a metric takes any callable
        with pytest.raises(InputError, match=ONE_LOGIT):
            getattr(metrics, curve)(steps=2, output=output).score(model, images(), None, MAPS)


def test_rows_with_a_probability_are_refused_before_anything_runs(one):
    for module in (Explainer, Scorer):
        arguments = (attribution.Saliency(),) if module is Explainer else ()
        with pytest.raises(InputError, match=ONE_LOGIT):
            module(one, *arguments)


def test_training_with_a_cross_entropy_of_one_class_is_refused(one):
    with pytest.raises(InputError, match=ONE_LOGIT):
        Classifier(one)


def test_bounds_against_no_other_class_are_refused(one):
    with pytest.raises(InputError, match=ONE_LOGIT):
        attribution.EVA(radius=0.01, patch=16).attribute(one, images())


def test_two_logits_of_a_log_odds_are_right(one):
    class Two(nn.Module):
        def forward(self, x):
            z = one.model(x)
            return torch.cat([-z / 2, z / 2], 1)

    two = Backbone.wrap(Two(), image_size=SIZE)
    torch.testing.assert_close(two(images()).softmax(1)[:, 1], one(images()).sigmoid()[:, 0])
    assert attribution.Occlusion(output="prob").attribute(two, images()).any()


@pytest.mark.parametrize(("net", "what"), [(Softmax, "a softmax of its logits"), (Sigmoid, "as of a sigmoid")])
def test_probabilities_inside_the_model_are_told_once(net, what):
    with pytest.warns(UserWarning, match=what) as told:
        model = Backbone.wrap(net().eval(), image_size=SIZE)
    assert len(told) == 1
    assert len(str(told[0].message)) < 500
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        attribution.Saliency().attribute(model, images())


def test_a_mean_of_sigmoids_is_told_too():
    class Ensemble(nn.Module):
        def __init__(self):
            super().__init__()
            self.nets = nn.ModuleList([Sigmoid(), Sigmoid()])

        def forward(self, x):
            return torch.stack([net(x) for net in self.nets]).mean(0)[:, :2]

    with pytest.warns(UserWarning, match="numbers between 0 and 1"):
        Backbone.wrap(Ensemble().eval(), image_size=SIZE)


@pytest.mark.parametrize("build", [Net, lambda: nn.Sequential(Net(), nn.LogSoftmax(1)), lambda: _zero(Net())])
def test_logits_are_not_taken_for_probabilities(build):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Backbone.wrap(build().eval(), image_size=SIZE)


def _zero(net):
    nn.init.zeros_(net.fc.weight)
    nn.init.zeros_(net.fc.bias)
    return net


@pytest.mark.parametrize("name", ["GradCAM", "Saliency", "RISE", "Chefer", "Occlusion"])
def test_methods_refuse_a_model_without_a_classifier(headless, name):
    method = getattr(attribution, name)()
    for targets in (None, 3, torch.tensor([0, 1])):
        with pytest.raises(InputError, match=NO_CLASSES):
            method.attribute(headless, images(), targets)


def test_so_do_runs_and_trainings(headless):
    with pytest.raises(InputError, match=NO_CLASSES):
        Explainer(headless, attribution.AttentionRollout())
    with pytest.raises(InputError, match=NO_CLASSES):
        Classifier(headless)


def test_what_asks_for_no_class_still_explains_it(headless):
    assert attribution.AttentionRollout().attribute(headless, images()).any()


def test_a_head_gives_it_classes(headless):
    headless.attach(heads.LinearHead(headless.feature_channels, 3))
    assert attribution.GradCAM().attribute(headless.eval(), images()).shape[0] == 2


def test_an_identity_in_the_place_of_the_classifier_is_none():
    net = Net()
    net.fc = nn.Identity()
    assert Backbone.wrap(net.eval(), image_size=SIZE).num_classes == 0
