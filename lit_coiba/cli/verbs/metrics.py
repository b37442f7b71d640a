"""The verb ``metrics``: which metrics there are, what their numbers mean and what they cost."""

from __future__ import annotations

from lit_coiba.cli import terminal
from lit_coiba.cli.verb import FunctionVerb


def metrics(name: str | None = None, output: str | None = None) -> int:
    """List the metrics of explanations and of prototypes: paper, what is better, range, cost of a score.

    Args:
        name: Show one metric: what its score says, when it is undefined, its arguments.
        output: Write a Markdown page for each metric to this folder, as in docs/metrics.
    """
    if output is not None:
        from lit_coiba.cli.pages.metric_cards import write_pages
        from lit_coiba.files.given_path import given_path

        files = write_pages(given_path(output, "output"))
        terminal.say(f"{len(files)} pages are in {output}")
    elif name is None:
        from lit_coiba.cli.pages.static import listing

        terminal.page(str(listing("metrics")))
        terminal.say("", "lit-coiba metrics NAME describes one of them; lit-coiba benchmark scores stores by them.")
    else:
        from rich.console import Console
        from rich.markdown import Markdown

        from lit_coiba.cli.pages.metric_cards import find_page

        Console().print(Markdown(find_page(name).markdown()))
    return 0


METRICS = FunctionVerb(
    name="metrics",
    summary="list the metrics: paper, what is better, range, what a score costs and when it is undefined",
    position=55,
    function=metrics,
    usage="metrics [NAME] [--output DIR]",
    positional=("name",),
    examples="""\
  All of them, and one of them:
    lit-coiba metrics
    lit-coiba metrics Insertion
  In Python: lit_coiba.metrics.Insertion.card""",
)
