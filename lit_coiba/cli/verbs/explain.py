"""The verb ``explain``: every image of a dataset, into a store."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from lit_coiba.cli.verb import CHECKPOINT, OWN_MODEL, TrainerVerb

if TYPE_CHECKING:
    from lit_coiba.cli.trainer_command import TrainerCommand
    from lit_coiba.store import ExplanationStore

SHOWN = 5  # failures whose reasons are shown at the end


def report(store: ExplanationStore, command: TrainerCommand) -> int:
    """Say where the explanations are, and what failed."""
    failures = store.failures()
    explained = len(store.ids())
    of = f"{explained} of {explained + len(failures)}" if failures else f"{explained}"
    drawn = "; its contact_sheet.png shows some of them" if (store.path / "contact_sheet.png").exists() else ""
    print(f"{len(store)} explanations of {of} images are in {store.path}{drawn}")
    if not failures:
        return 0
    count = f"{len(failures)} image{'s' if len(failures) > 1 else ''}"
    print(
        f"lit-coiba: finished, but {count} failed; after fixing the files, rerun with --retry_failed true",
        file=sys.stderr,
    )
    for failure in failures[:SHOWN]:
        print(f"  {failure.id}: {failure.reason}", file=sys.stderr)
    if len(failures) > SHOWN:
        every = f"ExplanationStore({str(store.path)!r}).failures()"
        print(f"  and {len(failures) - SHOWN} more, which {every} lists", file=sys.stderr)
    return 3


EXPLAIN = TrainerVerb(
    name="explain",
    summary="explain every image of a dataset with one method, into a store; a stopped run can be continued",
    position=20,
    module="lit_coiba.modules.explainer.Explainer",
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
    no contact sheet, no decisions        --pictures false
    statistics estimated before           --model.method.statistics statistics.safetensors
  Several processes share a run; independent jobs take one shard each, in one store or in one store each:
    four processes on this machine        -c configs/trainer/ddp.yaml --trainer.devices 4
    job i of 8, such as a Slurm job array --shard i/8; configs/trainer/slurm.yaml has a script
    stores made on several machines       lit-coiba merge runs/all runs/a runs/b""",
)
