"""The verb of every feature visualization: images that are optimized, all at once, for an objective each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol, final

import torch
from torch import Tensor
from tqdm import tqdm

from lit_coiba.core.arguments import checks_arguments
from lit_coiba.core.batched_evaluator import BatchedEvaluator, Chunk
from lit_coiba.core.behavior import behavior_of
from lit_coiba.core.class_identity import kept_arguments
from lit_coiba.core.errors import InputError, check_count, check_not_negative, check_positive
from lit_coiba.core.frozen import frozen
from lit_coiba.core.images import check_images
from lit_coiba.core.printable import a_kind
from lit_coiba.core.targets import Target
from lit_coiba.feature_visualization.crops import crop_boxes, crop_noise, cropped
from lit_coiba.feature_visualization.objectives.objective import Objective, Score
from lit_coiba.feature_visualization.objectives.target_score import TargetScore
from lit_coiba.feature_visualization.seen import Seen
from lit_coiba.feature_visualization.visualizations import Visualizations
from lit_coiba.functional import working_dtype

LEAST_SIDE = 16  # pixels of a canvas
_WEIGHT = 3  # memory of forward and backward of one crop, in forwards

Tell = Callable[[int], None]
Objectives = Objective | Target | str | int | Sequence[Objective | Target | str | int]


class ImageParametrization(Protocol):
    """Images as a function of what is optimized."""

    variable: Tensor

    def pixels(self) -> Tensor:
        """RGB images ``(B, 3, H, W)`` in [0, 1]."""

    def magnitude_error(self) -> Tensor:
        """How far the magnitude spectrum is from the one that is held, ``(B,)``; NaN where none is."""


class FeatureVisualizer(ABC):
    """Optimizes images for the mean of an objective over random crops with noise.

    Crops, noise and the image to begin with depend on the seed and the step only, and each image on its own objective
    only: many images in one batch are those of single runs, up to rounding.

    Args:
        steps: Number of steps.
        canvas: Side of the images in pixels, or height and width.
        crops: Number of crops that the model looks at in each step.
        lr: Step size of the optimizer to begin with.
        decay: Whether it falls to 0 by a cosine (ours).
        seed: Seed of crops, noise and the image to begin with.
        center_std: Standard deviation of the crops' centers, as a share of the canvas.
        crop_side: Side of all crops, as a share of the canvas; None = about a half at the first step and a twentieth
            at the last one.
        noise: Standard deviation of the noise, as a share of the range of pixels.
        chunk: Number of crops at once; ``auto`` = as many as suit the device. Halved where memory runs out.
        progress: Whether to show a progress bar, on a terminal only.

    Raises:
        InputError: An argument is out of its range.
    """

    excluded_from_identity: ClassVar[frozenset[str]] = frozenset({"chunk", "progress"})

    def __init__(
        self,
        steps: int,
        canvas: int | tuple[int, int],
        crops: int,
        lr: float,
        decay: bool,
        seed: int,
        center_std: float,
        crop_side: float | None,
        noise: float,
        chunk: Chunk,
        progress: bool,
    ) -> None:
        check_count(steps=steps, crops=crops)
        check_count(0, seed=seed)
        check_positive(lr=lr)
        check_not_negative(center_std=center_std, noise=noise)
        if crop_side is not None and not 0 < crop_side <= 1:
            raise InputError(f"crop_side is {crop_side}: give a share of the canvas, above 0 and at most 1, or null")
        sides = (canvas, canvas) if isinstance(canvas, int) else tuple(canvas)
        check_count(LEAST_SIDE, canvas=min(sides))
        self.steps, self.canvas, self.crops, self.seed = steps, canvas, crops, seed
        self.lr, self.decay = lr, decay
        self.center_std, self.crop_side, self.noise = center_std, crop_side, noise
        self.chunk, self.progress = chunk, progress
        self._size = (sides[0], sides[1])
        self._evaluator = BatchedEvaluator(chunk, weight=_WEIGHT)

    @final
    def visualize(self, model: Any, objectives: Objectives, tell: Tell | None = None) -> Visualizations:
        """Optimize an image for each objective. The model and the global random state stay as they are.

        Args:
            model: The model: a `Backbone`, or a trained classifier.
            objectives: One or several; a number, a name or a `Target` stands for its `TargetScore`.
            tell: Called after each step with the number of steps done, in the place of a bar.

        Raises:
            InputError: There is no objective, or the model has no such class, layer or channel, or no gradients.
        """
        wanted, model = as_objectives(objectives), getattr(model, "network", model)  # which a classifier has
        like = torch.zeros(1, 3, *_input_size(model), dtype=_dtype(model), device=_device(model))
        check_images(model, like)
        if (behavior := behavior_of(model)) is not None:
            behavior.refuse_batches()
            behavior.refuse_needs(type(self).__name__, ("gradients",))
        layers = {layer for one in wanted for layer in one.layers}
        for layer in layers:
            model.grid(layer)  # refuses what is none
        with frozen(model):
            images = self._begin(self._size, len(wanted), like.new_empty(0, dtype=working_dtype(like)))
            with torch.no_grad():
                whole = torch.tensor([[0.5, 0.5, 1.0]], device=like.device)
                shown = cropped(images.pixels()[:1], whole, _input_size(model))
                start = Seen(model, _model_input(model, shown, like), layers)
                scores = [one.bind(model, start) for one in wanted]
            return self._optimized(model, like, images, wanted, scores, tell)

    @abstractmethod
    def _begin(self, size: tuple[int, int], count: int, like: Tensor) -> ImageParametrization:
        """The images to begin with.

        Args:
            size: Height and width in pixels.
            count: Number of images.
            like: A tensor on the device and in the precision of the images.
        """

    @abstractmethod
    def _optimizer(self, variable: Tensor) -> torch.optim.Optimizer:
        """What moves the variable; its step size is set by the caller."""

    def _optimized(
        self,
        model: Any,
        like: Tensor,
        images: ImageParametrization,
        objectives: Sequence[Objective],
        scores: Sequence[Score],
        tell: Tell | None,
    ) -> Visualizations:
        optimizer = self._optimizer(images.variable)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps) if self.decay else None
        size, inputs = _input_size(model), like.expand(len(scores), -1, -1, -1)
        trace, importance = [], torch.zeros_like(images.pixels().detach())
        hidden = None if self.progress and tell is None else True  # None = where nobody watches
        for step in tqdm(range(self.steps), "Optimizing", disable=hidden, unit="step"):
            pixels = images.pixels()
            shown = pixels.detach()
            boxes = crop_boxes(self.seed, step, self.steps, self.crops, self.center_std, self.crop_side).to(
                shown.device
            )
            noise = crop_noise(self.seed, step, self.crops, size, self.noise).to(shown)

            def evaluate(
                copies: slice, rows: slice, shown: Tensor = shown, boxes: Tensor = boxes, noise: Tensor = noise
            ) -> tuple[Tensor, Tensor]:
                some = shown[rows].clone().requires_grad_()
                crops = cropped(some, boxes[copies], size) + noise[copies].repeat(rows.stop - rows.start, 1, 1, 1)
                layers = {layer for one in objectives[rows] for layer in one.layers}
                seen, count = Seen(model, _model_input(model, crops, like), layers), copies.stop - copies.start
                parts = [score(seen, slice(i * count, (i + 1) * count)) for i, score in enumerate(scores[rows])]
                means = torch.stack([part.to(some.dtype).sum() for part in parts]) / self.crops
                (gradient,) = torch.autograd.grad(means.sum(), some)
                return gradient, means.detach()

            gradient, means = self._evaluator.accumulate(inputs, self.crops, evaluate)
            trace.append(means)
            importance += gradient.abs()
            (images.variable.grad,) = torch.autograd.grad(pixels, images.variable, -gradient)
            optimizer.step()
            if schedule is not None:
                schedule.step()
            if tell is not None:
                tell(step + 1)
        with torch.no_grad():
            return Visualizations(
                images.pixels().clamp(0, 1),
                importance.mean(1),
                torch.stack(trace, 1),
                images.magnitude_error(),
                tuple(one.name for one in objectives),
            )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        checks_arguments(cls)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments of this instance."""
        return kept_arguments(self)

    def identity(self) -> dict[str, Any]:
        """The arguments that decide the images, as plain values."""
        return {name: value for name, value in self.arguments().items() if name not in self.excluded_from_identity}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.arguments().items())})"


