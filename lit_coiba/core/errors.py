"""The errors that the user can fix, and the checks of arguments that raise them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, get_args

from lit_coiba.core.printable import a_kind, sentence

_WORKER = "\nOriginal Traceback (most recent call last):\n"  # how torch hands on what a process that reads data raised


class InputError(ValueError):
    """Something the user gave is wrong; the message says what, and what to do instead.

    Names in it may come from anywhere, so it becomes one printable line here, whoever shows it.

    Args:
        message: The sentence.
        drawing: Lines that belong below it, such as the folder that was expected; of text that is ours.

    Attributes:
        sentence: The message, as it may be shown.
        drawing: The argument.
    """

    def __init__(self, message: object = "", drawing: str = "") -> None:
        text = str(message)
        if _WORKER in text:
            text = text.rpartition(f"{type(self).__name__}: ")[2]
        self.sentence, self.drawing = sentence(text), drawing
        super().__init__(f"{self.sentence}\n{drawing}" if drawing else self.sentence)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.sentence, self.drawing)


def warn(message: object, stacklevel: int = 2) -> None:
    """Warn of something with names from files in it, in one printable line.

    Args:
        message: The sentence.
        stacklevel: Caller that the warning is about, as for `warnings.warn`.
    """
    warnings.warn(sentence(message), stacklevel=stacklevel + 1)


class Unsupported(InputError):
    """A model does something that the code which follows it step by step has no rule for.

    The lower layers raise it and name no method; `advise` makes it the sentence of the method that was asked.

    Args:
        what: The operation, a noun phrase such as "torch's exp".
        where: Name of the module that does it; empty where that is not known.
        remedy: What to change in the model or the call, if anything, such as "build the model with inplace=False".

    Attributes:
        what, where, remedy: The arguments.
    """

    def __init__(self, what: str, where: str = "", remedy: str = "") -> None:
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__(f"{self.subject} is not supported" + (f": {remedy}" if remedy else ""))

    @property
    def subject(self) -> str:
        """What is not supported, and where it is."""
        return f"{self.what} (at {self.where})" if self.where else self.what

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.what, self.where, self.remedy)


@contextmanager
def advise(method: str, advice: str) -> Iterator[None]:
    """Turn an `Unsupported` that is raised inside into one sentence of the method that was asked.

    Args:
        method: Name of the method.
        advice: What to do instead, such as "take RISE".

    Raises:
        InputError: "`method` does not support ...: `advice`", if something inside raises `Unsupported`.

    Example:
        >>> with advise("Chefer", "take RISE"):
        ...     raise Unsupported("attention within windows", "layers.0")
        Traceback (most recent call last):
        lit_coiba.core.errors.InputError: Chefer does not support attention within windows (at layers.0): take RISE
    """
    try:
        yield
    except Unsupported as error:
        remedies = ", or ".join(filter(None, (error.remedy, advice)))
        raise InputError(f"{method} does not support {error.subject}: {remedies}") from error


def check_choice(value: Any, choices: Any, name: str, more: str = "") -> Any:
    """`value`, which is one of the literals `choices`.

    Raises:
        InputError: It is not.
    """
    if value not in get_args(choices):
        raise InputError(f"{name} is {value!r}: choose {', '.join(get_args(choices))}{more}")
    return value


def check_count(least: int = 1, **values: int) -> None:
    """Refuse counts below `least`.

    Raises:
        InputError: Naming the first of them.
    """
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InputError(f"{name} is {value!r}: give a whole number, {least} or more")


def check_positive(**values: float) -> None:
    """Refuse numbers that are not above 0.

    Raises:
        InputError: Naming the first of them.
    """
    for name, value in values.items():
        if not value > 0:
            raise InputError(f"{name} is {value!r}: give a number above 0")


def check_not_negative(**values: float) -> None:
    """Refuse numbers below 0.

    Raises:
        InputError: Naming the first of them.
    """
    for name, value in values.items():
        if not value >= 0:
            raise InputError(f"{name} is {value!r}: give 0 or more")


def class_or_kind(given: Any) -> str:
    """What someone gave in the place of something else: an object of its type, or a class."""
    return f"the class {given.__name__}" if isinstance(given, type) else a_kind(given)
