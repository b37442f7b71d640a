"""The verb ``parts``: what explanations say of the parts of objects, against what the model does without them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lit_coiba.cli import terminal
from lit_coiba.cli.verb import OWN_MODEL, TrainerVerb

if TYPE_CHECKING:
    from lit_coiba.benchmark.part_table import PartTable
    from lit_coiba.cli.trainer_command import TrainerCommand


def report(table: PartTable, command: TrainerCommand) -> int:
    """Show the table, and say where it is."""
    from rich.console import Console

    table.show(Console())
    terminal.say(f"The table with its intervals is in {command.config.output}/parts.md, its numbers in parts.csv")
    return 0


PARTS = TrainerVerb(
    name="parts",
    summary="score explanations by removing parts of generated objects: the FunnyBirds protocol",
    position=58,
    module="lit_coiba.modules.part_evaluator.PartEvaluator",
    section="evaluation",
    unused_data=("augment", "limit"),
    defaults={"method": {"class_path": "CoIBA"}},
    resumable=True,
    report=report,
    examples=f"""\
  A method for a classifier that was trained on the generated images, on a hundred of them:
    lit-coiba parts {OWN_MODEL} --data SyntheticParts \\
        --model.method GradCAM --limit 100 --output runs/parts
  The same command again continues a stopped run; another method with the same output is one more row of the table.
    the network that is shipped           -c configs/model/synthetic_parts_cnn.yaml, in the place of the model
    what a head says of itself            --model.method HeadAttribution
    the same method with other settings   --name NAME""",
)
