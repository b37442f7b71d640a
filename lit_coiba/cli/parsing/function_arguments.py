"""The words after a verb that is a typed function, as the function's arguments."""

from __future__ import annotations

from inspect import Parameter, signature
from typing import Any

from jsonargparse import ArgumentParser

from lit_coiba.cli.parsing.expected_values import KeyArguments, check_word
from lit_coiba.cli.parsing.listed_words import listed_words
from lit_coiba.cli.parsing.messages import parsing_message
from lit_coiba.cli.verb import FunctionVerb
from lit_coiba.core.errors import InputError


def function_arguments(verb: FunctionVerb, args: list[str]) -> dict[str, Any]:
    """The arguments of a verb's function.

    Args:
        verb: The verb.
        args: The words after it.

    Raises:
        InputError: A word that is no argument, a value of the wrong type, or something that must be given is not.
    """
    for word in args:
        check_word("a word of the command", word)
    for name, parameter in signature(verb.function).parameters.items():
        if name not in verb.positional and str(parameter.annotation).startswith("list"):
            args = listed_words(args, f"--{name}")
    parser = ArgumentParser(prog=f"lit-coiba {verb.name}", exit_on_error=False, allow_abbrev=False)
    known = signature(verb.function).parameters
    for name in verb.positional:
        parser.add_argument(name, nargs=_how_many(known[name]))
    parser.add_function_arguments(verb.function, as_group=False, skip=set(verb.positional))
    required = [name for name in verb.positional if known[name].default is Parameter.empty]
    if len([word for word in args if not word.startswith("-")]) < len(required):
        raise InputError(f"write lit-coiba {verb.usage} (--help has examples)")
    try:
        return parser.parse_args(args).as_dict()
    except Exception as error:
        options = [name for name in known if name not in verb.positional]
        raise InputError(parsing_message(error, options, [], KeyArguments({"": verb.function}))) from error


def _how_many(parameter: Parameter) -> str | None:
    """How many words a positional argument takes, as argparse writes it; None = one."""
    if parameter.default is not Parameter.empty:
        return "?"
    return "+" if str(parameter.annotation).startswith("list") else None
