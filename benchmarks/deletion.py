"""Strangers' files under every name that a verb writes to, and in every folder: each stays, byte for byte.

For each verb: the names that an undisturbed run writes to, those of files that are gone when it has ended included.
Then, for each name, a stranger's file stands under it, (1) in a folder with nothing else, (2) in a folder that the verb
made, whose other files are gone but the one that marks it; and (3) beside every file of a finished run. Either the verb
refuses, with status 2 and before it writes anything, or the stranger's file is as it was.

    python -m benchmarks.deletion [--only VERB ...] [--kinds KIND ...]

Kinds of strangers' files: a file, a link to one, and a folder under the name; and a link to a stranger's folder in the
place of the folder that the name is in.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.signals.cases import CALM, FIT, TINY, VERBS, prepare
from lit_coiba.cli import main as lit_coiba

STRANGER = b"\x01 a thesis, and there is no other copy of it \xff\n" * 9
KINDS = ("file", "link", "folder", "linked folder")
MARKERS = ("manifest.json", "export.json", "lit-coiba.json", "README.md")
ONE = ["--data.num_workers", "0", "--trainer.devices", "1"]


class Verb(NamedTuple):
    """A command, and the folder that it writes to."""

    words: list[str]
    folder: str
    single: bool = False  # whether it writes one file in a folder that is anybody's


class Tried(NamedTuple):
    """What became of strangers' files."""

    names: int  # under which they stood
    kept: int  # the verb did its work, and they were as before
    refused: int  # the verb refused
    lost: list[str]  # neither


PREDICT = ["predict", *CALM, "--ckpt_path", "trained.ckpt", "--data.root", "cl"]

COMMANDS = {
    "explain": Verb([*VERBS["explain"][:-1], "out", *ONE, "--data.batch_size", "8"], "out"),
    "explain, decisions": Verb(
        [
            *("explain", *TINY[:6], *TINY[8:], *CALM, *ONE, "--model.weights", "trained.ckpt", "--data.root", "im"),
            *("--model.method", "HeadAttribution", "--model.method.prototypes", "found", "--store", "out"),
            *("--data.batch_size", "8"),
        ],
        "out",
    ),
    "explain, statistics": Verb(
        [
            *("explain", *TINY, *CALM, *ONE, "--model.method", "IBA", "--model.method.steps", "2", "--data.root", "im"),
            *("--model.method.copies", "2", "--store", "out", "--data.batch_size", "8", "--pictures", "false"),
        ],
        "out",
    ),
    "statistics": Verb([*VERBS["statistics"][:-1], "out/s.safetensors", *ONE, "--data.batch_size", "8"], "out", True),
    "fit": Verb([*FIT[:-4], *ONE, "--trainer.default_root_dir", "out", "--trainer.max_epochs", "1"], "out", True),
    "fit with cache": Verb([*FIT, *ONE, "--trainer.max_epochs", "1", "--cache", "out"], "out"),
    "fit, exported weights": Verb(
        [
            *(*FIT, *ONE, "--trainer.max_epochs", "1", "--trainer.callbacks", "lit_coiba.callbacks.ExportWeights"),
            *("--trainer.callbacks.file", "out/w.safetensors"),
        ],
        "out",
        True,
    ),
    "prototypes": Verb([*VERBS["prototypes"][:-3], "out", *ONE, "--pages", "1", "--evaluate", "true"], "out"),
    "benchmark": Verb([*("out" if word == "b" else word for word in VERBS["benchmark"]), *ONE], "out"),
    "merge": Verb(["merge", "out", "made"], "out"),
    "export, npz": Verb(["export", "made", "--format", "npz", "--output", "out"], "out"),
    "export, png": Verb(["export", "made", "--format", "png", "--output", "out"], "out"),
    "export, overlay": Verb(["export", "made", "--format", "overlay", "--images", "im", "--output", "out"], "out"),
    "fit, with a log": Verb(
        [
            *(*FIT, *ONE, "--trainer.max_epochs", "1"),
            *("--trainer.logger", "CSVLogger", "--trainer.logger.save_dir", "out"),
        ],
        "out",
        True,
    ),
    "predict, CSV": Verb([*PREDICT, *ONE, "--output", "out/table.csv"], "out", True),
    "predict, Parquet": Verb([*PREDICT, *ONE, "--output", "out/table.parquet"], "out", True),
    "methods": Verb(["methods", "--output", "out"], "out"),
    "metrics": Verb(["metrics", "--output", "out"], "out"),
}


def ready(folder: Path) -> None:
    """What the commands need."""
    prepare(folder)
    run(folder, [*VERBS["prototypes"][:-3], "found", *ONE, "--pages", "0"])


