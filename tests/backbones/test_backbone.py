import copy
import inspect

import pytest
import torch
from PIL import Image
from torch import nn

from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data.transforms import Transform
from tests.backbones.families import TINY_VIT, PlainCNN, family, images_for


def test_logits_are_those_of_the_timm_model():
    backbone = family("vit")
    images = images_for(backbone)
    assert torch.equal(backbone(images), backbone.model(images))
    assert (backbone.num_classes, backbone(images).shape) == (1000, (2, 1000))


@pytest.mark.parametrize("name", ["vit_average", "swin", "convnext", "resnet", "efficientnet", "pvt"])
def test_features_are_what_the_head_pools(name):
    backbone = family(name)
    images = images_for(backbone)
    features = backbone.features(images)
    pooled = features.mean((2, 3))
    model = backbone.model
    if name == "vit_average":
        pooled = model.fc_norm(pooled)
    torch.testing.assert_close(model.get_classifier()(pooled), backbone(images), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("vit_oblong", (2, 24, 3, 5)),
        ("deit_distilled", (2, 24, 3, 3)),
        ("dinov2_registers", (2, 24, 3, 4)),
        ("swin_v2", (2, 64, 2, 2)),
        ("mobilenet", (2, 288, 2, 2)),
        ("wrapped", (2, 8, 16, 16)),
    ],
)
def test_features_are_the_grid_without_prefix_tokens(name, shape):
    backbone = family(name)
    assert backbone.features(images_for(backbone)).shape == shape


def test_features_of_a_transformer_are_its_normed_patch_tokens():
    backbone = family("dinov2_registers")
    images = images_for(backbone)
    tokens = backbone.model.forward_features(images)[:, 5:]
    features = backbone.features(images)
    assert torch.equal(features[:, :, 1, 2], tokens[:, 1 * 4 + 2])


def test_features_pass_gradients_to_the_weights():
    backbone = family("resnet").requires_grad_(True)
    backbone.features(images_for(backbone)).sum().backward()
    assert backbone.model.conv1[0].weight.grad is not None


def test_pixels_and_model_input_are_one_another_s_inverse():
    backbone = Backbone.wrap(PlainCNN(), Preprocessing((8, 8), mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 4.0)))
    pixels = torch.rand(2, 3, 8, 8)
    images = backbone.normalize(pixels)
    torch.testing.assert_close(images[:, 2], (pixels[:, 2] - 0.3) / 4)
    torch.testing.assert_close(backbone.denormalize(images), pixels)


def test_a_module_of_one_s_own_says_its_classes_itself():
    module = PlainCNN()
    backbone = Backbone.wrap(module, image_size=(16, 24))
    assert backbone.model is module
    assert backbone.num_classes == 5
    assert backbone.preprocessing == Preprocessing(size=(16, 24))
    with pytest.raises(InputError, match="num_classes is 3, but PlainCNN returns 5 logits"):
        Backbone.wrap(module, Preprocessing((16, 16)), num_classes=3)


def test_a_wrapped_timm_model_keeps_what_timm_knows():
    wrapped, built = Backbone.wrap(family("swin").model), family("swin")
    assert wrapped.preprocessing.size == (64, 64)
    assert wrapped.default_layers() == built.default_layers()


def test_a_module_that_returns_no_logits_is_refused():
    with pytest.raises(InputError, match=r"Conv2d returns \(2, 4, 8, 8\) for 2 images, not logits"):
        Backbone.wrap(nn.Conv2d(3, 4, 1), image_size=8)


def test_two_sources_of_weights_are_refused():
    with pytest.raises(InputError, match="checkpoint and pretrained are both set"):
        Backbone("resnet18", checkpoint="a.pth", pretrained=True)


def test_arguments_are_kept_as_plain_values_that_build_the_same_model():
    backbone = Backbone(
        "vit_tiny_patch16_224", num_classes=4, timm_kwargs=TINY_VIT, image_size=32, mean=(0.5, 0.5, 0.5)
    )
    assert set(backbone.arguments) == set(inspect.signature(Backbone).parameters)
    again = Backbone(**backbone.arguments)
    again.load_state_dict(backbone.state_dict())
    assert again.digest() == backbone.digest()
    assert again.preprocessing == backbone.preprocessing


