"""Parts of an image that are shown or hidden as a whole: what LIME and KernelSHAP explain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

import torch
from torch import Tensor

from lit_coiba.core.batched_evaluator import BatchedEvaluator
from lit_coiba.core.errors import InputError
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.frozen import frozen
from lit_coiba.core.images import Output, check_images
from lit_coiba.core.network import Network
from lit_coiba.perturbation.baselines import Baseline
from lit_coiba.perturbation.masking import baseline_or_zeros, copy_scores, masked, target_classes

Segments = Literal["grid", "slic"]
Fit = Callable[[int, Callable[[Tensor], Tensor]], tuple[Tensor, dict[str, Tensor]]]


class SegmentMethod(Protocol):
    """Arguments that LIME and KernelSHAP share."""

    grid_size: int
    segments: Segments
    baseline: Baseline
    output: Output
    seed: int


def explain_by_segments(
    method: SegmentMethod,
    model: Network,
    images: Tensor,
    targets: Tensor | int | None,
    regions: Tensor | None,
    copies: BatchedEvaluator,
    fit: Fit,
) -> Explanation:
    """What LIME and KernelSHAP have in common: segments, their scores, and a map of the values that `fit` finds.

    Args:
        method: How the image is cut up and hidden.
        model: Any classifier.
        images: ``(B, 3, H, W)``.
        targets: Classes.
        regions: Segments in place of those of the method, ``(H, W)`` or ``(B, H, W)``.
        copies: Decides how many copies at once.
        fit: As `_values` says.

    Raises:
        InputError: `regions` are not integers of the images' size; scikit-image is missing for ``slic``.
    """
    check_images(model, images)
    with frozen(model), torch.no_grad():
        images = images.detach().contiguous()
        classes = target_classes(model, images, targets, copies)
        hidden = baseline_or_zeros(method.baseline, images, model, method.seed)
        places = segments_of(images, model, method.segments, method.grid_size, regions)
        values, extras = _values(model, images, classes, places, hidden, copies, method.output, fit)
    side = method.grid_size if regions is None and method.segments == "grid" else None
    return _explanation(images, values, extras, places, side)


def segments_of(images: Tensor, model: Network, segments: Segments, grid_size: int, regions: Tensor | None) -> Tensor:
    """The segment of every pixel, int64 from 0 without gaps: ``(1, H, W)`` for all images, or ``(B, H, W)``.

    Args:
        images: ``(B, 3, H, W)``.
        model: Its normalisation tells what colours the pixels have.
        segments: How, where the user gives none.
        grid_size: Along a side of a grid; the square of it is about the number of superpixels.
        regions: Segments of the user's, ``(H, W)`` or ``(B, H, W)``.

    Raises:
        InputError: `regions` are not a whole number for every pixel; more cells than pixels; scikit-image is missing.
    """
    if regions is not None:
        return checked_regions(regions, images)
    if segments == "grid":
        if grid_size > min(images.shape[-2:]):
            raise InputError(
                f"grid_size is {grid_size}, more than the image has pixels: give at most {min(images.shape[-2:])}"
            )
        return grid_segments(grid_size, (images.shape[-2], images.shape[-1])).to(images.device)
    return superpixels(model.preprocessing.denormalize(images), grid_size**2).to(images.device)


def _values(
    model: Network,
    images: Tensor,
    classes: Tensor,
    places: Tensor,
    hidden: Tensor | None,
    copies: BatchedEvaluator,
    output: Output,
    fit: Fit,
) -> tuple[Tensor, dict[str, Tensor]]:
    """A value for every segment of every image, ``(B, d)`` padded with zeros, and extras ``(B,)``, on the device.

    Images that have as many segments share their draws and run together.

    Args:
        model: The model, frozen.
        images: ``(B, 3, H, W)``.
        classes: ``(B,)``.
        places: From `segments_of`.
        hidden: What hidden segments show, ``(B, 3, H, W)``; None = zeros.
        copies: Decides how many copies at once.
        output: Which score.
        fit: Is given the number of segments, d, and a function from what is shown ``(n, d)`` to scores ``(n, b)``, fp64
            on the CPU; gives values ``(b, d)`` and extras ``(b,)`` of these images.
    """
    counts = (places.flatten(1).amax(1) + 1).cpu().expand(len(images))
    values = torch.zeros(len(images), int(counts.max()), dtype=torch.float64)
    extras: dict[str, Tensor] = {}
    for parts in counts.unique().tolist():
        rows = (counts == parts).nonzero().squeeze(-1)
        some = rows.to(images.device)
        own, own_places = images[some], places if len(places) == 1 else places[some]
        own_classes, own_hidden = classes[some], None if hidden is None else hidden[some]

        def scores(
            shown: Tensor,
            own: Tensor = own,
            own_places: Tensor = own_places,
            own_classes: Tensor = own_classes,
            own_hidden: Tensor | None = own_hidden,
        ) -> Tensor:
            shown = shown.to(own.device, own.dtype)

            def make(copy: slice, row: slice) -> Tensor:
                masks = segment_masks(shown[copy], own_places if len(own_places) == 1 else own_places[row])
                return masked(own[row], masks, None if own_hidden is None else own_hidden[row])

            return copy_scores(model, own, own_classes, len(shown), make, copies, output).cpu().double()

        found, more = fit(parts, scores)
        values[rows, :parts] = found
        for name, numbers in more.items():
            extras.setdefault(name, torch.zeros(len(images), dtype=torch.float64))[rows] = numbers
    return values, extras


def _explanation(
    images: Tensor, values: Tensor, extras: dict[str, Tensor], places: Tensor, side: int | None
) -> Explanation:
    """Values per segment ``(B, d)`` as maps: of a grid with `side` cells along a side, or at pixels."""
    dtype = torch.promote_types(images.dtype, torch.float32)
    values = values.to(images.device, dtype)
    extras = {name: numbers.to(images.device, dtype) for name, numbers in extras.items()}
    if side is not None:
        return Explanation(values.unflatten(-1, (side, side)), extras)
    at_pixels = values.gather(-1, places.flatten(1).expand(len(values), -1))
    return Explanation(at_pixels.unflatten(-1, tuple(images.shape[-2:])), extras)


def segment_masks(values: Tensor, places: Tensor) -> Tensor:
    """Values per segment ``(k, d)`` as masks ``(k, r, H, W)``, r = 1 where all images have the same segments.

    Example:
        >>> segment_masks(torch.tensor([[5.0, 7.0]]), torch.tensor([[[0, 1, 1]]]))
        tensor([[[[5., 7., 7.]]]])
    """
    return values[:, places.flatten()].unflatten(-1, tuple(places.shape))


def grid_segments(cells: int, size: tuple[int, int]) -> Tensor:
    """Square cells numbered row by row, ``(1, H, W)`` int64.

    Example:
        >>> grid_segments(2, (2, 4))
        tensor([[[0, 0, 1, 1],
                 [2, 2, 3, 3]]])
    """
    rows, columns = (torch.arange(pixels) * cells // pixels for pixels in size)
    return (rows.unsqueeze(-1) * cells + columns).unsqueeze(0)


def superpixels(pixels: Tensor, count: int) -> Tensor:
    """Some `count` superpixels of similar colour, numbered from 0 for each image: ``(B, H, W)`` int64 on the CPU.

    Achanta et al., SLIC, 2012; scikit-image's implementation.

    Args:
        pixels: Images ``(B, 3, H, W)`` in [0, 1].
        count: About how many.

    Raises:
        InputError: scikit-image is missing.
    """
    try:
        from skimage.segmentation import slic
    except ImportError as error:
        raise InputError("segments slic needs scikit-image: install lit-coiba[demo], or choose grid") from error
    images = pixels.detach().clamp(0, 1).double().cpu().permute(0, 2, 3, 1).contiguous().numpy()
    return torch.stack([_numbered(torch.from_numpy(slic(image, count, start_label=0))) for image in images])


def checked_regions(regions: Tensor, images: Tensor) -> Tensor:
    """Segments of the user's, numbered from 0 without gaps: ``(1 or B, H, W)``.

    Raises:
        InputError: Not a whole number for every pixel.
    """
    given = regions.unsqueeze(0) if regions.dim() == 2 else regions
    fits = given.dim() == 3 and given.shape[-2:] == images.shape[-2:] and len(given) in (1, len(images))
    if not fits or given.is_floating_point() or given.is_complex():
        height, width = images.shape[-2:]
        raise InputError(
            f"regions are {regions.dtype} of shape {tuple(regions.shape)}: give integers ({height}, {width}), the"
            f" segment of every pixel, or one such map for each of the {len(images)} images"
        )
    return torch.stack([_numbered(one) for one in given]).to(images.device)


def _numbered(labels: Tensor) -> Tensor:
    """Labels as 0, 1, 2, ... in their order."""
    return labels.unique(return_inverse=True)[1]