def run(folder: Path, words: list[str]) -> int:
    """A command in this process, in a folder, without a word; its status."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        quiet = io.StringIO()
        with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return lit_coiba(words)
    finally:
        os.chdir(before)


def written(folder: Path, verb: Verb) -> list[str]:
    """All names below its folder that an undisturbed run writes to; the temporary ones are drawn at random."""
    seen: set[str] = set()
    real = {"replace": os.replace, "link": os.link}

    def noting(name: str) -> Callable[..., None]:
        def note(source: str | Path, target: str | Path, **more: int) -> None:
            seen.add(os.path.abspath(target))
            real[name](source, target, **more)

        return note

    os.replace, os.link = noting("replace"), noting("link")  # type: ignore[assignment]
    try:
        status = run(folder, verb.words)
    finally:
        os.replace, os.link = real["replace"], real["link"]  # type: ignore[assignment]
    if status not in (0, 3):
        raise RuntimeError(f"{' '.join(verb.words)} ended with {status}")
    place = folder / verb.folder
    seen |= {str(file) for file in place.rglob("*") if file.is_file()}
    below = [os.path.relpath(name, place) for name in seen if Path(name).is_relative_to(place.resolve())]
    return sorted(name for name in below if "events.out.tfevents" not in name and ".tmp" not in name)


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder, with where links lead, and what is in the files that they lead to."""
    found = {}
    for file in folder.rglob("*"):
        name = str(file.relative_to(folder))
        if file.is_symlink():
            found[f"{name} ->"] = os.readlink(file).encode()
        if file.is_file():
            found[name] = file.read_bytes()
    return found


def stands(folder: Path, verb: Verb, planted: list[str]) -> str:
    """Run a verb where strangers' files stand: "kept", "refused", or "lost"."""
    before = contents(folder)
    theirs = {
        name: content for name, content in before.items() if name in planted or "->" in name or "strangers" in name
    }
    status = run(folder, verb.words)
    after = contents(folder)
    if status == 2 and after == before:
        return "refused"
    return "kept" if all(after.get(name) == before[name] for name in theirs) else "lost"


@contextlib.contextmanager
def copied(folder: Path) -> Iterator[Path]:
    """A copy of a folder, for one run."""
    with tempfile.TemporaryDirectory() as scratch:
        yield shutil.copytree(folder, Path(scratch).resolve() / "copy", symlinks=True)


def plant(place: Path, name: str, kind: str = "file") -> list[str]:
    """Put a stranger's file under a name, or what else there is; the names of strangers' files below `place`."""
    file = place / name
    if kind == "linked folder":
        theirs = place.parent / "strangers" / "folder"
        theirs.mkdir(parents=True)
        (theirs / file.name).write_bytes(STRANGER)
        (theirs / "thesis.tex").write_bytes(STRANGER)
        shutil.rmtree(file.parent, ignore_errors=True)
        file.parent.parent.mkdir(parents=True, exist_ok=True)
        file.parent.symlink_to(theirs)
        return []
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    if kind == "link":
        (place.parent / "strangers").mkdir()
        (place.parent / "strangers" / "thesis.tex").write_bytes(STRANGER)
        file.symlink_to(place.parent / "strangers" / "thesis.tex")
        return []
    if kind == "folder":
        file.mkdir()
        file /= "thesis.tex"
    file.write_bytes(STRANGER)
    return [str(file.relative_to(place.parent))]


def tried(base: Path, verb: Verb, most: int | None = None, kinds: Sequence[str] = KINDS[:1]) -> Tried:
    """Try a verb with a stranger's file under each of its names.

    Args:
        base: A folder that is `ready`.
        verb: The verb.
        most: Number of names to try, evenly spaced; None = all.
        kinds: What stands there, of `KINDS`.
    """
    found, lost = {"kept": 0, "refused": 0}, list[str]()

    def judge(folder: Path, planted: list[str], how: str) -> None:
        became = stands(folder, verb, planted)
        if became == "lost":
            lost.append(how)
        else:
            found[became] += 1

    with copied(base) as finished:
        names = written(finished, verb)
        count = len(names) if most is None else min(most, len(names))
        chosen = [names[k * len(names) // count] for k in range(count)]
        for kind, name in [(kind, name) for kind in kinds for name in chosen]:
            if kind == "linked folder" and _is_later(name, chosen):
                continue
            with copied(base) as folder:
                planted = plant(folder / verb.folder, name, kind)
                judge(folder, planted, f"{name} ({kind}, alone)")
            if verb.single or (kind == "linked folder" and os.sep not in name):
                continue
            with copied(base) as folder:
                for marker in MARKERS:
                    if (finished / verb.folder / marker).is_file():
                        (folder / verb.folder).mkdir(exist_ok=True)
                        shutil.copy(finished / verb.folder / marker, folder / verb.folder / marker)
                planted = plant(folder / verb.folder, name, kind)
                judge(folder, planted, f"{name} ({kind}, in a folder of the verb's)")
        with copied(finished) as folder:
            place = folder / verb.folder
            folders = {str(file.parent.relative_to(place)) for file in place.rglob("*") if file.is_file()}
            beside = [name for below in sorted(folders) for name in plant(place, os.path.join(below, "thesis.tex"))]
            judge(folder, beside, "thesis.tex beside the files of a finished run")
    return Tried(len(chosen), found["kept"], found["refused"], lost)


def _is_later(name: str, names: list[str]) -> bool:
    """Whether another name in the same folder comes before."""
    return next(other for other in names if os.path.dirname(other) == os.path.dirname(name)) != name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=list(COMMANDS), choices=COMMANDS)
    parser.add_argument("--most", type=int, help="names of each verb, evenly spaced; all without")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    given = parser.parse_args()
    losses = 0
    with tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch).resolve()
        ready(base)
        print("| verb | names | kept | refused | lost |\n|---|--:|--:|--:|---|", flush=True)
        for name in given.only:
            one = tried(base, COMMANDS[name], given.most, given.kinds)
            losses += len(one.lost)
            print(f"| {name} | {one.names} | {one.kept} | {one.refused} | {'; '.join(one.lost) or '-'} |", flush=True)
    sys.exit(losses > 0)


if __name__ == "__main__":
    main()
