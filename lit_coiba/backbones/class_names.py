"""The names of a model's classes, where they are known: never guessed from their number alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from timm.data import ImageNetInfo  # type: ignore[attr-defined]
from torch import Tensor, nn

from lit_coiba.backbones.grid_head import attached
from lit_coiba.core.errors import InputError

KEY = "class_names"  # in the arguments that a file of weights tells

IMAGENET = {  # number of classes -> timm's name of the subset
    1000: "imagenet-1k",
    11221: "imagenet-21k-miil",
    11821: "imagenet-12k",
    21841: "imagenet-22k",
    21842: "imagenet-22k-ms",
    21843: "imagenet-21k-goog",
}
# Classes of ImageNet-1k that are alike and whose numbers are far apart, since objects are in alphabetical order there.
ALIKE = (
    (401, 402, 420, 432, 486, 513, 541, 546, 558, 566, 577, 579, 593, 594, 683, 776, 822, 875, 881, 889),  # instruments
    (407, 436, 468, 511, 555, 569, 609, 627, 654, 656, 675, 717, 734, 751, 779, 817, 829, 864, 867, 874),  # vehicles
    (403, 472, 484, 510, 554, 576, 625, 628, 724, 780, 814, 833, 871, 914),  # vessels
)
ENOUGH = 0.5  # standard deviations that rows of like classes are nearer than others; EfficientNet-Lite0 has 3.2

_TOLD = "_class_names"  # attribute of a model: names, and the head that they belong to


class ClassNames:
    """`Backbone.class_names`: names in the order of the logits; None = unknown.

    They are those that were set, or that the checkpoint of a fit tells; else those of a wrapped model's configuration
    (``id2label`` of Hugging Face); else those of ImageNet, if the classifier has as many classes as ImageNet-1k, 12k,
    21k or 22k, and its weights show that it was trained on them: rows of like classes are alike
    (`trained_on_imagenet`). Neither random weights nor a classifier of other 1,000 classes have them; a head that
    replaces a model's own classifier has names only from its checkpoint.
    """

    def __get__(self, backbone: Any, owner: type | None = None) -> Any:
        """The names of a backbone's classes."""
        if backbone is None:
            return self
        if are_told(backbone):
            return list(backbone.model.__dict__[_TOLD][0])
        return None if backbone.head is not None else found_names(backbone.model, backbone.num_classes)

    def __set__(self, backbone: Any, names: Any) -> None:
        """Set the names, one for each class; None = those that can be found."""
        if names is not None:
            texts = isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names)
            if not texts or len(names) != backbone.num_classes:
                given = f"{len(names)} entries" if texts else f"of type {type(names).__name__}"
                raise InputError(f"class_names is {given}: give a list of {backbone.num_classes} names, one a class")
        tell_names(backbone.model, names)


def tell_names(model: nn.Module, names: Sequence[str] | None) -> None:
    """Note the class names of a model with the classifier that it has now; another head has other classes."""
    model.__dict__[_TOLD] = (None if names is None else list(names), attached(model))


def are_told(backbone: Any) -> bool:
    """Whether the class names of a backbone were set, or told by the checkpoint of a fit, and not just found."""
    names, head = backbone.model.__dict__.get(_TOLD, (None, None))
    return names is not None and head is attached(backbone.model) and len(names) == backbone.num_classes


def names_in(told: Mapping[str, Any]) -> list[str] | None:
    """The class names that a file of weights tells; see `weights_file.read_arguments`."""
    names = told.get(KEY)
    return list(names) if isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names) else None


def found_names(model: nn.Module, num_classes: int) -> list[str] | None:
    """The names that a model brings along, or those of ImageNet where its weights show them; else None."""
    for module in model.modules():
        names = getattr(getattr(module, "config", None), "id2label", None)
        if isinstance(names, Mapping) and len(names) == num_classes:
            found = [str(names.get(index, names.get(str(index), ""))) for index in range(num_classes)]
            if any(name and name != f"LABEL_{index}" for index, name in enumerate(found)):
                return found
    if num_classes not in IMAGENET:
        return None
    rows = classifier_rows(model, num_classes)
    return list(imagenet_names(num_classes)) if rows is not None and trained_on_imagenet(rows) else None


def classifier_rows(model: nn.Module, num_classes: int) -> Tensor | None:
    """Weights of the last layer that has an output for each class, ``(K, C)``; None if there is no such layer."""
    found = None
    for module in model.modules():
        weight = getattr(module, "weight", None)
        linear = isinstance(module, (nn.Linear, nn.Conv2d)) and isinstance(weight, Tensor)
        if linear and weight is not None and len(weight) == num_classes and weight[0, 0].numel() == 1:
            found = weight.detach().flatten(1)
    return found


@torch.no_grad()
def trained_on_imagenet(rows: Tensor) -> bool:
    """Whether a classifier's rows ``(K, C)`` are alike where ImageNet's classes are.

    Of 1,000 classes those are musical instruments, vehicles and vessels, scattered over the alphabet; the larger sets
    are in WordNet's order, where neighbors are related.
    """
    rows = rows.float().cpu()
    rows = nn.functional.normalize(rows - rows.mean(0), dim=1)
    if len(rows) != 1000:
        shuffled = rows[torch.arange(len(rows)).roll(len(rows) // 2)]
        others = (rows * shuffled).sum(1)
        return bool((rows[1:] * rows[:-1]).sum(1).mean() - others.mean() > ENOUGH * others.std())
    similar = rows @ rows.T
    between = similar[~torch.eye(len(rows), dtype=torch.bool)]
    groups = [similar[list(group)][:, list(group)] for group in ALIKE]
    means = [(group.sum() - group.trace()) / (group.numel() - len(group)) for group in groups]
    return all(bool(mean - between.mean() > ENOUGH * between.std()) for mean in means)


@lru_cache(maxsize=2)
def imagenet_aliases(num_classes: int) -> Mapping[str, int]:
    """What else ImageNet's classes are called, and their numbers: WordNet's ids, and lemmas that only one class has.

    Example:
        >>> [imagenet_aliases(1000)[name] for name in ("n01440764", "Tinca tinca", "tench, Tinca tinca")]
        [0, 0, 0]
    """
    known = ImageNetInfo(IMAGENET[num_classes])
    texts = known.label_descriptions()
    lemmas = [(lemma, index) for index, text in enumerate(texts) for lemma in {text, *text.split(", ")}]
    counts = Counter(lemma for lemma, _ in lemmas)
    wordnet = {name: index for index, name in enumerate(known.label_names())}
    return {**{lemma: index for lemma, index in lemmas if counts[lemma] == 1}, **wordnet}


def is_imagenet(names: Sequence[str]) -> bool:
    """Whether these are the names that `imagenet_names` gives."""
    return len(names) in IMAGENET and tuple(names) == imagenet_names(len(names))


@lru_cache(maxsize=2)
def imagenet_names(num_classes: int) -> tuple[str, ...]:
    """Names of ImageNet's classes: WordNet's first lemma, with the number where several have the same one.

    Example:
        >>> imagenet_names(1000)[:2], imagenet_names(1000)[134]
        (('tench', 'goldfish'), 'crane (134)')
    """
    lemmas = [text.split(", ")[0] for text in ImageNetInfo(IMAGENET[num_classes]).label_descriptions()]
    counts = Counter(lemmas)
    return tuple(f"{name} ({index})" if counts[name] > 1 else name for index, name in enumerate(lemmas))
