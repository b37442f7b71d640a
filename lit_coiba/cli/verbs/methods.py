"""The verb ``methods``: which attribution methods there are, what they cost and what they need."""

from __future__ import annotations

from lit_coiba.cli import terminal
from lit_coiba.cli.verb import FunctionVerb


def methods(name: str | None = None, output: str | None = None) -> int:
    """List the attribution methods: paper, cost of a map, what they need of a model, which models they explain.

    Args:
        name: Show one method: what its map says, when to trust it, its arguments.
        output: Write a Markdown page for each method to this folder, as in docs/methods.
    """
    if output is not None:
        from lit_coiba.cli.pages.method_cards import write_pages
        from lit_coiba.files.given_path import given_path

        files = write_pages(given_path(output, "output"))
        terminal.say(f"{len(files)} pages are in {output}")
    elif name is None:
        from lit_coiba.cli.pages.static import listing

        terminal.page(str(listing("methods")))
        terminal.say("", "lit-coiba methods NAME describes one of them; configs/method has the settings of each.")
    else:
        from rich.console import Console
        from rich.markdown import Markdown

        from lit_coiba.cli.pages.method_cards import find_page

        Console().print(Markdown(find_page(name).markdown()))
    return 0


METHODS = FunctionVerb(
    name="methods",
    summary="list the attribution methods: paper, cost, what they need, which models they explain",
    position=30,
    function=methods,
    usage="methods [NAME] [--output DIR]",
    positional=("name",),
    examples="""\
  All of them, and one of them:
    lit-coiba methods
    lit-coiba methods CoIBA
  In Python: lit_coiba.CoIBA.card""",
)
