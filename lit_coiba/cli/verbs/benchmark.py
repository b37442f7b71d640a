"""The verb ``benchmark``: which explanation to believe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lit_coiba.cli import terminal
from lit_coiba.cli.verb import OWN_MODEL, TrainerVerb

if TYPE_CHECKING:
    from lit_coiba.benchmark import Leaderboard
    from lit_coiba.cli.trainer_command import TrainerCommand


def report(board: Leaderboard, command: TrainerCommand) -> int:
    """Show the table, and say where it is."""
    from rich.console import Console

    board.show(Console())
    terminal.say(f"The table is in {command.config.output}/leaderboard.md, its numbers in leaderboard.csv")
    return 0


BENCHMARK = TrainerVerb(
    name="benchmark",
    summary="score the explanations of several stores by the same metrics: a table with 95% intervals",
    position=50,
    module="lit_coiba.modules.scorer.Scorer",
    section="scores",
    unused_data=("augment", "limit"),
    resumable=True,
    report=report,
    examples=f"""\
  Two stores written by explain, with the same model and data; the table always has random maps and saliency too:
    lit-coiba benchmark {OWN_MODEL} --data.root DIR \\
        --stores runs/coiba runs/iba --output runs/benchmark
  The same command again continues a stopped run. To score a hundred images first: --limit 100
    boxes from a CSV, for the localization metrics                    --data.csv FILE
    on a grid of 8 x 8 cells                                          -c configs/benchmark/cells.yaml
    other metrics                         --model.metrics.NAME CLASS, with its keys below --model.metrics.NAME""",
)