def as_objectives(given: Objectives) -> list[Objective]:
    """A list of objectives, of one or several.

    Raises:
        InputError: There is none, or something else.

    Example:
        >>> as_objectives([3, "tench"])
        [TargetScore(target=3), TargetScore(target='tench')]
    """
    several = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    if not several:
        raise InputError("objectives is empty: give at least one, such as the number of a class")
    found = []
    for one in several:
        if isinstance(one, str | int | Target) and not isinstance(one, bool):
            one = TargetScore(one)
        if not isinstance(one, Objective):
            raise InputError(
                f"objectives has {a_kind(one)}: give objectives of lit_coiba.feature_visualization, targets, or numbers"
                " or names of classes"
            )
        found.append(one)
    return found


def _model_input(model: Any, pixels: Tensor, like: Tensor) -> Tensor:
    """Pixels as the model takes them."""
    found: Tensor = model.preprocessing.normalize(pixels).to(like.dtype)
    return found


def _input_size(model: Any) -> tuple[int, int]:
    size = model.preprocessing.size if hasattr(model, "preprocessing") else (1, 1)
    return int(size[0]), int(size[1])


def _weights(model: Any) -> Tensor | None:
    """Any weights that are numbers; None if there are none."""
    if not isinstance(model, torch.nn.Module):
        return None
    return next((weights for weights in model.parameters() if weights.is_floating_point()), None)


def _dtype(model: Any) -> torch.dtype:
    return torch.float32 if (weights := _weights(model)) is None else weights.dtype


def _device(model: Any) -> torch.device:
    return torch.device("cpu") if (weights := _weights(model)) is None else weights.device
