"""The verb of every attribution method, and what one wants to know of a method before running it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from inspect import signature
from typing import Any, ClassVar, Literal, NamedTuple, final

import torch
from torch import Tensor

from lit_coiba.core.arguments import checks_arguments
from lit_coiba.core.batched_evaluator import BatchedEvaluator
from lit_coiba.core.behavior import behavior_of, refuse_without_classes
from lit_coiba.core.class_identity import kept_arguments
from lit_coiba.core.errors import InputError, advise
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.frozen import frozen
from lit_coiba.core.images import check_images
from lit_coiba.core.printable import a_kind
from lit_coiba.core.targets import (
    Class,
    Resolved,
    ResolvedClass,
    Target,
    Targets,
    parse_target,
    resolve,
    select_output,
    unscored_rows,
)
from lit_coiba.functional import precise, resize_map

Need = Literal["gradients", "attention", "layer", "modules", "statistics", "head", "package"]
Family = Literal["CNN", "ViT", "Swin"]


class Card(NamedTuple):
    """What a user wants to know of a method before running it; ``lit-coiba methods`` shows it."""

    paper: str  # authors, title, year, number at arXiv; empty for a trivial baseline that nobody published
    cost: str  # images that run forward, and backward, through the model for one map
    needs: tuple[Need, ...] = ()  # of the model, beyond logits
    families: tuple[Family, ...] = ("CNN", "ViT", "Swin")
    class_dependent: bool = True
    baseline: bool = False  # a trivial baseline (sanity check), not an explanation


class Start(NamedTuple):
    """What a method's own forward of the clean images gives."""

    out: Any  # clean output of the model, on which targets are chosen and scored
    state: Any = None  # what the method goes on from


