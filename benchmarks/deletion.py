"""Strangers' files under every name that a verb writes to, and in every folder: each stays, byte for byte.

For each verb: the names that an undisturbed run writes to, those of files that are gone when it has ended included.
Then, for each name, a stranger's file stands under it, (1) in a folder with nothing else, (2) in a folder that the verb
made, whose other files are gone but the one that marks it; and (3) beside every file of a finished run. Either the verb
refuses, with status 2 and before it writes anything, or the stranger's file is as it was.

    python -m benchmarks.deletion [--only VERB ...]
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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.signals.cases import CALM, FIT, TINY, VERBS, prepare
from lit_coiba.cli import main as lit_coiba

STRANGER = b"\x01 a thesis, and there is no other copy of it \xff\n" * 9
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
    """All files below a folder."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def stands(folder: Path, verb: Verb, planted: list[str]) -> str:
    """Run a verb where strangers' files stand: "kept", "refused", or "lost"."""
    place = folder / verb.folder
    before = contents(folder)
    status = run(folder, verb.words)
    same = all((place / name).is_file() and (place / name).read_bytes() == STRANGER for name in planted)
    if status == 2 and contents(folder) == before:
        return "refused"
    return "kept" if same else "lost"


@contextlib.contextmanager
def copied(folder: Path) -> Iterator[Path]:
    """A copy of a folder, for one run."""
    with tempfile.TemporaryDirectory() as scratch:
        yield shutil.copytree(folder, Path(scratch).resolve() / "copy", symlinks=True)


def plant(place: Path, name: str) -> None:
    """Put a stranger's file under a name."""
    (place / name).parent.mkdir(parents=True, exist_ok=True)
    (place / name).unlink(missing_ok=True)
    (place / name).write_bytes(STRANGER)


def tried(base: Path, verb: Verb, most: int | None = None) -> Tried:
    """Try a verb with a stranger's file under each of its names.

    Args:
        base: A folder that is `ready`.
        verb: The verb.
        most: Number of names to try, evenly spaced; None = all.
    """
    found, lost = {"kept": 0, "refused": 0}, list[str]()
    with copied(base) as finished:
        names = written(finished, verb)
        chosen = (
            names
            if most is None
            else [names[k * len(names) // min(most, len(names))] for k in range(min(most, len(names)))]
        )

        def judge(folder: Path, planted: list[str], how: str) -> None:
            became = stands(folder, verb, planted)
            if became == "lost":
                lost.append(f"{', '.join(planted[:3])} ({how})")
            else:
                found[became] += 1

        for name in chosen:
            with copied(base) as folder:
                plant(folder / verb.folder, name)
                judge(folder, [name], "alone")
            if verb.single:
                continue
            with copied(base) as folder:
                for marker in MARKERS:
                    if (finished / verb.folder / marker).is_file():
                        (folder / verb.folder).mkdir(exist_ok=True)
                        shutil.copy(finished / verb.folder / marker, folder / verb.folder / marker)
                plant(folder / verb.folder, name)
                judge(folder, [name], "in a folder of the verb's")
        with copied(finished) as folder:
            place = folder / verb.folder
            folders = {str(file.parent.relative_to(place)) for file in place.rglob("*") if file.is_file()}
            beside = [os.path.join(below, "thesis.tex") for below in sorted(folders)]
            for name in beside:
                plant(place, name)
            judge(folder, beside, "beside the files of a finished run")
    return Tried(len(chosen), found["kept"], found["refused"], lost)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=list(COMMANDS), choices=COMMANDS)
    parser.add_argument("--most", type=int, help="names of each verb, evenly spaced; all without")
    given = parser.parse_args()
    losses = 0
    with tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch).resolve()
        ready(base)
        print("| verb | names | kept | refused | lost |\n|---|--:|--:|--:|---|", flush=True)
        for name in given.only:
            one = tried(base, COMMANDS[name], given.most)
            losses += len(one.lost)
            print(f"| {name} | {one.names} | {one.kept} | {one.refused} | {'; '.join(one.lost) or '-'} |", flush=True)
    sys.exit(losses > 0)


if __name__ == "__main__":
    main()