def test_the_digest_tells_weights_buffers_and_architecture_apart():
    backbone = family("resnet")
    before = backbone.digest()
    assert before == copy.deepcopy(backbone).digest() == family("resnet").digest()
    changed = [copy.deepcopy(backbone) for _ in range(3)]
    changed[0].model.fc.bias[0] += 1e-9
    changed[1].model.layer1[0].bn1.running_mean[0] += 1e-9
    changed[2].float()
    digests = {before, *(model.digest() for model in changed)}
    one = Backbone("vit_tiny_patch16_224", timm_kwargs=TINY_VIT, image_size=32)
    other = Backbone("vit_tiny_patch16_224", timm_kwargs=TINY_VIT | {"norm_layer": "rmsnorm"}, image_size=32)
    digests |= {one.digest(), other.digest()}
    assert len(digests) == 6
    assert all(len(digest) == 64 for digest in digests)


def test_the_digest_of_a_wrapped_model_tells_what_has_no_weights():
    def wrapped(stride, activation):
        torch.manual_seed(0)
        convolution = nn.Conv2d(3, 4, 3, stride=stride)
        return Backbone.wrap(nn.Sequential(convolution, activation, nn.AdaptiveAvgPool2d(1), nn.Flatten()))

    digests = [wrapped(*made).digest() for made in [(1, nn.ReLU()), (1, nn.ReLU()), (2, nn.ReLU()), (1, nn.GELU())]]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_the_digest_has_no_address_in_memory():
    class Described(nn.Flatten):
        def extra_repr(self):
            return str(object())

    assert Backbone.wrap(Described(), image_size=4).digest() == Backbone.wrap(Described(), image_size=4).digest()


def test_the_digest_reads_bfloat16_and_scalars():
    assert family("resnet").bfloat16().digest() != family("resnet").half().digest()


def test_looking_at_layers_leaves_the_model_as_it_was():
    backbone = Backbone.wrap(PlainCNN().train(), image_size=8)
    before = backbone.digest()
    backbone.split(backbone.default_layers())
    assert all(m.training for m in backbone.model.modules())
    assert backbone.digest() == before


def test_a_copy_does_not_share_its_model():
    backbone = family("vit")
    copied = copy.deepcopy(backbone)
    path = copied.split(["blocks.1.norm1"])
    images = images_for(backbone)
    for parameter in backbone.parameters():
        parameter.fill_(float("nan"))
    assert path.upper(path.lower(images), lambda _, activation: activation).isfinite().all()


def test_an_unknown_size_is_refused_with_the_reason():
    backbone = Backbone("vit_tiny_patch16_224", timm_kwargs=TINY_VIT, image_size=8)
    with pytest.raises(InputError, match="does not run on images of 8 x 8 pixels"):
        backbone.layers()


@pytest.mark.parametrize(
    ("name", "file", "arguments", "folder", "least"),
    [
        ("tf_efficientnet_lite0", "tf_efficientnet_lite0", {}, "imagenet-samples/images", 11),
        (
            "vit_small_patch14_dinov2",
            "vit_small_patch14_caltech101",
            {"num_classes": 101, "image_size": 168},
            "caltech101/val",
            13,
        ),
    ],
)
def test_real_weights_classify_real_images(name, file, arguments, folder, least, assets):
    backbone = Backbone(name, str(assets / "models" / f"{file}.fp16.safetensors"), **arguments).eval()
    transform = Transform(backbone.preprocessing)
    pictures = sorted((assets / folder).glob("*.jpg" if name.startswith("tf") else "*/*.jpg"))
    classes = sorted(p.name for p in (assets / folder).iterdir() if p.is_dir())
    chosen = pictures[:: len(pictures) // 16][:16]
    images = torch.stack([transform(Image.open(picture)) for picture in chosen])
    with torch.no_grad():
        found = backbone(images).argmax(-1).tolist()
    labels = [classes.index(p.parent.name) if classes else int(p.name.split("_")[0]) for p in chosen]
    assert sum(a == b for a, b in zip(found, labels)) >= least
