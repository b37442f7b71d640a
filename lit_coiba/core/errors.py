"""The error that means that the user can mend it, and the checks of arguments that raise it."""

from __future__ import annotations

from typing import Any, get_args


class InputError(ValueError):
    """Something the user gave is wrong; the message says what, and what to do instead."""


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
