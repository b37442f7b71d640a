"""The verb ``dictionary``: what a layer sees, over all classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lit_coiba.cli import terminal
from lit_coiba.cli.verb import CHECKPOINT, OWN_MODEL, TrainerVerb
from lit_coiba.core.printable import counted

if TYPE_CHECKING:
    from lit_coiba.cli.trainer_command import TrainerCommand
    from lit_coiba.concepts import ConceptDictionary


def report(found: ConceptDictionary, command: TrainerCommand) -> int:
    """Say where they are, and how good."""
    about = found.about
    terminal.say(
        f"{counted(len(found), 'concept')} of {about.layer} are in {command.config.output}: relative error"
        f" {about.error:.3f}, {about.l0:.1f} active in a row on average, {about.dead:.1%} never active"
    )
    return 0


DICTIONARY = TrainerVerb(
    name="dictionary",
    summary="train concepts of all classes at one layer of a model: a sparse autoencoder of its activations",
    position=95,
    module="lit_coiba.training.concept_autoencoder.ConceptAutoencoder",
    section="training",
    unused_data=("split", "limit", "limit_order"),
    trains=True,
    report=report,
    examples=f"""\
  The images of a folder, with or without labels; logs and checkpoints go to lightning_logs as those of fit do:
    lit-coiba dictionary {OWN_MODEL} \\
        --data.root DIR --data.batch_size 32 --trainer.max_epochs 20 --output concepts.safetensors
    another layer, and more concepts     --model.layer layer3 --model.n_concepts 2048 --model.k 32
    crops in the place of positions      --model.crop_size 64
    a model trained by lit-coiba fit     --model.weights {CHECKPOINT}
    continue a stopped run               the same command and --ckpt_path {CHECKPOINT}
  In Python: ConceptDictionary.load("concepts.safetensors").transform(model, images)""",
)
