"""What ``lit-coiba VERB --help`` says of a verb that is a typed function: its docstring, examples and parameters."""

from __future__ import annotations

from docstring_parser import parse

from lit_coiba.cli.pages.docstrings import argument_texts
from lit_coiba.cli.pages.page import Page, parameters
from lit_coiba.cli.verb import FunctionVerb


def help_page(verb: FunctionVerb) -> str:
    """The text of the page."""
    text = parse(verb.function.__doc__ or "")
    page = Page(verb.usage, f"{text.short_description} {text.long_description or ''}")
    page.section("examples", verb.examples)
    if verb.positional:
        told = argument_texts(verb.function)
        page.section("arguments", "\n".join(f"  {name.upper():<8}{told[name]}" for name in verb.positional))
    if options := dict(parameters(verb.function, skip=frozenset(verb.positional))):
        page.keys("options", options.items())
    return str(page)
