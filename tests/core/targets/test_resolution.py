"""What is given as targets, bound to the images of a batch."""

import pytest
import torch

from lit_coiba.core.errors import InputError
from lit_coiba.core.targets import Class, resolve, unscored_rows

IMAGES = torch.zeros(3, 3, 4, 4)


def refuse():
    raise AssertionError("the model is run though targets is given")


def classes(targets, images=IMAGES):
    return resolve(targets, images, 5, refuse).index


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_given_classes_become_int64(dtype):
    given = torch.tensor([2, 0, 4], dtype=dtype)
    found = classes(given)
    assert found.dtype == torch.int64
    assert found.tolist() == [2, 0, 4]
    found[0] = 1
    assert given.tolist() == [2, 0, 4]


def test_no_targets_are_the_predicted_classes():
    logits = torch.tensor([[0.0, 2.0], [1.0, -1.0], [0.0, 0.5]])
    assert resolve(None, IMAGES, 2, lambda: logits).index.tolist() == [1, 0, 1]


def test_autograd_may_keep_what_was_made_in_inference_mode():
    with torch.inference_mode():
        given = torch.tensor([0, 1, 2])
        rows = Class().resolve(torch.eye(3))
    assert not classes(given).is_inference()
    scores = torch.eye(3, requires_grad=True)
    resolve(rows, IMAGES, 3, refuse).score(scores).sum().backward()
    assert torch.equal(scores.grad, torch.eye(3))


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
        (7, "image 0 of the batch has class 7"),
        ([1, 2], r"shape \(2,\): give one class index for each of the 3 images"),
        ([True, False, True], "targets is of type list: give a tensor of class indices"),
        ([0.0, 1.0, 2.0], "targets is of type list: give a tensor of class indices"),
        ("012", "targets: class 12 is outside the model's range"),
        ("tench", "targets: 'tench' can only be the name of a class, and the class names are unknown"),
    ],
)
def test_what_is_not_one_class_per_image_is_refused(targets, sentence):
    with pytest.raises(InputError, match=sentence):
        classes(targets)


def test_one_class_for_all_images_and_a_list_of_classes():
    assert classes(3).tolist() == [3, 3, 3]
    assert classes([1, 2, 0]).tolist() == [1, 2, 0]


@pytest.mark.parametrize("ask", [lambda rows: rows.score(torch.eye(2)), lambda rows: rows.linear()])
def test_rows_without_a_target_can_be_counted_and_not_be_asked(ask):
    rows = unscored_rows(2, torch.device("cpu")).repeat(3)
    assert rows.image.tolist() == [0, 1, 0, 1, 0, 1]
    with pytest.raises(InputError, match="uses no target, but the method asks for one: set class_dependent=True"):
        ask(rows)
