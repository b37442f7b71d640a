"""The images of a stream that the model gives one class: those that its concepts are about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lit_coiba.bottlenecks.statistics import images_of
from lit_coiba.core.batched_evaluator import BatchedEvaluator
from lit_coiba.core.errors import InputError
from lit_coiba.core.images import check_images
from lit_coiba.core.network import Network
from lit_coiba.core.targets import select_output


class ImagesOfClass(NamedTuple):
    """Images of one batch of the stream; none where the model gives no image of the batch the class."""

    images: Tensor  # (n, 3, H, W), on the model's device
    numbers: Tensor  # (n,) int64: their numbers in the stream
    logits: Tensor  # (n, K)
    seen: int  # images of the batch


def images_of_class(model: Network, images: Iterable[Any], cls: int) -> Iterator[ImagesOfClass]:
    """For each batch, its images that the model predicts to be of the class, whatever their labels are.

    Args:
        model: The model, frozen.
        images: Any iterable of image tensors, ``(images, ...)`` tuples or `Batch`; or one tensor ``(B, 3, H, W)``.
        cls: Number of the class.

    Raises:
        InputError: The class is none of the model's, or the images do not fit it.
    """
    if isinstance(cls, bool) or not isinstance(cls, int) or not 0 <= cls < model.num_classes:
        raise InputError(f"cls is {cls!r}: give the number of a class, 0 to {model.num_classes - 1}")
    device = next((weights.device for weights in model.parameters()), torch.device("cpu"))
    evaluator, start = BatchedEvaluator(), 0
    for batch in images_of(images):
        batch = batch.to(device)
        check_images(model, batch)
        logits = _logits(model, batch, evaluator)
        chosen = (logits.argmax(-1) == cls).nonzero().flatten()
        yield ImagesOfClass(batch[chosen], chosen.cpu() + start, logits[chosen], len(batch))
        start += len(batch)


@torch.no_grad()
def _logits(model: Network, images: Tensor, evaluator: BatchedEvaluator) -> Tensor:
    return evaluator.gather(images, 1, lambda _, rows: select_output(model(images[rows]))[None])[0]
