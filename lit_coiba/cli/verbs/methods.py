"""The verb ``methods``: which attribution methods there are, what they cost and what they need."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from docstring_parser import parse
from jsonargparse import ArgumentParser
from rich.console import Console
from rich.markdown import Markdown

from lit_coiba.cli.pages.method_cards import MethodPage, pages, write_pages
from lit_coiba.cli.pages.page import Page, parameters
from lit_coiba.cli.parsing.messages import parsing_message
from lit_coiba.core.errors import InputError

_EXAMPLES = """\
  All of them, and one of them:
    lit-coiba methods
    lit-coiba methods CoIBA
  In Python: lit_coiba.attribution.CoIBA.card"""


def methods(name: str | None = None, output: str | None = None) -> int:
    """List the attribution methods: paper, cost of a map, what they need of a model, which models they explain.

    Args:
        name: Show one method: what its map says, when to trust it, its arguments.
        output: Write a Markdown page for each method to this folder, as in docs/methods.
    """
    if output is not None:
        files = write_pages(Path(output))
        print(f"{len(files)} pages are in {output}")
        return 0
    found = pages()
    if name is None:
        print(_lines(found))
        print("\nlit-coiba methods NAME tells more of one; configs/method has the settings of each.")
        return 0
    one = next((page for page in found if page.name.lower() == name.lower()), None)
    if one is None:
        names = {page.name.lower(): page.name for page in found}
        near = [names[match] for match in get_close_matches(name.lower(), names, n=2)]
        hint = f"did you mean {' or '.join(near)}?" if near else "lit-coiba methods lists them"
        raise InputError(f"there is no method {name!r}: {hint}")
    Console().print(Markdown(one.markdown()))
    return 0


def run_methods(args: list[str]) -> int:
    """Run the verb with its arguments from the command line; its exit status."""
    if {"-h", "--help"} & set(args):
        text = parse(methods.__doc__ or "")
        page = Page("methods [NAME] [--output DIR]", f"{text.short_description} {text.long_description or ''}")
        page.section("examples", _EXAMPLES)
        page.keys("options", iter(dict(parameters(methods)).items()))
        print(page)
        return 0
    parser = ArgumentParser(prog="lit-coiba methods", exit_on_error=False, allow_abbrev=False)
    parser.add_argument("name", nargs="?")
    parser.add_function_arguments(methods, as_group=False, skip={"name"})
    try:
        arguments = parser.parse_args(args)
    except Exception as error:
        raise InputError(parsing_message(error, ["output"], [])) from error
    return methods(**arguments.as_dict())


def _lines(found: list[MethodPage]) -> str:
    """Two lines for each method: its paper; what it costs, needs and explains."""
    column = max(len(page.name) for page in found) + 2
    lines = []
    for page in found:
        card = page.card
        needs = ", ".join(card.needs) or "logits only"
        lines.append(f"{page.name:<{column}}{card.paper or 'a floor for comparisons'}")
        lines.append(f"{'':<{column}}{card.cost}; needs {needs}; {', '.join(card.families)}")
    return "\n".join(lines)
