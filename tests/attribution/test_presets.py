"""Methods by short words."""

import pytest

from lit_coiba.attribution import CoIBA, GradCAM, SmoothGrad
from lit_coiba.attribution.presets import columns, method_named, preset, preset_names
from lit_coiba.core.errors import InputError


@pytest.mark.parametrize("name", preset_names())
def test_every_file_is_a_method(name):
    kind, arguments = preset(name)
    made = method_named(name)
    assert type(made) is kind
    assert {key: made.arguments()[key] for key in arguments if key in made.arguments()}.keys() <= arguments.keys()


def test_arguments_follow_a_colon():
    made = method_named("coiba:beta=10,lr=1e-1,layers=[blocks.4.norm1,blocks.5.norm1]")
    assert isinstance(made, CoIBA)
    assert (made.beta, made.lr) == (10, 0.1)
    assert list(made.layers) == ["blocks.4.norm1", "blocks.5.norm1"]
    assert isinstance(method_named("GradCAM"), GradCAM)
    assert method_named("SmoothGrad:n_samples=3").n_samples == 3
    assert method_named("coiba_fast").arguments() == {**method_named("coiba").arguments(), **preset("coiba_fast")[1]}
    assert isinstance(method_named("smooth_grad:"), SmoothGrad)


def test_columns_are_called_like_their_words():
    assert list(columns(["saliency", "coiba:beta=10", "GradCAM"])) == ["saliency", "coiba beta=10", "GradCAM"]
    with pytest.raises(InputError, match="methods: saliency comes twice: give each method once"):
        columns(["saliency", "saliency"])


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("gradcam", "methods: gradcam is no method: did you mean grad_cam?"),
        ("unheard", "methods: unheard is no method (lit-coiba methods lists them)"),
        ("os.system", "methods: os.system is no method"),
        ("AttributionMethod", "methods: AttributionMethod is no method|abstract"),
        ("saliency\x1b[31m", "methods: saliency\\x1b[31m is no method"),
        ("coiba:beta", "arguments follow a colon as name=value"),
        ("coiba:bta=3", "bta"),
        ("coiba:beta=[", "methods: coiba:beta=[: beta is not written as in YAML"),
        ("coiba:beta=much", "methods: coiba:beta=much: beta is 'much': give a finite number"),
    ],
)
def test_words_that_are_refused(word, sentence):
    with pytest.raises(InputError) as caught:
        method_named(word)
    assert any(part in str(caught.value) for part in sentence.split("|"))
    assert "\n" not in str(caught.value)
