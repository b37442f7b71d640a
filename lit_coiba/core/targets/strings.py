"""What is explained in one word, as the command line and version 0.1.0 write it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable
from lit_coiba.core.targets.class_target import REFERENCES, Class
from lit_coiba.core.targets.target import Target

_TYPO = 0.85  # likeness from which on a word is no name; class:NAME makes it one
_FORMS = "predicted, label, runner_up, top3 (any number), or the number or the name of a class"


def parse_target(text: str | int | Target) -> Target:
    """The target that a short text stands for; a target itself stays.

    Args:
        text: ``predicted``, ``label``, ``runner_up``, ``top3``, ``17``, or the name of a class, ``tench``; with
            ``class:`` before it a name may be a number or one of these words.

    Raises:
        InputError: It is no text or number, empty, or of a kind that does not exist.

    Example:
        >>> [parse_target(text).cls for text in ("predicted", "top-3", 17, "class:tench", "bull mastiff")]
        ['predicted', 'top3', 17, 'tench', 'bull mastiff']
    """
    if isinstance(text, Target):
        return text
    if isinstance(text, bool) or not isinstance(text, str | int):
        raise InputError(f"targets is {text!r}: give {_FORMS}")
    word = str(text)
    if re.fullmatch(r"-?\d+", word):
        return Class(int(word))
    if word in REFERENCES:
        return Class(word)
    if found := re.fullmatch(r"top-?(\d+)", word):
        return Class(f"top{int(found[1])}")
    kind, given, rest = word.partition(":")
    if given and kind == Class.kind and rest:
        return Class(int(rest)) if rest.isdigit() else Class(rest)
    near = get_close_matches(word, REFERENCES, n=1, cutoff=_TYPO)
    if not word.strip() or re.match(r"\w*:", word) or re.fullmatch(r"[-+.\d]+", word) or near:
        meant = f"did you mean {near[0]}? Else " if near else ""
        raise InputError(f"targets is {printable(word, 80)!r}: {meant}give {_FORMS}")
    return Class(word)


def target_text(identity: Any) -> Any:
    """The short text of a target that the identity of a store describes, as `parse_target` takes it if it is one class.

    Example:
        >>> target_text({"kind": "class", "cls": "bass", "score": "prob", "output": None, "version": 1})
        'class:bass, score prob'
        >>> target_text("label")
        'label'
    """
    if not isinstance(identity, Mapping):
        return identity
    named = "cls" if identity.get("kind") == Class.kind else None
    text = f"{identity.get('kind')}{':' if named else ''}{identity.get(named, '') if named else ''}"
    rest = {name: value for name, value in identity.items() if name not in ("kind", "version", named)}
    return ", ".join([text, *(f"{name} {value}" for name, value in rest.items() if value is not None)])


def explains_labels(identity: Any) -> bool:
    """Whether a target, as the identity of a store describes it, may depend on labels; a user's own may.

    Example:
        >>> explains_labels("label"), explains_labels("predicted"), explains_labels({"kind": "mine.Odd"})
        (True, False, True)
    """
    if isinstance(identity, Mapping):
        return identity.get("cls") == "label" or "." in str(identity.get("kind"))
    return bool(identity == "label")
