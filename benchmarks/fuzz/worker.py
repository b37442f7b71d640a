"""One process that runs cases: a case is a sound folder with one file mutated, which is then read."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from typing import Any, NamedTuple

from lit_coiba.core.errors import InputError

SECONDS, GIGABYTE = 10, 2**30
LONGEST = 500  # characters of a sentence


class Overtime(BaseException):
    """A case took longer than it may; no handler of the code that is tried swallows it."""


class Verdict(NamedTuple):
    """What became of one case."""

    kind: str
    number: int
    mutation: str
    outcome: str  # refused, same, warned, differs, or a fault
    told: str  # the sentence, or the traceback


FAULTS = ("traceback", "hang", "memory", "crash", "control", "long", "unnoticed")
OUTCOMES = ("refused", "same", "warned", "differs", *FAULTS)


class Worker:
    """Makes the sound folders once, and runs cases on copies of them.

    Args:
        folder: Where the folders are.
        seed: Seed of all cases.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        from benchmarks.fuzz import kinds, mutations

        self.folder, self.seed, self.mutations = folder, seed, mutations
        self.kinds = {kind.name: kind for kind in kinds.all_kinds()}
        self.sound: dict[str, tuple[Path, Any]] = {}
        signal.signal(signal.SIGALRM, self._alarm)
        sys.path.append(str(folder))

    def run(self, name: str, number: int, keep: Path | None = None) -> Verdict:
        """One case: the same one whenever and wherever it is run; one that took too long is tried once more.

        Args:
            name: The kind.
            number: Number of the case.
            keep: Folder to copy the mutated files to, where the case is a fault.
        """
        verdict = self._run(name, number, keep)
        return self._run(name, number, keep) if verdict.outcome == "hang" else verdict  # others may be busy here

    def _run(self, name: str, number: int, keep: Path | None) -> Verdict:
        kind = self.kinds[name]
        source, expected = self._sound(name)
        key = hashlib.sha256(f"{self.seed} {name} {number}".encode()).digest()
        chance = random.Random(key)
        place = self.folder / "case"
        self.mutations.restored(source, place)
        files = sorted({path for pattern in kind.files for path in place.glob(pattern) if path.is_file()})
        file = chance.choice(files)
        chosen = chance.choice([*self.mutations.ANY, *kind.mutations])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                chosen(file, chance)
            except Exception:  # what it makes cannot be written in this format: bits will do
                self.mutations.restored(source, place)
                chosen = self.mutations.bits
                chosen(file, chance)
        mutation = f"{chosen.__name__} of {file.relative_to(place)}"
        rewritten = kind.rewritable and chosen in kind.mutations
        sealed = kind.sealed and not rewritten and os.path.lexists(file)  # a file that is gone says nothing
        outcome, told = self._outcome(kind, place, expected, sealed)
        if outcome in FAULTS and keep is not None:
            target = keep / f"{name.replace(' ', '_')}-{number}"
            target.mkdir(parents=True, exist_ok=True)
            (target / "reason.txt").write_text(f"{mutation}\n{outcome}\n{told}\n", errors="backslashreplace")
            with contextlib.suppress(OSError, shutil.Error):
                if file.is_file() and file.stat().st_size < 2**24:
                    shutil.copy(file, target)
        return Verdict(name, number, mutation, outcome, told)

    def _sound(self, name: str) -> tuple[Path, Any]:
        if name not in self.sound:
            place = self.folder / "sound" / name
            place.mkdir(parents=True)
            self.kinds[name].make(place)
            copy = self.folder / "case"
            self.mutations.restored(place, copy)  # reading may leave something behind
            self.sound[name] = place, self.kinds[name].read(copy)
        return self.sound[name]

    def _outcome(self, kind: Any, place: Path, expected: Any, sealed: bool) -> tuple[str, str]:
        noise, drawing = io.StringIO(), ""
        before = _memory(reset=True)
        with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stderr(noise):
            warnings.simplefilter("always")
            signal.setitimer(signal.ITIMER_REAL, SECONDS)
            try:
                found = kind.read(place)
                outcome, told = ("same", "") if found == expected else ("differs", "")
            except InputError as error:
                outcome, told, drawing = "refused", error.sentence, error.drawing
            except Overtime:
                return "hang", "".join(traceback.format_exc()[-3000:])
            except Exception:
                return "traceback", traceback.format_exc()[-4000:]
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        if _memory() - before > GIGABYTE:
            return "memory", f"{(_memory() - before) / GIGABYTE:.1f} GB; {told[:300]}"
        ours = [str(one.message) for one in caught if issubclass(one.category, UserWarning)]
        for text in [told, *ours, *drawing.split("\n")]:
            if text and not text.replace("\n", " ").isprintable():
                return "control", repr(text)[:1000]
            if len(text) > LONGEST:
                return "long", text[:1000]
        if outcome == "differs" and ours:
            return "warned", ours[0]
        if outcome == "differs" and sealed:
            return "unnoticed", repr(found)[:500]
        return outcome, told

    @staticmethod
    def _alarm(*_: Any) -> None:
        raise Overtime


def _memory(reset: bool = False) -> int:
    """Most bytes in memory since the last reset."""
    if reset:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def serve(tasks: Any, results: Any, seed: int, keep: str) -> None:
    """Run the cases that come, until None comes."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import logging

    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        worker = Worker(Path(scratch), seed)
        while (task := tasks.get()) is not None:
            results.put(worker.run(*task, keep=Path(keep)))