class AttributionMethod(ABC):
    """One attribution method.

    A concrete method implements `_explain`; `explain`, which is the same for all, checks the input, freezes the model,
    resolves the targets and hands out what `_explain` found. Constructor arguments are plain values, so that YAML can
    set all of them, and are kept as attributes of their names. A method with an argument `output` explains that score
    of a class; others explain the logit.

    A method that runs the clean images forward anyway may define `_start` and `_explain_started`, with
    ``_explain = from_start``: then the model is not run once more to choose what is explained.
    """

    card: ClassVar[Card] = Card("", "not stated")
    excluded_from_identity: ClassVar[frozenset[str]] = frozenset({"chunk"})  # arguments that do not decide the maps
    may_be_infinite: ClassVar[frozenset[str]] = frozenset()  # arguments that take infinities
    advice: ClassVar[str] = ""  # what to do where a model has what the method does not support, such as "take RISE"

    def prepare(self, model: Any, loader: Iterable[Any]) -> None:
        """Get from data what the method needs (activation statistics); most methods need nothing.

        Args:
            model: The model that will be explained.
            loader: Any iterable of image tensors, ``(images, ...)`` tuples or `Batch`; or one tensor ``(B, 3, H, W)``.
        """
        return

    @final
    def explain(self, model: Any, images: Tensor, targets: Targets = None) -> Explanation:
        """Explain a batch of images. The model, its gradients and the global random state stay as they are.

        Args:
            model: The model: a `Backbone`, a trained classifier, or for black-box methods any `ImageClassifier`.
            images: Normalized model input, ``(B, 3, H, W)``.
            targets: Classes ``(B,)``, or one for all images; a `Target`, a text that stands for one (``runner_up``, the
                name of a class), or what it was resolved to. None = the predicted class, for which the model runs once
                more where the method has no `begin`.

        Returns:
            Maps ``(B, h, w)`` whose cells are equal parts of the image, and extras; detached, in fp32 at least. They
            are at the method's native grid, or at the image's pixels where the cells of that grid are not equal.

        Raises:
            InputError: Images or targets that do not fit the model, or a model that the method cannot explain.
        """
        found = self.explain_cells(model, images, targets)
        if found.places is None:
            return found
        return Explanation(resize_map(found.maps, (images.shape[-2], images.shape[-1]), found.places), found.extras)

    @final
    def explain_cells(
        self, model: Any, images: Tensor, targets: Targets = None, started: Start | None = None
    ) -> Explanation:
        """`explain` with maps at the method's native grid always: `places` says where cells are not equal.

        Args:
            model: See `explain`.
            images: See `explain`.
            targets: See `explain`.
            started: What `begin` gave for these images; it can be used once.
        """
        with self._frozen(model, images) as pixels:
            if started is None and type(self)._explain is from_start:
                started = self._start(model, pixels)
            rows = self._resolved(model, pixels, targets, started)
            if started is None:
                found = self._explain(model, pixels, rows)
            else:
                found = self._explain_started(model, pixels, rows, started)
        return _handed_out(found, images)

    @final
    def begin(self, model: Any, images: Tensor) -> Start | None:
        """The clean output, and what `explain_cells` goes on from; None for a method without a forward of its own.

        Args:
            model: See `explain`.
            images: See `explain`.

        Raises:
            InputError: Images that do not fit the model, or a model that the method cannot explain.
        """
        if type(self)._explain is not from_start:
            return None
        with self._frozen(model, images) as pixels:
            return self._start(model, pixels)

    def attribute(self, model: Any, images: Tensor, targets: Targets = None) -> Tensor:
        """Maps ``(B, h, w)`` alone; see `explain`."""
        return self.explain(model, images, targets).maps

    @abstractmethod
    def _explain(self, model: Any, images: Tensor, targets: Resolved) -> Explanation:
        """What the method is about.

        Args:
            model: The model, frozen; gradients are on.
            images: ``(B, 3, H, W)``, a detached copy, which may be asked for gradients.
            targets: A row for each image, scored as the method's `output` says. Nothing can be asked of it where the
                card says ``class_dependent=False``: no model is run to choose what makes no difference.
        """

    def _start(self, model: Any, images: Tensor) -> Start:
        """The method's forward of the clean images, given as `_explain` is given them."""
        raise NotImplementedError

    def _explain_started(self, model: Any, images: Tensor, targets: Resolved, started: Start) -> Explanation:
        """`_explain` from what `_start` returned for other copies of these images."""
        raise NotImplementedError

    @contextmanager
    def _inputs(self, model: Any, images: Tensor, targets: Targets) -> Iterator[tuple[Tensor, Resolved]]:
        """Inside, the model is frozen: what `_explain` is given, for whatever a method offers beside `explain`.

        Raises:
            InputError: Images or targets that do not fit the model.
        """
        with self._frozen(model, images) as pixels:
            yield pixels, self._resolved(model, pixels, targets)

    @contextmanager
    def _frozen(self, model: Any, images: Tensor) -> Iterator[Tensor]:
        """Inside, the model is frozen; a detached copy of the images.

        Raises:
            InputError: Images that do not fit the model, or a model that the method cannot explain.
        """
        check_images(model, images)
        runs = self.card.class_dependent or self.card.needs
        if runs and (behavior := behavior_of(model)) is not None:
            behavior.refuse_batches()
            behavior.refuse_needs(type(self).__name__, self.card.needs)
        with frozen(model), advise(type(self).__name__, self.advice):
            yield images.detach().clone()  # which autograd may keep, also where the images were made in inference

    def _resolved(self, model: Any, images: Tensor, targets: Targets, started: Start | None = None) -> Resolved:
        """A row for each image, scored as this method scores classes."""
        if isinstance(targets, str):
            targets = parse_target(targets)
        if not self.card.class_dependent and (targets is None or isinstance(targets, Target)):
            return unscored_rows(len(images), images.device)
        if not isinstance(targets, Target | Resolved) or isinstance(targets, Class | ResolvedClass):
            refuse_without_classes(model)
        output, default = getattr(self, "output", "logit"), signature(type(self)).parameters.get("output")
        asked = default is not None and output != default.default

        def predict() -> Tensor:
            path = getattr(targets, "output", None) if isinstance(targets, Target) else None
            if started is not None:
                return select_output(started.out, path).detach()
            evaluator = getattr(self, "_evaluator", None) or BatchedEvaluator()  # the method's own knows its memory
            with torch.no_grad():
                return evaluator.gather(images, 1, lambda _, rows: select_output(model(images[rows]), path)[None])[0]

        names = getattr(model, "class_names", None) if isinstance(targets, Target) and targets.uses_names else None
        rows = resolve(targets, images, model.num_classes, predict, names or ())
        if "gradients" in self.card.needs and not rows.differentiable:
            raise InputError(
                f"{type(self).__name__} needs gradients, and the target's score has none: use a method that needs"
                " only scores, such as RISE, Sobol or Occlusion"
            )
        return rows.scored_by(output, asked)

    def of_model(self, model: Any, images: Iterable[Any]) -> AttributionMethod:
        """The method for a model that may be another than the one it was prepared for: itself, if it needs nothing.

        Args:
            model: The model that is to be explained.
            images: Where what it needs of the model is measured, if it does.
        """
        return self

    def has_room(self, inputs: int | None) -> None:
        """Say how many model inputs there is memory for, which a `chunk` of ``auto`` keeps to; None = unknown."""
        evaluator = getattr(self, "_evaluator", None)
        if isinstance(evaluator, BatchedEvaluator):
            evaluator.has_room(inputs)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "explain" in vars(cls):
            raise TypeError(f"{cls.__name__} defines explain, which is the same for all methods: define _explain")
        checks_arguments(cls)

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.arguments().items())
        return f"{type(self).__name__}({given})"

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments of this instance.

        Raises:
            InputError: It does not keep one of them.
        """
        return kept_arguments(self)

    def identity(self) -> dict[str, Any]:
        """What decides the explanations, as plain values: the arguments, and the content of a file for its path."""
        return {name: value for name, value in self.arguments().items() if name not in self.excluded_from_identity}


def from_start(self: AttributionMethod, model: Any, images: Tensor, targets: Resolved) -> Explanation:
    """`_explain` of a method that has `_start`; a derived class that has another one is explained by that alone."""
    return self._explain_started(model, images, targets, self._start(model, images))


def _handed_out(found: Explanation, images: Tensor) -> Explanation:
    """An explanation of these images, detached and in fp32 at least.

    Raises:
        InputError: The user's own method returned something else.
    """
    count = len(images)
    if not isinstance(found, Explanation) or found.maps.dim() != 3 or len(found.maps) != count:
        given = f"maps {tuple(found.maps.shape)}" if isinstance(found, Explanation) else a_kind(found)
        raise InputError(
            f"the method returned {given} for {count} images: return an Explanation with one map (h, w) per image"
        )
    if found.places is not None and (
        tuple(found.maps.shape[1:]) != (len(found.places.rows) - 1, len(found.places.columns) - 1)
        or tuple(found.places.size) != tuple(images.shape[-2:])
    ):
        raise InputError(
            f"the method's places have {len(found.places.rows)} and {len(found.places.columns)} edges for images of"
            f" {found.places.size}: give one more than the rows and columns of maps {tuple(found.maps.shape)}"
        )
    for name, values in found.extras.items():
        if not values.dim() or len(values) != count:
            raise InputError(f"the method's extra {name} has shape {tuple(values.shape)}: give a row for each image")
    extras = {name: values.detach() for name, values in found.extras.items()}
    floats = {name: precise(values) for name, values in extras.items() if values.is_floating_point()}
    return Explanation(precise(found.maps.detach()), extras | floats, found.places)
