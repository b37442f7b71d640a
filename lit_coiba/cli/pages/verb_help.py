"""What ``lit-coiba VERB --help`` says: examples, then the keys that one needs.

jsonargparse's own page lists every key of Lightning's Trainer, with paragraphs, and no key of a class chosen by name.
"""

from __future__ import annotations

from lit_coiba.attribution import CoIBA
from lit_coiba.backbones import Backbone
from lit_coiba.cli.pages.overview import VERBS
from lit_coiba.cli.pages.page import Page, parameters
from lit_coiba.cli.verbs.trainer import LOADERS, MODULES, short_names
from lit_coiba.core.method import AttributionMethod
from lit_coiba.data.image_folder import ImageFolder
from lit_coiba.data.module import BlockDataModule
from lit_coiba.heads import Head
from lit_coiba.metrics.metric import Metric
from lit_coiba.modules.explainer import Explainer
from lit_coiba.modules.scorer import Scorer
from lit_coiba.trainer import Trainer
from lit_coiba.training.classifier import Classifier

_CHECKPOINT = "lightning_logs/version_0/checkpoints/NAME.ckpt"
_OWN = "--model.backbone.name NAME --model.backbone.checkpoint FILE"
_EVALUATION = """\
  A classifier made by lit-coiba fit; its checkpoint knows the model:
    lit-coiba {verb} --ckpt_path {checkpoint} --data.root DIR
  Any timm model with weights of your own:
    lit-coiba {verb} {own} --data.root DIR"""
EXAMPLES = {
    "explain": f"""\
  A folder of images and a timm model with weights of your own; maps and a contact sheet go to runs/coiba:
    lit-coiba explain -c configs/method/coiba.yaml {_OWN} \\
        --data.root DIR --store runs/coiba
  The same command again continues a run that was stopped. To see some first: --limit 100 --store runs/first
    faster, for daily use                 -c configs/method/coiba_fast.yaml
    another method                        -c configs/method/iba.yaml, or --model.method Saliency
    the three likeliest classes of each   --model.targets top3
    what lit-coiba fit has trained        --model.weights {_CHECKPOINT}
    labels and boxes from a CSV           --data.csv FILE
    generated images, no data needed      --data SyntheticParts
    images that failed, now mended        --retry_failed true
    statistics that are there already     --model.method.statistics statistics.safetensors
  Several processes share a run; jobs that do not talk to one another take a share each, of one store or of their own:
    four processes of this machine        -c configs/trainer/ddp.yaml --trainer.devices 4
    job i of 8, a Slurm job array say     --shard i/8, and configs/trainer/slurm.yaml has a script
    stores made on several machines       lit-coiba merge runs/all runs/a runs/b""",
    "statistics": f"""\
  Once, for many runs of explain with the same model, method and kind of images:
    lit-coiba statistics -c configs/method/coiba.yaml {_OWN} \\
        --data.root DIR --file statistics.safetensors
    lit-coiba explain -c configs/method/coiba.yaml {_OWN} \\
        --data.root DIR --store runs/coiba --model.method.statistics statistics.safetensors
  Without, explain makes them itself and keeps them in its store.""",
    "benchmark": f"""\
  Two stores that explain made, with the same model and data; random maps and saliency are always in the table:
    lit-coiba benchmark {_OWN} --data.root DIR \\
        --stores runs/coiba runs/iba --output runs/benchmark
  The same command again continues a run that was stopped. To see a hundred images first: --limit 100
    boxes from a CSV, for the metrics that ask where the object is    --data.csv FILE
    on a grid of 8 x 8 cells                                          -c configs/benchmark/cells.yaml
    a metric of one's choice              --model.metrics.NAME CLASS, with its keys below --model.metrics.NAME""",
    "fit": f"""\
  Fine-tune a timm model on class folders: DIR/train/CLASS/*.jpg and DIR/val/CLASS/*.jpg, or DIR/CLASS/*.jpg
    lit-coiba fit {_OWN} --data.root DIR --trainer.max_epochs 5
    another number of classes than in FILE   --model.backbone.new_head true
    an interpretable head                    --model.head InfoDisentHead
    the backbone as it is, each epoch fast   --model.head InfoDisentHead --model.frozen true --cache runs/features
    the classifier layer alone               --model.frozen true
    how the shipped checkpoints were made    -c with a file of configs/experiment
    continue a run that was stopped          --ckpt_path {_CHECKPOINT}
  The number of classes is that of the data, unless --model.backbone.num_classes says another.""",
    "prototypes": f"""\
  Of a classifier that lit-coiba fit has trained with --model.head; pictures go to runs/prototypes:
    lit-coiba prototypes {_OWN} \\
        --model.weights {_CHECKPOINT} --data.root DIR --output runs/prototypes
  The same command again continues a run that was stopped. To see a thousand images first: --limit 1000
    generated images and a shipped head   -c configs/model/infodisent_synthetic_parts.yaml --data SyntheticParts
    other images than those of training   --split test
    all units drawn, ten a page           --pages 200
    measured: do they show one part, ...  --evaluate true
  Then decisions with them, as pictures   lit-coiba explain ... --model.method HeadAttribution \\
                                            --model.method.prototypes runs/prototypes --store runs/head""",
    **{
        verb: _EVALUATION.format(verb=verb, checkpoint=_CHECKPOINT, own=_OWN)
        for verb in ("validate", "test", "predict")
    },
}
# The keys of Lightning's Trainer that matter, in fewer words than Lightning's.
MACHINE = {
    "accelerator": "cpu, gpu, mps, ... (default auto: the best there is)",
    "devices": "how many processes, or which devices: 2, [0, 1] (default auto)",
    "num_nodes": "how many machines (default 1)",
    "strategy": "ddp, fsdp, ... (default auto)",
    "precision": "32-true, bf16-mixed, ...; auto = bf16-mixed where the machine has it in hardware (default 32-true)",
}
TRAINING = {
    "max_epochs": "when to stop; the learning rate is 0 then",
    "max_steps": "the same, in steps (default -1: max_epochs counts)",
    "logger": "false, or a logger by its class; several as a list (default true: TensorBoard)",
    "callbacks": "a list of callbacks by their classes",
    "default_root_dir": "where lightning_logs with checkpoints and logs is put (default: the working directory)",
    "gradient_clip_val": "largest norm of the gradient (default null: any)",
}
CKPT_PATH = (
    "a checkpoint of lit-coiba fit: fit goes on from it, other verbs take its weights; the model's keys are in it"
)
_GENERAL = """\
  -c FILE            Keys from a YAML file; several are merged, and the last word counts. Lists and mappings are written
                     as in YAML, also on the command line: --model.method.layers "[blocks.4.norm1, blocks.5.norm1]"
  --print_config     Print what the command would run with, a file for -c, and stop.
  --KEY.help CLASS   The keys of another class: --data.help SyntheticParts, --model.method.help IBA
  --seed_everything  Of all that is random in a training. (int, default 0)
  LIT_COIBA_DEBUG=1 in the environment shows the traceback behind an error."""


