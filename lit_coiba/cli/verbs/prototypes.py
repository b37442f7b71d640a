"""The verb ``prototypes``: what the units of an interpretable head stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lit_coiba.cli import terminal
from lit_coiba.cli.verb import CHECKPOINT, OWN_MODEL, TrainerVerb
from lit_coiba.core.printable import counted
from lit_coiba.files.regular import read_text

if TYPE_CHECKING:
    from lit_coiba.cli.trainer_command import TrainerCommand
    from lit_coiba.prototypes import Prototypes


def report(found: Prototypes, command: TrainerCommand) -> int:
    """Say where they are, and how many units stand for nothing of their own."""
    duplicate = {unit for pair in found.duplicate for unit in pair}
    terminal.say(
        f"Prototypes of {counted(found.units, 'unit')} are in {found.path}, drawn in its folders units and classes:"
        f" {len(found.dead)} never activate, {len(found.unused)} have no weight for any class,"
        f" {len(duplicate)} are duplicates of another"
    )
    if command.config.evaluate:
        terminal.page(read_text(found.path / "evaluation.md", "evaluation").rstrip())
    return 0


PROTOTYPES = TrainerVerb(
    name="prototypes",
    summary="find the training patches that each unit of an interpretable head stands for: tables and pages",
    position=60,
    module="lit_coiba.modules.prototype_search.PrototypeSearch",
    section="search",
    unused_data=("augment", "limit", "split"),
    resumable=True,
    report=report,
    examples=f"""\
  For a classifier that lit-coiba fit has trained with --model.head; pictures go to runs/prototypes:
    lit-coiba prototypes {OWN_MODEL} \\
        --model.weights {CHECKPOINT} --data.root DIR --output runs/prototypes
  The same command again continues a stopped run. To search a thousand images first: --limit 1000
    generated images and a shipped head   -c configs/model/infodisent_synthetic_parts.yaml --data SyntheticParts
    other images than the training ones   --split test
    pages of more units, ten a page       --pages 200
    part purity, consistency and more     --evaluate true
  Then pictures of decisions with them:   lit-coiba explain ... --model.method HeadAttribution \\
                                            --model.method.prototypes runs/prototypes --store runs/head""",
)
