"""The verb ``explorer``: a site of what is known of a model."""

from __future__ import annotations

import sys

from lit_coiba.cli import terminal
from lit_coiba.cli.parsing.quick_check import check_folders
from lit_coiba.cli.verb import FunctionVerb
from lit_coiba.core.printable import counted


def explorer(
    runs: list[str],
    out: str,
    other: list[str] | None = None,
    images: str | None = None,
    names: str | None = None,
    single: str | None = None,
    single_file: str | None = None,
) -> int:
    """Write a site of what is known of a model: classes, concepts, prototypes, explanations, failures.

    It opens from disk, without a server and without a network. RUNS are folders of one model on one dataset, of any of
    these kinds: concepts (lit-coiba concepts), explanations (explain, compare), prototypes, benchmarks, and optimized
    images (visualize); what is given is shown. The same command again makes only what has changed, and goes on where it
    was interrupted. Beside each page lies a JSON file with the same numbers.

    Args:
        runs: Folders of results.
        out: Folder of the site: new, empty, or a site already.
        other: Folders of a second model for the same classes, which is compared with the first.
        images: Folder of the pictures that were explained (data.root); those that the runs keep need none.
        names: JSON or YAML file of names for concepts, {"17": {"0": "stripes"}}; names.json in the concepts' folder if
            left out.
        single: A class, by number or name, to be written as one HTML file too.
        single_file: That file; OUT/single/00017.html if left out.
    """
    check_folders([*runs, *(other or [])], "a run", "folders of results")  # before seconds are spent on imports
    from lit_coiba.explorer.building import build
    from lit_coiba.explorer.single import class_number, single_page

    built = build(runs, out, other, images, names, progress=sys.stderr.isatty())
    made = f"{counted(len(built.made), 'part')} made" if built.made else "nothing had changed"
    terminal.say(f"{counted(built.classes, 'class', 'classes')}, {made}: open {built.path / 'index.html'}")
    if single is not None:
        number = class_number(built.path, single)
        file = single_file or built.path / "single" / f"{number:05d}.html"
        terminal.say(f"Class {number} is in {single_page(built.path, number, file)}")
    return 0


EXPLORER = FunctionVerb(
    name="explorer",
    summary="write a site of a model's classes, concepts, prototypes and explanations that opens from disk",
    position=65,
    function=explorer,
    usage="explorer RUN [RUN ...] --out DIR [--other RUN ...] [--images DIR] [--single CLASS]",
    positional=("runs",),
    resumable=True,
    examples="""\
  All that is known of a model, in one site; open site/index.html in a browser:
    lit-coiba explorer runs/concepts runs/coiba runs/rise runs/table --out site
    lit-coiba explorer runs/concepts runs/visualizations runs/prototypes --out site --images images/
  Looked at over HTTP, on this machine only:
    lit-coiba serve site
  A second model for the same classes:
    lit-coiba explorer runs/cnn/concepts --other runs/vit/concepts --out site
  One class as a file to send to somebody:
    lit-coiba explorer runs/concepts --out site --single 17 --single_file tench.html
  In Python: lit_coiba.explorer.build(["runs/concepts", "runs/coiba"], "site")""",
)
