"""The file of the concepts of a class, and what CRAFT refuses."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from lit_coiba.backbones import Backbone
from lit_coiba.concepts import CRAFT, NMF, Concepts
from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from tests._testers import tiny


class TestFile:
    def test_gives_back_what_was_saved(self, relu_net, images, concepts, tmp_path):
        concepts.save(tmp_path / "deeper" / "one.safetensors")
        again = Concepts.load(tmp_path / "deeper" / "one.safetensors")
        assert again.about == concepts.about
        assert again.digest() == concepts.digest()
        assert torch.equal(again.transform(relu_net, images), concepts.transform(relu_net, images))
        again.save(tmp_path / "two.safetensors")
        first, second = (tmp_path / name for name in ("deeper/one.safetensors", "two.safetensors"))
        assert first.read_bytes() == second.read_bytes()

    def test_another_model_is_refused(self, images, concepts):
        other = tiny.resnet()
        with pytest.raises(InputError, match="the concepts belong to another model or other weights"):
            concepts.transform(other, images)
        with pytest.raises(InputError, match="other weights"):
            concepts.importance(other, images)

    def test_another_preprocessing_is_refused(self, relu_net, images, concepts):
        other = Backbone.wrap(relu_net.model, Preprocessing((32, 32), 1.0, "bilinear", (0.4,) * 3, (0.5,) * 3)).eval()
        assert other.digest() == relu_net.digest()
        with pytest.raises(InputError, match="another preprocessing"):
            concepts.transform(other, images)

    def test_damage_is_found(self, concepts, tmp_path):
        file = tmp_path / "concepts.safetensors"
        concepts.save(file)
        content = bytearray(file.read_bytes())
        content[-3] ^= 1
        file.write_bytes(content)
        with pytest.raises(InputError, match="is damaged"):
            Concepts.load(file)

    @pytest.mark.parametrize(
        ("change", "text"),
        [
            (lambda t: t.pop("places"), "was not written by this version"),
            (lambda t: t.update(more=torch.ones(1)), "do not go together"),
            (lambda t: t.update(dictionary=t["dictionary"][:2]), "do not go together"),
            (lambda t: t.update(images=t["images"].float()), "no whole numbers"),
            (lambda t: t.update(dictionary=t["dictionary"] * torch.nan), "not finite"),
        ],
    )
    def test_what_no_fit_gives_is_refused(self, concepts, tmp_path, change, text):
        from safetensors import safe_open

        file = tmp_path / "concepts.safetensors"
        concepts.save(file)
        with safe_open(file, "pt") as opened:
            metadata = opened.metadata()
        tensors = load_file(file)
        change(tensors)
        save_file(tensors, file, metadata)
        with pytest.raises(InputError, match=text):
            Concepts.load(file)

    def test_other_files_are_refused(self, tmp_path):
        with pytest.raises(InputError, match=r"concepts: .*nothing.safetensors does not exist"):
            Concepts.load(tmp_path / "nothing.safetensors")
        save_file({"a": torch.ones(1)}, tmp_path / "other.safetensors")
        with pytest.raises(InputError, match="was not written by this version of lit-coiba"):
            Concepts.load(tmp_path / "other.safetensors")


class TestRefusals:
    def test_negative_activations(self):
        model, images = tiny.vit(), tiny.images(4, (32, 32))
        with pytest.raises(InputError, match=r"activations of layer blocks\.3 have negative values .* use SemiNMF\(\)"):
            CRAFT(NMF(2), layer="blocks.3", tokens=True).fit(model, images, int(model(images)[0].argmax()))

    def test_no_image_of_the_class(self, relu_net, images, concepts, cls):
        other = next(c for c in range(3) if c != cls)
        some = images[relu_net(images).argmax(1) == cls]
        with pytest.raises(InputError, match=f"the model gives class {other} to none of the {len(some)} images"):
            CRAFT(NMF(2), layer="3").fit(relu_net, some, other)
        with pytest.raises(InputError, match="gives none of the images the class"):
            concepts.importance(relu_net, images[relu_net(images).argmax(1) != cls])
        with pytest.raises(InputError, match="to no image: there is none"):
            CRAFT(NMF(2), layer="3").fit(relu_net, [], cls)

    @pytest.mark.parametrize("wrong", [-1, 3, True, "0"])
    def test_a_class_that_there_is_not(self, relu_net, images, wrong):
        with pytest.raises(InputError, match="give the number of a class, 0 to 2"):
            CRAFT(NMF(2), layer="3").fit(relu_net, images, wrong)

    def test_too_few_rows_and_a_layer_that_there_is_not(self, relu_net, images, cls):
        with pytest.raises(InputError, match="rows of activations of layer 3 for 500 concepts: give more images"):
            CRAFT(NMF(500), layer="3").fit(relu_net, images, cls)
        with pytest.raises(InputError, match="layer9"):
            CRAFT(NMF(2), layer="layer9").fit(relu_net, images, cls)
        with pytest.raises(InputError, match="crop_size is 33, and the images have 32 x 32 pixels"):
            CRAFT(NMF(2), layer="3", crop_size=33).fit(relu_net, images, cls)

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            ({"factorization": "nmf"}, r"give an object, such as NMF\(20\)"),
            ({"crop_size": 0}, "crop_size is 0"),
            ({"crop_size": 8, "tokens": True}, "both set"),
            ({"max_rows": 0}, "max_rows is 0"),
            ({"batch_size": "8"}, "batch_size is '8'"),
            ({"seed": -1}, "seed is -1"),
        ],
    )
    def test_bad_arguments(self, arguments, text):
        with pytest.raises(InputError, match=text):
            CRAFT(**arguments)
