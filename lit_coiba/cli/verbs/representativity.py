"""The verb ``representativity``: do models of the same kind explain alike?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lit_coiba.cli import terminal
from lit_coiba.cli.verb import OWN_MODEL, TrainerVerb

if TYPE_CHECKING:
    from lit_coiba.benchmark.representativity import Representativity
    from lit_coiba.cli.trainer_command import TrainerCommand


def report(result: Representativity, command: TrainerCommand) -> int:
    """Show the table, and say where it is."""
    terminal.page(result.markdown().rstrip())
    terminal.say(
        "", f"The table is in {command.config.output}/representativity.md, its numbers in representativity.json"
    )
    return 3 if result.missing else 0


REPRESENTATIVITY = TrainerVerb(
    name="representativity",
    summary="train models on folds of a dataset, explain by each, and compare the maps: MeGe and ReCo",
    position=57,
    module="lit_coiba.training.classifier.Classifier",
    derived=True,
    section="training",
    unused_data=("split", "limit", "limit_order"),
    trains=True,
    labelled=True,
    resumable=True,
    report=report,
    examples=f"""\
  Five models on class folders, explained by two methods; every key of fit works here too:
    lit-coiba representativity {OWN_MODEL} \\
        --data.root DIR --trainer.max_epochs 5 --methods GradCAM Saliency --output runs/representativity
    built-in data, by the settings of the shipped network   -c configs/experiment/synthetic_parts_cnn.yaml
    fewer images and models                                 --images 3000 --folds 3
    the distance of every pair as well                      --pairs true
  The same command again continues a stopped run; another method on the same models: the same with other --methods.""",
)
