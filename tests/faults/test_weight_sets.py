"""Kind H: a file with several sets of weights, and files under other keys; the twin of an architecture."""

from __future__ import annotations

import json

import pytest
import timm
import torch
from safetensors.torch import save_file

from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError

SMALL = {"channels": [4, 4, 4, 4], "layers": [1, 1, 1, 1]}


def weights(seed: int, num_classes: int = 5) -> dict:
    torch.manual_seed(seed)
    return timm.create_model("resnet18", num_classes=num_classes, **SMALL).state_dict()


def loaded(file, **arguments) -> torch.Tensor:
    backbone = Backbone("resnet18", str(file), num_classes=5, timm_kwargs=SMALL, image_size=32, **arguments)
    return backbone.model.fc.weight


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        (lambda a, b: {"state_dict": a, "state_dict_ema": b}, ["state_dict", "state_dict_ema"]),
        (lambda a, b: {"params": a, "params_ema": b}, ["params", "params_ema"]),
        (lambda a, b: {"student": a, "teacher": b}, ["student", "teacher"]),
        (lambda a, b: {"model": {"net": a, "ema": b}}, ["model.net", "model.ema"]),
        (lambda a, b: {**{f"m.{k}": v for k, v in a.items()}, **{f"e.{k}": v for k, v in b.items()}}, ["m", "e"]),
    ],
)
def test_two_that_fit_equally_are_named_and_one_has_to_be_chosen(tmp_path, content, keys):
    first, second = weights(1), weights(2)
    torch.save(content(first, second), tmp_path / "two.pth")
    with pytest.raises(InputError, match="several sets of weights that fit this model equally well") as caught:
        loaded(tmp_path / "two.pth")
    assert all(key in str(caught.value) for key in keys)
    assert "model.backbone.checkpoint_key" in str(caught.value)
    for key, expected in zip(keys, (first, second)):
        assert torch.equal(loaded(tmp_path / "two.pth", checkpoint_key=key), expected["fc.weight"])
    with pytest.raises(InputError, match="has no weights under 'other'"):
        loaded(tmp_path / "two.pth", checkpoint_key="other")


def test_counters_that_an_average_lacks_decide_nothing(tmp_path):
    average = {name: tensor for name, tensor in weights(2).items() if not name.endswith("num_batches_tracked")}
    torch.save({"state_dict": weights(1), "state_dict_ema": average}, tmp_path / "two.pth")
    with pytest.raises(InputError, match="equally well"):
        loaded(tmp_path / "two.pth")


def test_the_same_weights_twice_and_another_network_beside_them_are_no_question(tmp_path):
    own = weights(1)
    other = timm.create_model("resnet18", num_classes=5, channels=[8, 8, 8, 8], layers=[1, 1, 1, 1]).state_dict()
    for content in ({"state_dict": own, "copy": dict(own)}, {"teacher": other, "student": own}):
        torch.save(content, tmp_path / "one.pth")
        assert torch.equal(loaded(tmp_path / "one.pth"), own["fc.weight"])


@pytest.mark.parametrize("key", ["teacher", "net", "params_ema", "model_state_dict", "weights", "ema", "module"])
def test_any_key_holds_weights(tmp_path, key):
    torch.save(
        {key: weights(1), "epoch": 3, "optimizer_state_dict": {"state": {0: {"x": torch.ones(2)}}}}, tmp_path / "a"
    )
    assert torch.equal(loaded(tmp_path / "a"), weights(1)["fc.weight"])


def test_the_order_of_tensors_is_that_of_one_set(tmp_path):
    renamed = [{f"{k}{n}": v for n, v in enumerate(weights(seed).values())} for k, seed in (("a", 1), ("b", 2))]
    torch.save({"state_dict": renamed[0], "ema": renamed[1]}, tmp_path / "two.pth")
    with pytest.raises(InputError, match="several sets"):
        loaded(tmp_path / "two.pth", checkpoint_match="order")
    found = loaded(tmp_path / "two.pth", checkpoint_match="order", checkpoint_key="ema")
    assert torch.equal(found, weights(2)["fc.weight"])


@pytest.fixture(scope="module")
def state():
    return timm.create_model("tf_efficientnet_lite0", num_classes=5).state_dict()


class TestTwins:
    """``efficientnet_lite0`` takes the weights of ``tf_efficientnet_lite0``, with another padding."""

    @pytest.mark.parametrize("by", ["its name", "metadata", "a file beside it", "a key"])
    def test_what_the_file_says_of_its_architecture_is_compared(self, tmp_path, state, by):
        file = tmp_path / ("tf_efficientnet_lite0.fp16.safetensors" if by == "its name" else "a.safetensors")
        told = {"classifier": json.dumps({"backbone": {"name": "tf_efficientnet_lite0"}})} if by == "metadata" else None
        if by == "a key":
            file = tmp_path / "a.pth"
            torch.save({"state_dict": state, "arch": "tf_efficientnet_lite0"}, file)
        else:
            save_file(state, file, told)
        if by == "a file beside it":
            (tmp_path / "config.json").write_text('{"architecture": "tf_efficientnet_lite0"}')
        with pytest.warns(UserWarning, match="is of tf_efficientnet_lite0, and the model is efficientnet_lite0"):
            Backbone("efficientnet_lite0", str(file), num_classes=5)
        Backbone("tf_efficientnet_lite0", str(file), num_classes=5)  # no warning
