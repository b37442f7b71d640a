"""The verb ``fit``: train a classifier."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from lit_coiba.cli import terminal
from lit_coiba.cli.verb import CHECKPOINT, OWN_MODEL, TrainerVerb

if TYPE_CHECKING:
    from lit_coiba.cli.trainer_command import TrainerCommand


def report(result: Any, command: TrainerCommand) -> int:
    """Say where the checkpoint is."""
    saved = getattr(command.trainer.checkpoint_callback, "best_model_path", "")
    if not saved:
        return 0
    if "://" not in saved and not os.path.isfile(saved):
        terminal.fail(f"the checkpoint {os.path.relpath(saved)} is gone")
        return 2
    terminal.say(f"The checkpoint is {saved if '://' in saved else os.path.relpath(saved)}")
    return 0


FIT = TrainerVerb(
    name="fit",
    summary="train or fine-tune a classifier on any timm backbone, also with an interpretable head",
    position=90,
    module="lit_coiba.training.classifier.Classifier",
    derived=True,
    also="lit_coiba.training.readout.Readout",
    section="training",
    unused_data=("split", "limit", "limit_order"),
    trains=True,
    labelled=True,
    report=report,
    examples=f"""\
  Fine-tune a timm model on class folders: DIR/train/CLASS/*.jpg and DIR/val/CLASS/*.jpg, or DIR/CLASS/*.jpg
    lit-coiba fit {OWN_MODEL} --data.root DIR --trainer.max_epochs 5
    another number of classes than in FILE   --model.backbone.new_head true
    an interpretable head                    --model.head InfoDisentHead
    a frozen backbone, with fast epochs      --model.head InfoDisentHead --model.frozen true --cache runs/features
    only the classifier layer                --model.frozen true
    the settings of the shipped checkpoints  -c with a file of configs/experiment
    continue a stopped run                   --ckpt_path {CHECKPOINT}
  The number of classes is that of the data, unless --model.backbone.num_classes gives another.""",
)
