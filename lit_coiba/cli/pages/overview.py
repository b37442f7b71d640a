"""What ``lit-coiba --help`` says; plain text, so that it needs no import that takes seconds."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from lit_coiba import __version__
from lit_coiba.cli.verb import Verb

_TEXT = """\
usage: lit-coiba VERB [-c FILE ...] [--KEY VALUE ...]

Train interpretable vision models and explain any vision model, over whole datasets, in one Lightning Trainer.

verbs:
{verbs}

examples:
  Check the installation on built-in data; results go to runs/demo:
    lit-coiba demo

  Explain a folder of images with a timm model and your own weights for it:
    lit-coiba explain -c configs/method/coiba.yaml --model.backbone.name vit_small_patch16_224 \\
        --model.backbone.checkpoint weights.safetensors --data.root images/ --store runs/coiba
  The same command again continues a stopped run and repeats nothing. Faster, with nearly the same maps:
    -c configs/method/coiba_fast.yaml
  Another method (lit-coiba methods lists them), other classes than the predicted one, or only a few images:
    --model.method IBA  --model.targets top3  --limit 100

  Many processes, or independent jobs; then the maps as pictures:
    lit-coiba explain -c configs/trainer/ddp.yaml --trainer.devices 4 ...      (or torchrun, see the file)
    lit-coiba explain ... --store runs/coiba --shard 0/4                       (and 1/4, 2/4, 3/4)
    lit-coiba export runs/coiba --format png --output pictures/

  Which explanation to trust: insertion, deletion and more, compared with random maps and saliency; each run says
  beforehand how many forwards it costs, and after its first block how long it takes:
    lit-coiba compare --methods coiba_fast iba_fast grad_cam --limit 100 --output runs/compare ...
    lit-coiba benchmark --stores runs/coiba runs/iba --output runs/benchmark ...   (model and data as for explain)

  Fine-tune a classifier on class folders, then explain it:
    lit-coiba fit --model.backbone.name resnet18 --data.root images/ --trainer.max_epochs 5
    lit-coiba explain --model.backbone.name resnet18 --model.backbone.num_classes 10 \\
        --model.weights lightning_logs/version_0/checkpoints/NAME.ckpt --data.root images/ --store runs/mine

  Train an interpretable head, see what its units stand for, and explain decisions by them:
    lit-coiba fit --model.backbone.name resnet18 --model.head InfoDisentHead --data.root images/ ...
    lit-coiba prototypes ... --model.weights NAME.ckpt --output runs/prototypes        (model and data as above)
    lit-coiba explain ... --model.method HeadAttribution --model.method.prototypes runs/prototypes --store runs/head

configuration:
  Any key can be given in a YAML file or on the command line. Several -c FILE are merged, later ones override earlier
  ones, and ${{...}} refers to a key of any of them. Files that come with lit-coiba are found from any directory:
  configs/trainer, configs/data, configs/model, configs/method, configs/experiment.
  lit-coiba VERB --help            the keys of a verb
  lit-coiba VERB ... --print_config   the complete configuration; can be saved as a file for -c

options:
  -h, --help   this page
  --version    the version

exit status:
  0 done; 2 invalid input, explained in one line on stderr; 3 finished, but some samples failed; 130 interrupted,
  143 terminated (SIGTERM: after the current block; the same command continues); 1 an error in lit-coiba.
  LIT_COIBA_DEBUG=1 in the environment adds the traceback to status 2.
"""


def overview(verbs: Mapping[str, Verb]) -> str:
    """All verbs, examples, and what the exit status means."""
    wide = max(map(len, verbs)) + 1
    return _TEXT.format(verbs="\n".join(f"  {name:<{wide}}{verb.summary}" for name, verb in verbs.items())).rstrip()


def version() -> str:
    """Name and version of the program."""
    return f"lit-coiba {__version__}"


def misspelt(verb: str, verbs: Mapping[str, Verb]) -> str:
    """The message about a verb that does not exist."""
    if verb.startswith("-"):
        return f"{verb} is before the verb: write lit-coiba VERB {verb} ... (lit-coiba --help lists the verbs)"
    near = get_close_matches(verb, verbs, n=2)
    hint = f"did you mean {' or '.join(near)}?" if near else "lit-coiba --help lists the verbs"
    return f"unknown verb {verb!r}: {hint}"
