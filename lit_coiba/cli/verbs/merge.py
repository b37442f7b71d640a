"""The verb ``merge``: the stores of one run, into one."""

from __future__ import annotations

import sys

from lit_coiba.cli import terminal
from lit_coiba.cli.parsing.quick_check import check_folders
from lit_coiba.cli.verb import FunctionVerb, explanations_in


def merge(out: str, stores: list[str]) -> int:
    """Join the stores of one run into one.

    They must agree in everything that determines the numbers: model, method, targets, images, statistics, precision
    and batch size; the message names what differs. Blocks that are in several stores count once. The stores stay as
    they are, and OUT may be one of them. After an interruption, run the same command again. Then the command that made
    the stores, with --store OUT and without --shard, explains what is missing and draws the contact sheet.

    Args:
        out: Folder of the joined store; created, or extended.
        stores: Folders of the stores.
    """
    check_folders(stores)  # before seconds are spent on imports
    from lit_coiba.data.blocks import count_blocks
    from lit_coiba.store.merge import merge as merge_stores

    store = merge_stores(out, stores, progress=sys.stderr.isatty())
    terminal.say(explanations_in(store))
    identity = store.manifest.identity
    total = count_blocks(identity.get("samples", 0), identity.get("block_size", 1))
    if missing := len(store.missing(total, verify=False)):
        terminal.remark(f"finished, but {missing} of {total} blocks are missing from all stores")
        return 3
    return 0


MERGE = FunctionVerb(
    name="merge",
    summary="join the stores of one run, made by --shard on several machines for example, into one",
    position=70,
    function=merge,
    usage="merge OUT STORE [STORE ...]",
    positional=("out", "stores"),
    resumable=True,
    examples="""\
  A run in two jobs on machines that share no folder. Statistics are estimated once, so that both jobs use the same:
    lit-coiba statistics -c configs/method/coiba.yaml ... --file statistics.safetensors
    lit-coiba explain -c configs/method/coiba.yaml ... --model.method.statistics statistics.safetensors \\
        --store runs/a --shard 0/2
    lit-coiba explain -c configs/method/coiba.yaml ... --model.method.statistics statistics.safetensors \\
        --store runs/b --shard 1/2
    lit-coiba merge runs/all runs/a runs/b""",
)
