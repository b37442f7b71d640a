"""What arguments mean, read from docstrings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
