import pytest
import torch

from lit_coiba.attribution import IBA, CoIBA, Saliency
from lit_coiba.core.errors import InputError
from lit_coiba.core.images import check_images, class_targets
from tests._testers import tiny

IMAGES = torch.zeros(3, 3, 4, 4)


def refuse():
    raise AssertionError("the model is run though targets are given")


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_given_classes_become_int64(dtype):
    given = torch.tensor([2, 0, 4], dtype=dtype)
    found = class_targets(given, IMAGES, 5, refuse)
    assert found.dtype == torch.int64
    assert found.tolist() == [2, 0, 4]
    found[0] = 1
    assert given.tolist() == [2, 0, 4]


def test_no_targets_are_the_predicted_classes():
    logits = torch.tensor([[0.0, 2.0], [1.0, -1.0], [0.0, 0.5]])
    assert class_targets(None, IMAGES, 2, lambda: logits).tolist() == [1, 0, 1]


def test_autograd_may_keep_targets_that_were_made_in_inference_mode():
    with torch.inference_mode():
        given = torch.tensor([0, 1, 2])
    assert not class_targets(given, IMAGES, 3, refuse).is_inference()


@pytest.mark.parametrize(
    ("targets", "sentence"),
    [
        (torch.tensor([0, 1]), r"torch.int64 of shape \(2,\): give one class index for each of the 3 images"),
        (torch.tensor(1), r"shape \(\): give one class index"),
        (torch.zeros(3, 5), r"torch.float32 of shape \(3, 5\): give one class index"),
        (torch.tensor([0.0, 1.0, 2.0]), r"torch.float32 of shape \(3,\)"),
        (torch.tensor([True, False, True]), "torch.bool"),
        (torch.tensor([0, 5, 1]), "image 1 of the batch has class 5, but the model's classes are 0 to 4"),
        (torch.tensor([0, 1, -1]), "image 2 of the batch has class -1"),
    ],
)
def test_what_is_not_one_class_per_image_is_refused(targets, sentence):
    with pytest.raises(InputError, match=sentence):
        class_targets(targets, IMAGES, 5, refuse)


def test_one_class_for_all_images():
    assert class_targets(3, torch.zeros(2, 3, 8, 8), 5, refuse).tolist() == [3, 3]
    with pytest.raises(InputError, match="image 0 of the batch has class 7"):
        class_targets(7, torch.zeros(2, 3, 8, 8), 5, refuse)


def test_a_list_of_classes_is_taken_and_one_of_something_else_is_not():
    assert class_targets([1, 2], torch.zeros(2, 3, 8, 8), 5, refuse).tolist() == [1, 2]
    with pytest.raises(InputError, match=r"shape \(2,\): give one class index for each of the 3 images"):
        class_targets([1, 2], IMAGES, 5, refuse)
    for other in ([True, False, True], [0.0, 1.0, 2.0], "012"):
        with pytest.raises(InputError, match=f"targets are {type(other).__name__}: give a tensor of class indices"):
            class_targets(other, IMAGES, 5, refuse)


def test_images_that_are_no_tensor_are_refused_in_one_sentence():
    with pytest.raises(InputError, match="images are a ndarray: give a tensor"):
        check_images(tiny.vit(), IMAGES.numpy())
    for pixels in (IMAGES.byte(), IMAGES.numpy()):
        with pytest.raises(InputError, match="give a tensor of numbers in "):
            tiny.vit().normalize(pixels)


@pytest.mark.parametrize("method", [Saliency(), CoIBA(), IBA()], ids=lambda method: type(method).__name__)
@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (torch.zeros(3, 32, 32), r"shape \(3, 32, 32\): give normalised model input \(B, 3, H, W\)"),
        (torch.zeros(1, 1, 32, 32), r"shape \(1, 1, 32, 32\)"),
        (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), "images are torch.uint8"),
        (torch.zeros(1, 3, 64, 64), "the images are 64x64 pixels, the model takes 32x32: resize the images"),
    ],
)
def test_images_are_looked_at_before_anything_else(method, images, sentence):
    with pytest.raises(InputError, match=sentence):
        method.explain(tiny.vit(), images)


def test_a_batch_without_images_is_refused():
    model = tiny.resnet()
    with pytest.raises(InputError, match="images has no image in it: give one or more, or skip the batch"):
        check_images(model, tiny.images(1, model.preprocessing.size)[:0])
