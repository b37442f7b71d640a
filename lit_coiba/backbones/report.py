"""What a look at a model has shown: found when it is first asked for, kept while the model has the same weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import nn

from lit_coiba.backbones.defaults import Defaults
from lit_coiba.backbones.layer_facts import LayerFacts, layer_facts
from lit_coiba.backbones.looking import behave
from lit_coiba.backbones.probe import like
from lit_coiba.backbones.probes import Probes
from lit_coiba.backbones.refusals import unusable
from lit_coiba.backbones.shares import Shares
from lit_coiba.core.behavior import Behavior
from lit_coiba.core.errors import InputError
from lit_coiba.core.grid import Grid


@dataclass(frozen=True)
class ModelReport:
    """All that is known of a model; printed, it is readable.

    Attributes:
        behavior: How it behaves on two images.
        device: Where its weights are.
        size: Height and width of its images in pixels.
        grids: Number of layers with a spatial grid.
        cuts: Those of them through which all leads that the outputs depend on, in the order of execution.
        beside: Layers that the outputs do not depend on.
        misplaced: Layers whose places are not in reading order, and what was seen; they are refused.
        cam_layer: Default layer of class activation maps; None = there is none.
        cam_round: Share of the outputs' difference between two images that goes round it, prefix tokens aside.
        layers: Default bottleneck layers.
        layers_round: Share that goes round all of them together.
    """

    behavior: Behavior
    device: str
    size: tuple[int, int]
    grids: int
    cuts: tuple[str, ...]
    beside: tuple[str, ...]
    misplaced: dict[str, str]
    cam_layer: str | None
    cam_round: float
    layers: tuple[str, ...]
    layers_round: float

    def __str__(self) -> str:
        shown = [
            f"{self.behavior.title}: images of {self.size[0]} x {self.size[1]} pixels, on {self.device}",
            *(f"  {line}" for line in self.behavior.lines()),
            f"  layers           {self.grids} with a grid; {len(self.cuts)} are cuts, the last {_some(self.cuts)}",
            f"  class maps       {self.cam_layer or 'no layer'}{_round(self.cam_round)}",
            f"  bottlenecks      {_ends(self.layers)}{_round(self.layers_round)}",
        ]
        if self.beside:
            shown.append(f"  beside the path  {_some(self.beside)}")
        if self.misplaced:
            name, seen = next(iter(self.misplaced.items()))
            shown.append(f"  places           of {len(self.misplaced)} layers are not in reading order: {name}, {seen}")
        return "\n".join(shown)


class Looks:
    """What has been seen of one model, and when to look again: after its weights have changed.

    Args:
        title: Name of the model.
        around: What is around or inside it.
        anyone: Whether it may be anyone's network, whose places are looked at before any layer is used.
    """

    def __init__(self, title: str, around: tuple[str, ...] = (), anyone: bool = False) -> None:
        self._title, self._around, self._anyone = title, around, anyone
        self._seen: Any = None
        self._state: Any = None

    def at(self, model: nn.Module, size: tuple[int, int], probes: Probes, on: bool) -> Look:
        """What is known of `model` as it is now; what is not `on` runs it no more than `probes` do."""
        state = (id(model), size, on, sum(p._version for p in model.parameters() if not p.is_inference()))
        if state != self._state:
            self._seen, self._state = Look(self._title, model, size, probes, on, self._around, self._anyone), state
        seen: Look = self._seen
        return seen

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_seen": None, "_state": None}  # a copy looks for itself


class Look:
    """One look at a model; each part is made once, when it is asked for."""

    def __init__(
        self,
        title: str,
        model: nn.Module,
        size: tuple[int, int],
        probes: Probes,
        on: bool,
        around: tuple[str, ...],
        anyone: bool,
    ) -> None:
        self._title, self._model, self._size, self._probes = title, model, size, probes
        self._on, self._around, self._anyone = on, around, anyone

    @cached_property
    def behavior(self) -> Behavior | None:
        """How the model behaves; warns of what changes the meaning of all numbers. None = switched off.

        Raises:
            InputError: It does not run, or returns no logits.
        """
        if not self._on:
            return None
        self._probes.of(self._model, self._size)  # which says in one sentence why it does not run
        found = behave(self._model, self._title, self._size, has_classifier(self._model), self._around)
        found.warn()
        return found

    @property
    def outputs(self) -> int:
        """Number of outputs for an image.

        Raises:
            InputError: There is not a row of them for each image.
        """
        if self.behavior is not None:
            return self.behavior.outputs
        output = self._probes.of(self._model, self._size).output
        if output is None or len(output) != 1:
            raise InputError(f"{self._title} returns {output} for an image, not one logit per class: wrap its logits")
        return output[0]

    @cached_property
    def facts(self) -> LayerFacts | None:
        """What is known of its layers; None = gradients do not show it."""
        grids = self._probes.grids(self._model, self._size)
        return layer_facts(self._model, self._size, grids) if grids and self._on else None

    @cached_property
    def grids(self) -> dict[str, Grid]:
        """Layers whose places are where they are taken to be."""
        found = self._probes.grids(self._model, self._size)
        if not self._anyone or not found or self.facts is None:
            return found
        return {name: grid for name, grid in found.items() if name not in self.misplaced}

    @property
    def misplaced(self) -> dict[str, str]:
        """Layers whose places are not in reading order, and what was seen; looked at in anyone's network only."""
        return self.facts.misplaced if self._anyone and self.facts is not None else {}

    def unusable(self, layer: str) -> InputError:
        """The error for a layer that is not in `grids`."""
        try:
            examples = self.defaults.layers[-3:]
        except InputError:
            examples = list(self.grids)[-3:]
        seen = self._probes.of(self._model, self._size)
        return unusable(layer, self._title, self._model, seen, self.grids, examples, self.misplaced.get(layer, ""))

    @cached_property
    def shares(self) -> Shares:
        """Measures what goes round layers."""
        return Shares(self._model, self._size)

    @cached_property
    def defaults(self) -> Defaults:
        """The layers that are taken where none is named."""
        return Defaults(self._title, self._model, self.grids, self.facts, self.shares, self.misplaced)

    @cached_property
    def report(self) -> ModelReport:
        """All of it.

        Raises:
            InputError: Looking is switched off.
        """
        if self.behavior is None:
            raise InputError("there is no report, since model.look is False: set it to True")
        facts, defaults = self.facts, self.defaults
        cam, layers = _or_none(lambda: defaults.cam_layer), _or_none(lambda: tuple(defaults.layers)) or ()
        return ModelReport(
            behavior=self.behavior,
            device=str(like(self._model).device),
            size=self._size,
            grids=len(self.grids),
            cuts=tuple(name for name in self.grids if facts is not None and name in facts.cuts),
            beside=tuple(name for name in self.grids if facts is not None and name not in facts.on_path),
            misplaced=dict(self.misplaced),
            cam_layer=cam,
            cam_round=defaults.cam_round if cam else 0.0,
            layers=layers,
            layers_round=defaults.layers_round(list(layers)) if layers else 0.0,
        )


def has_classifier(model: Any) -> bool:
    """Whether the outputs are classes: a model without a classifier has an identity in its place."""
    given = getattr(model, "get_classifier", None)
    if "forward_head" in vars(model):  # a head of ours
        return True
    if given is None:
        return not any(isinstance(getattr(model, name, None), nn.Identity) for name in ("fc", "classifier", "head"))
    try:
        found = given()
    except Exception:  # someone else's method of this name
        return True
    parts = list(found) if isinstance(found, (tuple, list, nn.ModuleList)) else [found]
    return not parts or not all(part is None or isinstance(part, nn.Identity) for part in parts)


def _or_none(find: Any) -> Any:
    try:
        return find()
    except InputError:
        return None


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[-3:]) or "none"


def _ends(names: tuple[str, ...]) -> str:
    return (
        "no layers" if not names else names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}, {len(names)} layers"
    )


def _round(share: float) -> str:
    return f" ({min(share, 1):.0%} goes round)" if share else ""
