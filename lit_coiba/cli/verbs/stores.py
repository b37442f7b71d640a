"""The verbs that take stores as they are, without a model: ``merge`` and ``export``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

from docstring_parser import parse
from jsonargparse import ArgumentParser

from lit_coiba.cli.pages.page import Page, parameters
from lit_coiba.cli.parsing.messages import parsing_message
from lit_coiba.core.errors import InputError
from lit_coiba.data.blocks import count_blocks
from lit_coiba.store import ExplanationStore, merge
from lit_coiba.store.export import Format


def merge_stores(out: str, stores: list[str]) -> int:
    """Join stores of one run that were made apart into one.

    They must agree in everything that decides the numbers: model, method, targets, images, statistics, precision and
    batch size; what differs is named. Blocks that several of them have count once. The stores stay as they are, OUT may
    be one of them, and an interrupted merge is repeated. The command that made the stores, with --store OUT and without
    --shard, does what is missing then and draws the contact sheet.

    Args:
        out: Folder of the joined store; created, or added to.
        stores: Folders of the stores.
    """
    store = merge(out, stores, progress=sys.stderr.isatty())
    print(f"{len(store)} explanations of {len(store.ids())} images are in {store.path}")
    identity = store.manifest.identity
    total = count_blocks(identity.get("samples", 0), identity.get("block_size", 1))
    if missing := len(store.missing(total, verify=False)):
        print(f"lit-coiba: {missing} of {total} blocks are missing: no store has them", file=sys.stderr)
    return 0


def export_store(store: str, format: Format, output: str | None = None) -> int:
    """Write every explanation of a store to a file of its own, and a table of them all, explanations.csv.

    Files are named by the image's id and the class that is explained; folders in an id become folders, unusual
    characters %XX. An interrupted export goes on where it stopped, and files that are there stay.

    Args:
        store: Folder of the store.
        format: npz: map, probability, label and what else the method says, for numpy.load; png: the map in colours.
        output: Folder for the files; without, a folder named like the format, in the store.
    """
    opened = ExplanationStore(store)
    folder = opened.export(format, output, progress=sys.stderr.isatty())
    print(f"{len(opened)} explanations are in {folder}")
    return 0


class StoreVerb(NamedTuple):
    """One verb."""

    function: Callable[..., int]
    usage: str
    positional: dict[str, bool]  # name -> whether there may be several
    examples: str


VERBS = {
    "merge": StoreVerb(
        merge_stores,
        "merge OUT STORE [STORE ...]",
        {"out": False, "stores": True},
        """\
  A run in two jobs on machines that share no folder. Statistics are made once, so that all jobs have the same ones:
    lit-coiba statistics -c configs/method/coiba.yaml ... --file statistics.safetensors
    lit-coiba explain -c configs/method/coiba.yaml ... --model.method.statistics statistics.safetensors \\
        --store runs/a --shard 0/2
    lit-coiba explain -c configs/method/coiba.yaml ... --model.method.statistics statistics.safetensors \\
        --store runs/b --shard 1/2
    lit-coiba merge runs/all runs/a runs/b""",
    ),
    "export": StoreVerb(
        export_store,
        "export STORE --format npz|png [--output DIR]",
        {"store": False},
        """\
  Pictures to look at, and numbers for another program:
    lit-coiba export runs/coiba --format png --output pictures/
    lit-coiba export runs/coiba --format npz --output numbers/
  In Python: numpy.load("numbers/apple/0.jpg.target3.npz")["map"]""",
    ),
}


def run_store_verb(name: str, args: list[str]) -> int:
    """Run a verb with its arguments from the command line; its exit status."""
    verb = VERBS[name]
    if {"-h", "--help"} & set(args):
        print(_help(verb))
        return 0
    parser = ArgumentParser(prog=f"lit-coiba {name}", exit_on_error=False, allow_abbrev=False)
    for argument, several in verb.positional.items():
        parser.add_argument(argument, nargs="+" if several else None)
    parser.add_function_arguments(verb.function, as_group=False, skip=set(verb.positional))
    words = [word for word in args if not word.startswith("-")]
    if len(words) < len(verb.positional):
        raise InputError(f"write lit-coiba {verb.usage} (--help has examples)")
    try:
        arguments = parser.parse_args(args)
    except Exception as error:
        options = [name for name in parser.get_defaults().keys() if name not in verb.positional]  # noqa: SIM118
        raise InputError(parsing_message(error, options, [])) from error
    return verb.function(**arguments.as_dict())


def _help(verb: StoreVerb) -> Page:
    text = parse(verb.function.__doc__ or "")
    page = Page(verb.usage, f"{text.short_description} {text.long_description or ''}")
    page.section("examples", verb.examples)
    told = {param.arg_name: param.description or "" for param in text.params}
    page.section("folders", "\n".join(f"  {name.upper():<8}{told[name]}" for name in verb.positional))
    if options := dict(parameters(verb.function, skip=frozenset(verb.positional))):
        page.keys("options", iter(options.items()))
    return page
