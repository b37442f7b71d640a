"""A head as plain values, which checkpoints hold, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lit_coiba import heads
from lit_coiba.core.class_identity import class_identity, named_class
from lit_coiba.core.errors import InputError
from lit_coiba.core.plain_values import is_plain
from lit_coiba.core.printable import a_kind, described, printable
from lit_coiba.heads.head import Head

KEY = "model.head"  # where a command names the user's own class


def describe(head: Head) -> dict[str, Any]:
    """The class of a head, as `class_identity` names it, and its arguments.

    Raises:
        InputError: The user's own head does not store its arguments, or one of them is not a plain value.

    Example:
        >>> from lit_coiba.heads import LinearHead
        >>> describe(LinearHead(8, 3))
        {'class': 'LinearHead', 'in_channels': 8, 'num_classes': 3, 'bias': True}
    """
    name = class_identity(type(head))
    try:
        arguments = head.arguments()
    except AttributeError as error:
        raise InputError(
            f"{name} cannot be saved ({error}): store each argument of its constructor as an attribute of the same name"
        ) from error
    for argument, value in arguments.items():
        if not is_plain(value):
            raise InputError(
                f"{name} cannot be saved, since its {argument} is {a_kind(value)}: store numbers, text, "
                "lists or mappings, as the constructor got them"
            )
    return {"class": name, **arguments}


def head_class(identity: Any, head: Any = None, file: str = "the description", key: str = KEY) -> type[Head]:
    """The class of heads that a file asks for; a class outside this package only if `head` is that class.

    Raises:
        InputError: It is not; the message says what to add.
    """
    return named_class(identity, Head, heads, head if isinstance(head, type) else None, file, key)


def build(description: Any, head: Any = None, file: str = "the description", key: str = KEY) -> Head:
    """The head that `describe` was given, with new weights.

    Args:
        description: The dictionary that `describe` returned.
        head: The class, where it is not one of this package: see `head_class`.
        file: The file that the description is from, for messages.
        key: The argument that names the class on the command line, for messages.

    Raises:
        InputError: No such head, a class that is not named, or arguments that it does not have.
    """
    if not isinstance(description, Mapping):
        raise InputError(
            f"{printable(file, 200)} describes its head as {described(description)}: use a file whose description is a"
            " mapping with the class"
        )
    arguments = {name: value for name, value in description.items() if name != "class"}
    kind = head_class(description.get("class"), head, file, key)
    for name, value in arguments.items():
        if not isinstance(name, str) or not is_plain(value):
            raise InputError(
                f"{printable(file, 200)}: {described(name)} of its head is {described(value)}, which is not a plain"
                " value: the file was refused"
            )
    try:
        return kind(**arguments)
    except InputError:
        raise
    except Exception as error:  # whatever a constructor makes of values that are not for it
        raise InputError(
            f"{kind.__name__} cannot be built from {printable(file, 200)}: {printable(error, 200)}: use another file"
        ) from error
