"""The verb ``explain``: every image of a dataset, into a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lit_coiba.cli import terminal
from lit_coiba.cli.failures import report_failures
from lit_coiba.cli.verb import CHECKPOINT, OWN_MODEL, TrainerVerb, explanations_in

if TYPE_CHECKING:
    from lit_coiba.cli.trainer_command import TrainerCommand
    from lit_coiba.store import ExplanationStore

PICTURES = {"contact_sheet.png": "Preview", "decisions": "Decisions"}  # what is drawn into a store, and its name


def report(store: ExplanationStore, command: TrainerCommand) -> int:
    """Say where the explanations are, and what failed."""
    terminal.say(explanations_in(store))
    if line := certified(store, command):
        terminal.say(line)
    for name, what in PICTURES.items():
        if (store.path / name).exists():
            terminal.say(f"{what}: {store.path / name}")
    every = f"ExplanationStore({str(store.path)!r}).failures()"
    return report_failures(store.failures(), "after fixing the files, rerun with --retry_failed true", every)


def certified(store: ExplanationStore, command: TrainerCommand) -> str:
    """What is certified of the decisions in a store, in one line; empty where nothing is."""
    from lit_coiba.lipschitz.decisions import certified_decisions, told
    from lit_coiba.pictures.names import Names
    from lit_coiba.store.radii import decisions_of

    rows = decisions_of(store)
    if not rows:
        return ""
    network = command.model.network
    names = Names.of(command.datamodule.explained.classes, network.class_names, network.num_classes)
    wrong = [names.wrong(row.label, row.predicted) for row in rows]
    found = certified_decisions([row.radius for row in rows], [None if one is None else not one for one in wrong])
    return told(found) if found is not None else ""


EXPLAIN = TrainerVerb(
    name="explain",
    summary="explain every image of a dataset with one method, into a store; a stopped run can be continued",
    position=20,
    module="lit_coiba.modules.explainer.Explainer",
    unused_data=("augment", "limit"),
    defaults={"method": {"class_path": "CoIBA"}},
    resumable=True,
    report=report,
    examples=f"""\
  A folder of images and a timm model with your own weights; maps and a contact sheet go to runs/coiba:
    lit-coiba explain -c configs/method/coiba.yaml {OWN_MODEL} \\
        --data.root DIR --store runs/coiba
  The same command again continues a stopped run. To see a few images first: --limit 100 --store runs/first
    faster, for daily use                 -c configs/method/coiba_fast.yaml
    another method                        -c configs/method/iba.yaml, or --model.method Saliency
    the three most probable classes       --model.targets top3
    a model trained by lit-coiba fit      --model.weights {CHECKPOINT}
    any PyTorch model of your own         --model.backbone my_package.build
    labels and boxes from a CSV           --data.csv FILE
    generated images, no data needed      --data SyntheticParts
    images that failed, now fixed         --retry_failed true
    images or labels that have changed    --if_changed recompute
    no contact sheet, no decisions        --pictures false
    statistics estimated before           --model.method.statistics statistics.safetensors
  Several processes share a run; independent jobs take one shard each, in one store or in one store each:
    four processes on this machine        -c configs/trainer/ddp.yaml --trainer.devices 4
    job i of 8, such as a Slurm job array --shard i/8; configs/trainer/slurm.yaml has a script
    stores made on several machines       lit-coiba merge runs/all runs/a runs/b""",
)
