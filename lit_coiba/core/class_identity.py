"""How files name classes: ours by their short name, anyone else's by module and class; no name is ever imported."""

from __future__ import annotations

from inspect import Parameter, signature
from typing import Any

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import described, printable

PACKAGE = __name__.partition(".")[0]


def class_identity(kind: type) -> str:
    """The name of a class in checkpoints, stores and all other files.

    A class of this package has a short name, any other its module before it.

    Example:
        >>> import fractions
        >>> class_identity(InputError), class_identity(fractions.Fraction)
        ('InputError', 'fractions.Fraction')
    """
    return kind.__name__ if is_ours(kind) else f"{kind.__module__}.{kind.__qualname__}"


def is_ours(kind: type) -> bool:
    """Whether a class is part of this package."""
    return kind.__module__.partition(".")[0] == PACKAGE


def may_mean(identity: str, kind: type) -> bool:
    """Whether `identity`, from a file, names the class `kind`, which is not of this package.

    A class of a script is known without its module: to version 0.1.0, which wrote short names only, and where the
    script itself was run (``__main__``).
    """
    module, _, name = identity.rpartition(".")
    return identity == class_identity(kind) or (module in ("", "__main__") and name == kind.__qualname__)


def named_class(identity: Any, base: type, own: Any, named: type | None, file: str, key: str) -> type:
    """The class that a file asks for: one of ours, or `named`, which the caller has named too.

    A class that a file asks for is never imported, nor is one used that happens to be imported already.

    Args:
        identity: What the file says.
        base: What the class is derived from.
        own: The package that has ours of this kind.
        named: The class outside this package that the caller names; None = none.
        file: The file, for messages.
        key: The argument that names such a class, such as ``model.head``; for messages, and its last part in Python.

    Raises:
        InputError: The caller names no such class, or there is none.
    """
    what, file = base.__name__.lower(), printable(file, 200)
    found = getattr(own, identity, None) if isinstance(identity, str) and identity.isidentifier() else None
    if isinstance(found, type) and issubclass(found, base) and is_ours(found):
        return found
    if named is not None and isinstance(identity, str) and may_mean(identity, named):
        return named
    if not isinstance(identity, str) or not all(part.isidentifier() for part in identity.split(".")):
        raise InputError(
            f"{printable(file, 200)} names the {what} {described(identity)}, which is not a class: use another file"
        )
    other = "" if named is None else f", not {class_identity(named)}"
    identity = printable(identity, 80)
    word = identity if "." in identity else f"my_package.{identity}"
    raise InputError(
        f"{file} has the {what} {identity}{other}, a class outside lit-coiba, which no file may import: if you trust"
        f" it, name it too, --{key} {word} or in Python {key.rpartition('.')[2]}={identity.rpartition('.')[2]}"
    )


def kept_arguments(instance: Any) -> dict[str, Any]:
    """The arguments that an object was made with, which it keeps as attributes of the same names.

    Raises:
        InputError: It does not keep one of them.
    """
    found: dict[str, Any] = {}
    for name, parameter in signature(type(instance)).parameters.items():
        if parameter.kind in (Parameter.VAR_KEYWORD, Parameter.VAR_POSITIONAL):
            continue
        if not hasattr(instance, name):
            raise InputError(
                f"{type(instance).__name__} does not keep its argument {name}, by which its results are told apart:"
                f" set self.{name} = {name} in its __init__"
            )
        found[name] = getattr(instance, name)
    return found
