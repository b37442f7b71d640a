"""The verb ``leaderboard``: tables of several models side by side."""

from __future__ import annotations

from lit_coiba.cli import terminal
from lit_coiba.cli.verb import FunctionVerb


def leaderboard(runs: list[str], metrics: str | None = None, output: str | None = None) -> int:
    """Put the scores of several models side by side: methods by models, a table for each metric.

    Args:
        runs: Folders that benchmark or compare wrote to, one for each model; a model is called like its folder.
        metrics: Columns to show, with commas between them; all that the models have in common if left out.
        output: Markdown file to write; the tables are printed either way.
    """
    from rich.console import Console
    from rich.markdown import Markdown

    from lit_coiba.benchmark.across import across, boards_of
    from lit_coiba.files.atomic import atomically
    from lit_coiba.files.given_path import given_path
    from lit_coiba.files.owned import begins, check_own_file

    text = across(boards_of(runs), metrics.split(",") if metrics else ())
    if output is not None:
        file = given_path(output, "output")
        check_own_file(file, "output", begins("### "))
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomically(file) as out:
            out.write(text.encode())
    Console().print(Markdown(text))
    if output is not None:
        terminal.say(f"The tables are in {output}")
    return 0


LEADERBOARD = FunctionVerb(
    name="leaderboard",
    summary="put the scores of several models side by side: methods by models, a table for each metric",
    position=52,
    function=leaderboard,
    usage="leaderboard RUN ... [--metrics NAME,NAME] [--output FILE]",
    positional=("runs",),
    examples="""\
  Two models that the same methods explained:
    lit-coiba leaderboard runs/cnn runs/vit
    lit-coiba leaderboard runs/cnn runs/vit --metrics srg,sds,energy_gain --output docs/models.md""",
)
