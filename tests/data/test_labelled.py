import pytest
import torch
from PIL import Image

from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data.labelled import LabelledImages
from lit_coiba.data.transforms import Transform
from tests._testers.pictures import Pictures

TRANSFORM = Transform(Preprocessing((8, 12), 0.9, "bilinear"))


def test_a_batch_is_its_samples():
    pictures = Pictures(6)
    images, labels = LabelledImages(pictures, TRANSFORM).__getitems__([4, 1])
    expected = torch.stack([TRANSFORM(pictures.image(4)), TRANSFORM(pictures.image(1))])
    torch.testing.assert_close(images, expected, rtol=0, atol=0)
    assert labels.tolist() == [1, 1]
    assert labels.dtype == torch.int64
    one, label = LabelledImages(pictures, TRANSFORM)[4]
    assert torch.equal(one, expected[0])
    assert label == 1


def test_augmentation_varies_with_the_generator_alone_and_keeps_the_size():
    class Gradient(Pictures):
        def image(self, index):
            return Image.linear_gradient("L").convert("RGB")

    examples = LabelledImages(Gradient(3), TRANSFORM, augment=True)
    draws = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        draws.append(examples.__getitems__([0, 1])[0])
    assert draws[0].shape == (2, 3, 8, 12)
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert not torch.equal(draws[0][0], draws[0][1])


def test_a_sample_that_cannot_be_used_is_named():
    pictures = Pictures(3, broken={1})
    pictures.labels[2] = -1
    examples = LabelledImages(pictures, TRANSFORM)
    with pytest.raises(InputError, match="sample picture_0001: the file is torn; fix the file or remove it"):
        examples.__getitems__([0, 1])
    with pytest.raises(InputError, match="sample picture_0002 has no label"):
        examples.__getitems__([0, 2])
