"""What arguments mean, read from docstrings, and their types."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, signature
from typing import Any, get_type_hints

from docstring_parser import parse


def argument_texts(component: Callable[..., Any]) -> dict[str, str]:
    """The text under ``Args:`` for each argument, on one line.

    A class need not repeat what its bases say: an argument is looked up in its own docstring first, then in theirs, in
    the order in which Python looks up methods.

    Example:
        >>> class Base:
        ...     '''A base.
        ...
        ...     Args:
        ...         size: Size in pixels.
        ...         seed: Seed.
        ...     '''
        >>> class Derived(Base):
        ...     '''A class.
        ...
        ...     Args:
        ...         seed: Seed of the noise.
        ...     '''
        >>> argument_texts(Derived)
        {'size': 'Size in pixels.', 'seed': 'Seed of the noise.'}
    """
    sources = reversed(component.__mro__) if isinstance(component, type) else [component]
    documented = [param for source in sources for param in parse(source.__doc__ or "").params]
    return {param.arg_name: " ".join(param.description.split()) for param in documented if param.description}


def argument_types(component: Callable[..., Any]) -> dict[str, Any]:
    """The type of each argument; a class that takes ``**name`` hands the rest on to its base.

    Raises:
        NameError: An annotation cannot be read.
    """
    if not isinstance(component, type):
        return get_type_hints(component)
    found: dict[str, Any] = {}
    for constructor in [vars(kind)["__init__"] for kind in component.__mro__ if "__init__" in vars(kind)]:
        found = get_type_hints(constructor) | found
        if all(one.kind is not Parameter.VAR_KEYWORD for one in signature(constructor).parameters.values()):
            break
    return found
