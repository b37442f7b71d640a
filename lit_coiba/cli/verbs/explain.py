"""The verb ``explain``: every image of a dataset, into a store."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from lit_coiba.cli.verb import CHECKPOINT, OWN_MODEL, TrainerVerb

if TYPE_CHECKING:
    from lit_coiba.cli.trainer_command import TrainerCommand
    from lit_coiba.store import ExplanationStore

SHOWN = 5  # failures whose reasons are told at the end


def report(store: ExplanationStore, command: TrainerCommand) -> int:
    """Say where the explanations are, and what failed."""
    failures = store.failures()
    explained = len(store.ids())
    of = f"{explained} of {explained + len(failures)}" if failures else f"{explained}"
    drawn = "; some are drawn in its contact_sheet.png" if (store.path / "contact_sheet.png").exists() else ""
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
    summary="explain every image of a dataset with one method, into a store that a stopped run continues",
    position=20,
    module="lit_coiba.modules.explainer.Explainer",
    defaults={"method": {"class_path": "CoIBA"}},
    resumable=True,
    report=report,
    examples=f"""\
  A folder of images and a timm model with weights of your own; maps and a contact sheet go to runs/coiba:
    lit-coiba explain -c configs/method/coiba.yaml {OWN_MODEL} \\
        --data.root DIR --store runs/coiba
  The same command again continues a run that was stopped. To see some first: --limit 100 --store runs/first
    faster, for daily use                 -c configs/method/coiba_fast.yaml
    another method                        -c configs/method/iba.yaml, or --model.method Saliency
    the three likeliest classes of each   --model.targets top3
    what lit-coiba fit has trained        --model.weights {CHECKPOINT}
    any PyTorch model of your own         --model.backbone my_package.build
    labels and boxes from a CSV           --data.csv FILE
    generated images, no data needed      --data SyntheticParts
    images that failed, now fixed         --retry_failed true
    no contact sheet, no decisions        --pictures false
    statistics that are there already     --model.method.statistics statistics.safetensors
  Several processes share a run; jobs that do not talk to one another take a share each, of one store or of their own:
    four processes of this machine        -c configs/trainer/ddp.yaml --trainer.devices 4
    job i of 8, a Slurm job array say     --shard i/8, and configs/trainer/slurm.yaml has a script
    stores made on several machines       lit-coiba merge runs/all runs/a runs/b""",
)