_METRICS = """\
  --model.metrics.best Insertion --model.metrics.best.steps 28     NAME, here best, is the column of the table
  --model.metrics.best.help Insertion                              The keys of a metric"""


_HEADS = """\
  --model.head InfoDisentHead --model.head.pooling hard            A head and a key of it
  --model.head.help InfoDisentHead                                 The keys of a head"""


def help_page(verb: str) -> str:
    """The text of ``lit-coiba VERB --help`` for a verb that runs a Trainer."""
    page = Page(f"{verb} [-c FILE ...] [--KEY VALUE ...]", f"{VERBS[verb][0].upper()}{VERBS[verb][1:]}.")
    page.section("examples", EXAMPLES[verb])
    trains = MODULES[verb] is Classifier
    known = parameters(getattr(Trainer, verb), skip=LOADERS | {"ckpt_path", "weights_only", "return_predictions"})
    own = [key for key in known if not trains or key[0] in ("cache", "views")]
    page.keys("run", iter([*([("ckpt_path", CKPT_PATH)] if trains else []), *own]))
    page.keys("model", parameters(Backbone, "model.backbone"))
    page.keys("what is done with it", parameters(MODULES[verb], "model", frozenset({"backbone", "method"})))
    if MODULES[verb] is Explainer:
        page.keys(_title("method", "model.method", AttributionMethod, CoIBA), parameters(CoIBA, "model.method"))
    if verb == "fit":
        page.section(f"heads, --model.head CLASS: {', '.join(short_names(Head))}", _HEADS)
    if MODULES[verb] is Scorer:
        page.section(f"metrics, --model.metrics.NAME CLASS: {', '.join(short_names(Metric))}", _METRICS)
    page.keys(_title("data", "data", BlockDataModule, ImageFolder), parameters(ImageFolder, "data"))
    trainer = TRAINING | MACHINE if verb == "fit" else MACHINE
    page.keys("trainer, of Lightning; these keys matter most", ((f"trainer.{k}", v) for k, v in trainer.items()))
    page.section("more", _GENERAL)
    return str(page)


def _title(what: str, key: str, base: type, default: type) -> str:
    others = [name for name in short_names(base) if name != default.__name__]
    return f"{what}: {default.__name__}, or --{key} {', '.join(others)}, or a class of your own, module.Class"
