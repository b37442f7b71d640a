"""Runs of ``lit-coiba explain`` killed with SIGKILL at random moments and started again: nothing lost, nothing twice.

Every run explains the same images of SyntheticParts by CoIBA with the shipped CNN, statistics included, by one, two or
three processes. It is killed at a random moment (the whole group of processes, only the one that was started, or only
one that this has started), then the command is repeated; in some runs with another number of processes. Its store must
say what that of an undisturbed run says.

    python benchmarks/kill_and_resume.py [--runs 20] [--seed 0] [--limit 96] [--output FOLDER]
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from lit_coiba.store import ExplanationStore
from lit_coiba.store.chunks import CHUNKS

MODES = ("group", "parent", "child")
BLOCK = 4  # images
MOVING = 5  # runs, of 20, that go on with another number of processes
PATIENCE = 900.0  # seconds until a run that does not end counts as hanging
ROOT = Path(__file__).parents[1]


class Outcome(NamedTuple):
    """What became of one run."""

    mode: str
    processes: tuple[int, int]  # before and after
    moment: float  # seconds from start to kill
    done: int  # rows at that time
    seconds: float  # of the last attempt
    equal: bool
    twice: int
    missing: int


def command(store: Path, processes: int, limit: int) -> list[str]:
    """The command that explains `limit` images into `store`."""
    words = [sys.executable, "-m", "lit_coiba", "explain", "-c", "configs/method/coiba.yaml"]
    words += ["-c", "configs/model/synthetic_parts_cnn.yaml", "-c", "configs/data/synthetic_parts.yaml"]
    words += ["--model.method.steps", "4", "--model.method.copies", "2", "--data.batch_size", str(BLOCK)]
    words += ["--trainer.accelerator", "cpu", "--trainer.devices", str(processes)]
    words += ["--trainer.strategy", "ddp"] if processes > 1 else []
    return [*words, "--trainer.enable_progress_bar", "false", "--limit", str(limit), "--store", str(store)]


def start(words: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a command as a group of processes of its own, on one thread each."""
    threads = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "GLOO_SOCKET_IFNAME": "lo"}
    environment = {**os.environ, **threads, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    with log.open("ab") as file:
        return subprocess.Popen(words, cwd=ROOT, env=environment, stdout=file, stderr=file, start_new_session=True)


def finish(words: list[str], log: Path) -> float:
    """Run a command to its end; the seconds it took. What hangs or fails ends the benchmark."""
    began = time.monotonic()
    run = start(words, log)
    try:
        status = run.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        kill_group(run)
        raise SystemExit(f"a run hangs: see {log}") from None
    if status:
        raise SystemExit(f"a run ended with status {status}: see {log}")
    return time.monotonic() - began


def kill(run: subprocess.Popen[bytes], mode: str) -> str:
    """SIGKILL; what was killed. A child that is not there yet cannot be, then it is the parent."""
    own = children(run.pid)
    if mode == "group":
        kill_group(run)
    elif mode == "child" and own:
        os.kill(random.choice(own), signal.SIGKILL)
    else:
        mode = "parent"
        run.kill()
    return mode


def children(parent: int) -> list[int]:
    """Processes that a process has started and that run this package."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(") ")[2].split()
            words = (status.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == parent and b"lit_coiba" in words:
            found.append(int(status.parent.name))
    return found


def kill_group(run: subprocess.Popen[bytes]) -> None:
    """SIGKILL to all processes of a run that are left."""
    with suppress(ProcessLookupError):
        os.killpg(run.pid, signal.SIGKILL)


def wait_for_group(run: subprocess.Popen[bytes]) -> float:
    """Seconds until the last process of a killed run is gone; those that stay too long count as hanging."""
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE:
        run.poll()
        try:
            os.killpg(run.pid, 0)
        except ProcessLookupError:
            return time.monotonic() - began
        time.sleep(0.2)
    kill_group(run)
    raise SystemExit("a process that was left over does not end")


def rows(store: Path) -> int:
    """Explanations that are there."""
    return len(ExplanationStore(store)) if (store / "manifest.json").exists() else 0


def progress(store: Path) -> int:
    """Steps that a run has made: chunks of the statistics, then blocks; one more when it compacts them."""
    if not (store / "manifest.json").exists():
        return len(list(store.glob("*.parts/*.safetensors")))
    blocks = [file.name for file in store.glob("blocks/0*.parquet")]
    return 10**6 if any("-" in name for name in blocks) else CHUNKS + len(blocks)


def killed_and_resumed(
    folder: Path, number: int, limit: int, pause: float, expected: ExplanationStore, moves: bool
) -> Outcome:
    """One run: killed up to `pause` seconds after a random step, resumed, compared."""
    mode = MODES[number % len(MODES)]
    before = random.choice((2, 3)) if mode == "child" else random.choice((1, 2, 2))
    after = random.choice([count for count in (1, 2, 3) if count != before]) if moves else before
    store, log = folder / f"run{number}", folder / f"run{number}.log"
    run = start(command(store, before, limit), log)
    began, step = time.monotonic(), random.randrange(CHUNKS + -(-limit // BLOCK) + 1)
    while run.poll() is None and progress(store) < step:
        time.sleep(0.01)
    time.sleep(random.random() * pause)
    mode = kill(run, mode) if run.poll() is None else f"{mode}, too late"
    seconds = time.monotonic() - began
    wait_for_group(run)
    done = rows(store)
    took = finish(command(store, after, limit), log)
    found = ExplanationStore(store)
    counts = Counter((row.id, row.target) for row in found)
    missing = len(set(expected.ids()) - set(found.ids()))
    twice = sum(count > 1 for count in counts.values())
    return Outcome(mode, (before, after), seconds, done, took, found.digest() == expected.digest(), twice, missing)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, default=96, help="images")
    parser.add_argument("--output", type=Path, help="folder for stores and logs; a temporary one without")
    given = parser.parse_args()
    random.seed(given.seed)
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.output or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        durations = {
            count: finish(command(folder / f"undisturbed{count}", count, given.limit), folder / "undisturbed.log")
            for count in (1, 2)
        }
        expected = ExplanationStore(folder / "undisturbed1")
        if ExplanationStore(folder / "undisturbed2").digest() != expected.digest():
            raise SystemExit("one process and two differ")
        print(f"undisturbed: {len(expected)} rows, {durations[1]:.0f} s by one process, {durations[2]:.0f} s by two")
        pause = 0.3 * durations[1] * BLOCK / given.limit  # about a block
        moving = set(random.sample(range(given.runs), max(1, round(given.runs * MOVING / 20))))
        print("run  killed           processes  after s  rows then  resumed in s  digest  twice  missing", flush=True)
        outcomes = []
        for number in range(given.runs):
            one = killed_and_resumed(folder, number, given.limit, pause, expected, number in moving)
            outcomes.append(one)
            print(
                f"{number:>3}  {one.mode:<16} {one.processes[0]} -> {one.processes[1]:<4} {one.moment:>7.1f}"
                f"  {one.done:>9}  {one.seconds:>12.1f}  {'equal' if one.equal else 'OTHER':<6}  {one.twice:>5}"
                f"  {one.missing:>7}",
                flush=True,
            )
    good = sum(one.equal and not one.twice and not one.missing for one in outcomes)
    moved = sum(one.processes[0] != one.processes[1] for one in outcomes)
    print(f"{good} of {len(outcomes)} as if nothing had happened, {moved} of them by another number of processes")
    sys.exit(good != len(outcomes))


if __name__ == "__main__":
    main()
