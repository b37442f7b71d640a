"""What ``lit-coiba VERB --help`` says of a verb that runs a Trainer: examples, then the keys that one needs.

jsonargparse's own page lists every key of Lightning's Trainer, with paragraphs, but no key of a class chosen by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature

from lit_coiba.attribution import CoIBA
from lit_coiba.backbones import Backbone
from lit_coiba.cli.pages.page import Page, parameters
from lit_coiba.cli.parsing.checkpoints import saved_module
from lit_coiba.cli.parsing.classes import short_names
from lit_coiba.cli.parsing.module_choice import chosen_module, list_of
from lit_coiba.cli.trainer_command import LOADERS
from lit_coiba.cli.verb import TrainerVerb
from lit_coiba.core.method import AttributionMethod
from lit_coiba.data.image_folder import ImageFolder
from lit_coiba.data.module import BlockDataModule
from lit_coiba.feature_visualization import MACO
from lit_coiba.feature_visualization.visualizer import FeatureVisualizer
from lit_coiba.heads.head import Head
from lit_coiba.metrics.metric import Metric
from lit_coiba.trainer import Trainer

# The keys of Lightning's Trainer that matter, in fewer words than Lightning's.
MACHINE = {
    "accelerator": "cpu, gpu, mps, ... (default auto: the best one available)",
    "devices": "number of processes, or which devices: 2, [0, 1] (default auto)",
    "num_nodes": "number of machines (default 1)",
    "strategy": "ddp, fsdp, ... (default auto)",
    "precision": "32-true, bf16-mixed, ...; auto = bf16-mixed where the machine has it in hardware (default 32-true)",
}
TRAINING = {
    "max_epochs": "number of epochs; the cosine schedule of the learning rate ends at 0 there",
    "max_steps": "the same in steps (default -1: as many as max_epochs makes)",
    "logger": "false, or the class of a logger; several as a list (default true: TensorBoard)",
    "callbacks": "list of the classes of callbacks",
    "default_root_dir": "folder for lightning_logs, with checkpoints and logs (default: the working directory)",
    "gradient_clip_val": "largest norm of the gradient (default null: no limit)",
}
CONTINUED = "Checkpoint of lit-coiba fit to continue from; the model's keys need not be repeated."
USED = "Checkpoint of lit-coiba fit whose weights are used; it has the model's keys."
_GENERAL = """\
  -c FILE            Keys from a YAML file; several are merged, and later ones override earlier ones. Lists and
                     mappings are written as in YAML, also on the command line:
                     --model.method.layers "[blocks.4.norm1, blocks.5.norm1]"
  --print_config     Print the complete configuration, which can be saved as a file for -c, and stop.
  --KEY.help CLASS   The keys of another class: --data.help SyntheticParts, --model.method.help IBA
  --seed_everything  Seed of everything that is random in a training. (int, default 0)
  LIT_COIBA_DEBUG=1 in the environment shows the traceback of an error."""


_METRICS = """\
  Metrics that are named replace the usual ones: insertion, deletion, and where the data know the object pointing,
  energy and relevance_rank. -c configs/benchmark/cells.yaml keeps its own beside them.
  --model.metrics.best Insertion --model.metrics.best.steps 28     A metric and a key; NAME, here best, is its column
  --model.metrics.best.help Insertion                              The keys of a metric"""


_HEADS = """\
  --model.head InfoDisentHead --model.head.pooling hard            A head and one of its keys
  --model.head.help InfoDisentHead                                 The keys of a head"""


_ANY_MODULE = """\
  --model.backbone my_package.build   A function or class that returns any torch module from images to logits. It is
                                      also looked for in the working directory. Its input is 224 pixels, normalized as
                                      for ImageNet; for another input, return Backbone.wrap(module, Preprocessing(...))
  --model.backbone.width 3            One of its arguments, here width
  --model.backbone.help my_package.Net     The arguments of a class"""


_CLASSES = """\
  --model HarmonizedClassifier --model.weight 2       Another training, and one of its keys
  VERB --model HarmonizedClassifier --help            All of its keys"""


def help_page(verb: TrainerVerb, args: Sequence[str] = ()) -> Page:
    """The page, from the signatures and docstrings of all that it lists.

    Args:
        verb: The verb.
        args: The words after it, which may name another class of the model.
    """
    words = [word for word in args if word not in ("-h", "--help")]
    _, module = chosen_module(verb, words, saved_module(words))
    page = Page(f"{verb.name} [-c FILE ...] [--KEY VALUE ...]", f"{verb.summary[0].upper()}{verb.summary[1:]}.")
    page.section("examples", verb.examples)
    method = getattr(Trainer, verb.name)
    keys, arguments = signature(method).parameters, signature(module).parameters
    ours = method.__module__.startswith("lit_coiba.")  # else its arguments but for these are Lightning's own
    own = parameters(method, skip=LOADERS | {"ckpt_path", "weights_only", "return_predictions"}) if ours else ()
    page.keys("run", [*([("ckpt_path", CONTINUED if verb.trains else USED)] if "ckpt_path" in keys else []), *own])
    page.keys("model from timm", parameters(Backbone, "model.backbone"))
    page.section("or any other model", _ANY_MODULE)
    hidden = {"backbone", "method", "visualizer"} | (
        set() if verb.listed is None else set(arguments) - set(verb.listed)
    )
    if set(arguments) - hidden:
        by = "" if module is verb.module_class() else f" by {module.__name__}"
        page.keys(f"{verb.section}{by}", parameters(module, "model", frozenset(hidden)))
    if verb.derived and verb.trains:
        _, *others = list_of(*verb.module_bases())
        page.section(f"other trainings, --model CLASS: {', '.join(others)}", _CLASSES.replace("VERB", verb.name))
    if "method" in arguments:
        page.keys(_title("method", "model.method", AttributionMethod, CoIBA), parameters(CoIBA, "model.method"))
    if "visualizer" in arguments:
        title = _title("visualizer", "model.visualizer", FeatureVisualizer, MACO)
        page.keys(title, parameters(MACO, "model.visualizer"))
    if verb.trains:
        page.section(f"heads, --model.head CLASS: {', '.join(short_names(Head))}", _HEADS)
    if "metrics" in arguments:
        page.section(f"metrics, --model.metrics.NAME CLASS: {', '.join(short_names(Metric))}", _METRICS)
    data = parameters(ImageFolder, "data", frozenset(verb.unused_data))
    what = "data" if verb.needs_data else "data, which may be left out"
    page.keys(_title(what, "data", BlockDataModule, ImageFolder), data)
    trainer = TRAINING | MACHINE if verb.trains else MACHINE
    page.keys("Lightning's Trainer; these keys matter most", ((f"trainer.{k}", v) for k, v in trainer.items()))
    page.section("more", _GENERAL)
    return page


def _title(what: str, key: str, base: type, default: type) -> str:
    others = [name for name in short_names(base) if name != default.__name__]
    return f"{what}: {default.__name__}, or --{key} {', '.join(others)}, or a class of your own, module.Class"
