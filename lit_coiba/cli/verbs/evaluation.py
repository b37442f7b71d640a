"""The verbs ``validate``, ``test`` and ``predict``: run a classifier over images."""

from __future__ import annotations

from lit_coiba.cli.verb import CHECKPOINT, OWN_MODEL, TrainerVerb

_CLASSIFIER = "lit_coiba.training.classifier.Classifier"
_EXAMPLES = f"""\
  A classifier trained by lit-coiba fit; its checkpoint has the keys of the model:
    lit-coiba {{verb}} --ckpt_path {CHECKPOINT} --data.root DIR
  Any timm model with your own weights:
    lit-coiba {{verb}} {OWN_MODEL} --data.root DIR"""

VALIDATE = TrainerVerb(
    name="validate",
    summary="loss and accuracy of a classifier on the validation images",
    position=100,
    module=_CLASSIFIER,
    labelled=True,
    examples=_EXAMPLES.format(verb="validate"),
)
TEST = TrainerVerb(
    name="test",
    summary="loss and accuracy of a classifier on the test images",
    position=110,
    module=_CLASSIFIER,
    labelled=True,
    examples=_EXAMPLES.format(verb="test"),
)
PREDICT = TrainerVerb(
    name="predict",
    summary="run a classifier over images, for your own callbacks that use its predictions",
    position=120,
    module=_CLASSIFIER,
    examples=_EXAMPLES.format(verb="predict"),
)
