"""What a picture of a store says of where it comes from: model, method, what is explained, names of classes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from inspect import signature
from typing import Any, NamedTuple

from lit_coiba.core.method import AttributionMethod
from lit_coiba.core.network import Network
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.pictures.names import Names
from lit_coiba.store import Manifest

RULES = {  # a store's targets in words
    "predicted": "the predicted class",
    "label": "the label",
    "runner_up": "the class in second place",
}
_DIGEST = re.compile("[0-9a-f]{64}")


class About(NamedTuple):
    """What is not in a store itself."""

    names: Names = Names()
    model: str = ""  # its name; empty = unknown
    random_weights: bool = False
    defaults: Mapping[str, Any] | None = None  # arguments of the method that are not worth telling; None = unknown

    @classmethod
    def of(cls, network: Network, images: ImageDataset, method: AttributionMethod, random_weights: bool) -> About:
        """What is known of a model, images that it explains, and the method.

        Args:
            network: The model, a `Backbone`.
            images: The images.
            method: The method.
            random_weights: Whether nobody has trained or loaded its weights.
        """
        known: Any = network
        name = known.arguments.get("name") or type(known.model).__name__
        names = Names.of(images.classes, known.class_names, known.num_classes)
        return cls(names, name, random_weights, defaults_of(type(method)))


def defaults_of(method: type[AttributionMethod]) -> dict[str, Any]:
    """The arguments of a method that have a default, and that default."""
    parameters = signature(method).parameters.values()
    return {one.name: one.default for one in parameters if one.default is not one.empty}


def method_name(manifest: Manifest) -> str:
    """The class of the method, without its module."""
    return str(_method(manifest).get("class", "Explanations")).rpartition(".")[2]


def settings(manifest: Manifest, defaults: Mapping[str, Any] | None) -> str:
    """The arguments of the method that are not its defaults, such as ``beta 10, steps 20``; all, if none are known."""
    plain = {name: _plain(value) for name, value in (defaults or {}).items()}
    given = {name: value for name, value in _method(manifest).items() if name != "class"}
    told = {name: value for name, value in given.items() if name not in plain or plain[name] != value}
    return ", ".join(f"{name} {_spoken(value)}" for name, value in told.items())


def rule(manifest: Manifest) -> str:
    """What is explained of each image, in words; empty where the store does not say."""
    target = manifest.identity.get("targets")
    if target is None:
        return ""
    if isinstance(target, Mapping) and target.get("kind") == "class":
        score = target.get("score")
        return f"{_class_rule(str(target.get('cls')))}{f', by its {score}' if score else ''}"
    if isinstance(target, Mapping):
        given = {name: value for name, value in target.items() if name not in ("kind", "version")}
        others = {name: value for name, value in given.items() if value is not None}
        return f"{target.get('kind', '')} {_spoken(others)}".strip()
    return _class_rule(str(target))


def _class_rule(text: str) -> str:
    if text.startswith("top") and text[3:].isdigit():
        return f"the {text[3:]} most probable classes"
    return RULES.get(text, f"class {text}")


def explains_predictions(manifest: Manifest) -> bool:
    """Whether what is explained is always what the model predicts."""
    return manifest.identity.get("targets") in (None, "predicted", "top1")


def _method(manifest: Manifest) -> Mapping[str, Any]:
    found = manifest.identity.get("method", {})
    return found if isinstance(found, Mapping) else {}


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _spoken(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return " ".join(map(_spoken, value)) or "none"
    if isinstance(value, Mapping):
        return " ".join(f"{name} {_spoken(item)}" for name, item in value.items())
    if value is None or isinstance(value, bool):
        return {None: "none", True: "on", False: "off"}[value]
    if isinstance(value, str) and _DIGEST.fullmatch(value):  # of a file: enough to tell two apart
        return value[:8]
    return f"{value:g}" if isinstance(value, float) else str(value)
