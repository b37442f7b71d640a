"""The verb ``compare``: several methods on the same images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lit_coiba.cli import terminal
from lit_coiba.cli.verb import CHECKPOINT, OWN_MODEL, TrainerVerb

if TYPE_CHECKING:
    from lit_coiba.cli.trainer_command import TrainerCommand
    from lit_coiba.trainer.compare import Compared


def report(found: Compared, command: TrainerCommand) -> int:
    """Show the table, and say where everything is."""
    from rich.console import Console

    found.board.show(Console())
    output = command.config.output
    if found.picture is not None:
        terminal.say(f"Images by methods: {found.picture}")
    for name, why in found.refused.items():
        terminal.say(f"Left out: {name}, {why}")
    terminal.say(f"The table is in {output}/scores/leaderboard.md, its pictures beside it; a store per method in")
    terminal.say(f"{output}/stores")
    return 3 if any(store.failures() for store in found.stores.values()) else 0


COMPARE = TrainerVerb(
    name="compare",
    summary="explain the same images by several methods, score them, and draw one picture and one table",
    position=45,
    module="lit_coiba.modules.method_comparison.MethodComparison",
    section="comparison",
    unused_data=("augment", "limit"),
    resumable=True,
    report=report,
    examples=f"""\
  Several methods on a hundred images of a folder:
    lit-coiba compare {OWN_MODEL} --data.root DIR \\
        --methods coiba_fast grad_cam saliency --limit 100 --output runs/compare
  The same command again continues a stopped run; with a method more it computes that one.
    other arguments of a method           --methods coiba coiba:beta=10 rise:n_samples=1000
    what is measured                      --suite faithfulness (quick, localisation, robustness, sanity, full, ...)
    the same layers for all (ML-Att)      --layers middle final
    boxes, for localization               --data.csv FILE
    a model trained by lit-coiba fit      --model.weights {CHECKPOINT}
    the label instead of the prediction   --model.targets label
  Words of --methods are the files of configs/method or class names: lit-coiba methods lists them.""",
)
