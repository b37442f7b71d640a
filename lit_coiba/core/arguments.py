"""Arguments of constructors are held against their annotations: one sentence for a wrong type, NaN or an infinity.

What a number may be beyond that (a range, a power of two) the constructor itself says.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Collection, Mapping
from functools import cache, wraps
from inspect import signature
from numbers import Integral, Real
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from lit_coiba.core.errors import InputError

Class = TypeVar("Class", bound=type)

PLAIN = {bool: "true or false", int: "a whole number", float: "a finite number", str: "text", types.NoneType: "null"}


def checks_arguments(owner: Class) -> Class:
    """Let the constructor of a class refuse values that are not of the types that it states.

    Only plain types are looked at: numbers, text, true and false, null, lists of these. A class may name arguments that
    can be infinite in `may_be_infinite`. Signature and annotations stay as they are.

    Example:
        >>> @checks_arguments
        ... class Blur:
        ...     def __init__(self, sigma: float = 1.0) -> None:
        ...         self.sigma = sigma
        >>> Blur("3")
        Traceback (most recent call last):
        lit_coiba.core.errors.InputError: sigma is '3': give a finite number
    """
    if (init := vars(owner).get("__init__")) is not None and not hasattr(init, "__wrapped__"):
        setattr(owner, "__init__", _checked(init))  # noqa: B010 - the type of a method cannot be assigned
    return owner


def check_arguments(init: Callable[..., None], given: Mapping[str, Any], may_be_infinite: Collection[str] = ()) -> None:
    """Refuse values that are not of the types that a function states.

    Args:
        init: The function.
        given: Values by the names of arguments.
        may_be_infinite: Names of arguments that can be infinite.

    Raises:
        InputError: Naming the first of them.
    """
    hints = _hints(init)
    for name, value in given.items():
        hint = hints.get(name, Any)
        if not _fits(value, hint, name in may_be_infinite):
            shown = repr(value)
            told = f", [{shown[:80]}]" if isinstance(value, str) and _fits([value], hint, False) else ""
            raise InputError(f"{name} is {shown[:80]}{'...' if len(shown) > 80 else ''}: give {_described(hint)}{told}")


def _checked(init: Callable[..., None]) -> Callable[..., None]:
    @wraps(init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            bound = signature(init).bind(self, *args, **kwargs)
        except TypeError:  # Python's own sentence comes from the call
            bound = None
        if bound is not None:
            given = dict(list(bound.arguments.items())[1:])
            check_arguments(init, given, getattr(type(self), "may_be_infinite", ()))
        init(self, *args, **kwargs)

    return __init__


@cache
def _hints(init: Callable[..., None]) -> dict[str, Any]:
    """Annotations of a function; none where they cannot be read, as of a class inside a function."""
    try:
        return {name: hint for name, hint in get_type_hints(init).items() if name != "return"}
    except (NameError, TypeError, AttributeError):
        return {}


def _fits(value: Any, hint: Any, infinite: bool) -> bool:
    """Whether a value is of a type, as far as the type is a plain one."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return any(
            value in get_args(part) if get_origin(part) is Literal else _fits(value, part, infinite)
            for part in get_args(hint)
        )
    if hint is bool:
        return isinstance(value, bool)
    if hint is int:
        return isinstance(value, Integral) and not isinstance(value, bool)
    if hint is float:
        number = isinstance(value, Real) and not isinstance(value, bool)
        return number and (math.isfinite(value) or (infinite and not math.isnan(value)))
    if hint is str or hint is types.NoneType:
        return isinstance(value, hint)
    if origin in (list, tuple):
        return isinstance(value, list | tuple) and _all_fit(value, origin, get_args(hint), infinite)
    return True


def _all_fit(values: Any, origin: Any, kinds: tuple[Any, ...], infinite: bool) -> bool:
    if origin is list or kinds[1:] == (...,):
        return all(_fits(value, kinds[0], infinite) for value in values)
    return len(values) == len(kinds) and all(_fits(value, kind, infinite) for value, kind in zip(values, kinds))


def _described(hint: Any) -> str:
    """What a value has to be, as the end of a sentence."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_described(part) for part in parts)
    if origin is Literal:
        return " or ".join(map(str, parts))
    if origin is tuple and parts[1:] != (...,):
        return f"a list of {len(parts)} values, each {_described(parts[0])}"
    if origin in (list, tuple):
        return f"a list, each value {_described(parts[0])}"
    return PLAIN.get(hint, getattr(hint, "__name__", str(hint)))
