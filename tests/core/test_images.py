import pytest
import torch

from lit_coiba.core.errors import InputError
from lit_coiba.core.images import check_images
from tests._testers import tiny

IMAGES = torch.zeros(3, 3, 4, 4)


def test_images_that_are_no_tensor_are_refused_in_one_sentence():
    with pytest.raises(InputError, match="images is of type ndarray: give a tensor"):
        check_images(tiny.vit(), IMAGES.numpy())
    for pixels in (IMAGES.byte(), IMAGES.numpy()):
        with pytest.raises(InputError, match=r"give a floating-point tensor .*with values in "):
            tiny.vit().normalize(pixels)


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (torch.zeros(3, 32, 32), r"shape \(3, 32, 32\): give normalized model input \(B, 3, H, W\)"),
        (torch.zeros(1, 1, 32, 32), r"shape \(1, 1, 32, 32\)"),
        (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), "images is torch.uint8"),
        (torch.zeros(1, 3, 64, 64), "the images have 64x64 pixels, but the model takes 32x32: resize the images"),
    ],
)
def test_images_of_another_shape_or_type_are_refused(images, sentence):
    with pytest.raises(InputError, match=sentence):
        check_images(tiny.vit(), images)


def test_a_batch_without_images_is_refused():
    model = tiny.resnet()
    with pytest.raises(InputError, match="images is empty: give at least one image, or skip the batch"):
        check_images(model, tiny.images(1, model.preprocessing.size)[:0])


def test_a_model_that_was_not_wrapped_is_refused():
    with pytest.raises(InputError, match="the model is a plain Linear: wrap it first"):
        check_images(torch.nn.Linear(2, 2), IMAGES)
