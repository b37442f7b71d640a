"""The verbs ``validate``, ``test`` and ``predict``: run a classifier over images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lit_coiba.cli import terminal
from lit_coiba.cli.failures import report_failures
from lit_coiba.cli.verb import CHECKPOINT, OWN_MODEL, TrainerVerb
from lit_coiba.core.printable import counted, printable

if TYPE_CHECKING:
    from lit_coiba.callbacks import PredictionTable
    from lit_coiba.cli.trainer_command import TrainerCommand

SHOWN = 20  # rows of the table that are printed
_ID, _NAME = 60, 40  # characters
_CLASSIFIER = "lit_coiba.training.classifier.Classifier"
_EXAMPLES = f"""\
  A classifier trained by lit-coiba fit; its checkpoint has the keys of the model:
    lit-coiba {{verb}} --ckpt_path {CHECKPOINT} --data.root DIR
  Any timm model with your own weights:
    lit-coiba {{verb}} {OWN_MODEL} --data.root DIR"""


def report(result: Any, command: TrainerCommand) -> int:
    """Show the first predictions, and say where all of them are and what failed."""
    table: PredictionTable | None = getattr(command.trainer, "predictions", None)
    assert table is not None  # the module is a Classifier
    from lit_coiba.lipschitz.decisions import told

    for line in lines(table):
        terminal.say(line)
    if (found := table.certified()) is not None:
        terminal.say(told(found))
    if table.output is not None:
        terminal.say(f"Predictions for {counted(len(table.rows), 'image')} are in {table.output}")
    every = "Trainer.predictions.failures"
    return report_failures(table.failures, "fix the files and rerun the same command", every)


def lines(table: PredictionTable) -> list[str]:
    """The first rows as text: the image, its label, and its likeliest classes with their probabilities."""
    told = []
    for row in table.rows[:SHOWN]:
        found = [f"{_called(table, c)} {p:.1%}" for c, p in zip(row.classes[:3], row.probabilities)]
        label = "" if row.label is None else f" (label {_called(table, row.label)})"
        told.append(f"{printable(row.id, _ID)}{label}: {', '.join(found)}")
    if len(table.rows) > SHOWN:
        told.append(f"and {counted(len(table.rows) - SHOWN, 'more image')}; --output FILE.csv writes all of them")
    return told


def _called(table: PredictionTable, number: int) -> str:
    """Name of a class, or its number."""
    return printable(table.name(number) or f"class {number}", _NAME)


VALIDATE = TrainerVerb(
    name="validate",
    summary="loss and accuracy of a classifier on the validation images",
    position=100,
    module=_CLASSIFIER,
    derived=True,
    section="classifier",
    listed=("head",),
    unused_data=("augment", "split", "limit", "limit_order"),
    labelled=True,
    examples=_EXAMPLES.format(verb="validate"),
)
TEST = TrainerVerb(
    name="test",
    summary="loss and accuracy of a classifier on the test images",
    position=110,
    module=_CLASSIFIER,
    derived=True,
    section="classifier",
    listed=("head",),
    unused_data=("augment", "split", "limit", "limit_order"),
    labelled=True,
    examples=_EXAMPLES.format(verb="test"),
)
PREDICT = TrainerVerb(
    name="predict",
    summary="predict the classes of images: a table of the most probable ones, printed and as CSV or Parquet",
    position=120,
    module=_CLASSIFIER,
    derived=True,
    section="classifier",
    listed=("head",),
    report=report,
    examples=f"""{_EXAMPLES.format(verb="predict")}
  The table of all images as a file, with the three most probable classes of each:
    lit-coiba predict --ckpt_path {CHECKPOINT} --data.root DIR \\
        --output predictions.csv --top 3""",
)
