"""The verb ``prototypes``: what the units of an interpretable head stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lit_coiba.cli.verb import CHECKPOINT, OWN_MODEL, TrainerVerb

if TYPE_CHECKING:
    from lit_coiba.cli.trainer_command import TrainerCommand
    from lit_coiba.prototypes import Prototypes


def report(found: Prototypes, command: TrainerCommand) -> int:
    """Say where they are, and how many units stand for nothing of their own."""
    duplicate = {unit for pair in found.duplicate for unit in pair}
    print(
        f"Prototypes of {found.units} units are in {found.path}, drawn in its folders units and classes;"
        f" {len(found.dead)} dead (no image activates them), {len(found.unused)} unused (no class weighs them),"
        f" {len(duplicate)} duplicates (they show the same as another)"
    )
    if command.config.evaluate:
        print((found.path / "evaluation.md").read_text(encoding="utf-8").rstrip())
    return 0


PROTOTYPES = TrainerVerb(
    name="prototypes",
    summary="find the training patches that each unit of an interpretable head stands for: tables and pages",
    position=60,
    module="lit_coiba.modules.prototype_search.PrototypeSearch",
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
