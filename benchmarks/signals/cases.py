"""What is stopped, by what, and how what it leaves is compared."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("slowly.py")
PAUSE, PATIENCE = 0.15, 240.0  # seconds: before each piece of work, and until a run counts as hanging
PIECES = {"fit from the cache": 20, "merge": 1}  # that are done when the signal comes: 14 make the cache; else
FEW_PIECES = 8

TINY = [
    *("--model.backbone.name", "vit_tiny_patch16_224", "--model.backbone.image_size", "32"),
    *("--model.backbone.num_classes", "2", "--model.backbone.checkpoint", "weights.pt"),
    *("--model.backbone.timm_kwargs", "{depth: 2, embed_dim: 12, num_heads: 2, patch_size: 8}"),
]
CALM = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", "--data.batch_size", "1"]
HEAD = ["--model.head", "InfoDisentHead", "--model.frozen", "true"]
FIT = ["fit", *TINY, *CALM, *HEAD, "--data.root", "cl", "--trainer.max_epochs", "3", "--trainer.logger", "false"]
FIT += ["--trainer.enable_model_summary", "false", "--data.batch_size", "2"]

VERBS = {
    "explain": ["explain", *TINY, *CALM, "--model.method", "Saliency", "--data.root", "im", "--store", "s"],
    "statistics": [
        *("statistics", *TINY, *CALM, "--model.method", "CoIBA", "--data.root", "im"),
        *("--file", "statistics.safetensors"),
    ],
    "fit": FIT,
    "fit with cache": [*FIT, "--cache", "cache"],
    "fit from the cache": [*FIT, "--cache", "cache"],
    "prototypes": [
        *("prototypes", *TINY[:4], *TINY[4:6], *TINY[8:], *CALM, "--model.weights", "trained.ckpt"),
        *("--data.root", "cl", "--output", "p", "--pages", "1"),
    ],
    "benchmark": [
        *("benchmark", *TINY, *CALM, "--data.root", "im", "--stores", "made", "--output", "b"),
        *("--model.metrics.insertion", "Insertion", "--model.metrics.insertion.steps", "2"),
        *("--model.metrics.deletion", "Deletion", "--model.metrics.deletion.steps", "2"),
    ],
    "merge": ["merge", "merged", "made"],
    "export": ["export", "made", "--format", "npz", "--output", "x"],
}
ALONE = ("merge", "export")  # verbs of one process
NO_WORKERS = (*ALONE, "fit with cache", "fit from the cache")
SIGNALS = {"SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT, "SIGHUP": signal.SIGHUP}
ENDINGS = (*SIGNALS, "worker", "rank")


class Outcome(NamedTuple):
    """How a run ended."""

    status: int | None  # None = it had to be killed
    seconds: float  # from the signal to the end
    said: str  # the last line on stderr that is ours
    stderr: str  # all of it
    left: list[str]  # temporary files and processes
    again: int | None  # status of the command that goes on
    same: bool  # whether that gave what an undisturbed run gives


def prepare(folder: Path, begin: Start | None = None) -> None:
    """Images, weights, a trained head and a store, for all verbs.

    Args:
        folder: Folder for them.
        begin: How a run is started, as `start` does by default.
    """
    from lit_coiba.backbones import Backbone

    draw = np.random.default_rng(0)
    places = [f"im/{k:02d}.png" for k in range(24)]
    places += [
        f"cl/{part}/{name}/{k}.png" for part, n in (("train", 12), ("val", 2)) for name in "ab" for k in range(n)
    ]
    for place in places:
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(folder / place)
    torch.manual_seed(0)
    small: dict[str, Any] = {"depth": 2, "embed_dim": 12, "num_heads": 2, "patch_size": 8}
    backbone = Backbone("vit_tiny_patch16_224", num_classes=2, image_size=32, timm_kwargs=small)
    torch.save(backbone.model.state_dict(), folder / "weights.pt")
    finish(folder, [*VERBS["explain"][:-1], "made"], begin or start)
    finish(folder, [*FIT, "--trainer.default_root_dir", "trained"], begin or start)
    (trained,) = (folder / "trained").rglob("*.ckpt")
    trained.rename(folder / "trained.ckpt")


def words(verb: str, processes: int, readers: int = 0) -> list[str]:
    """The command."""
    if verb in ALONE:
        return VERBS[verb]
    strategy = ["--trainer.strategy", "ddp"] if processes > 1 else []
    return [
        *VERBS[verb],
        *("--trainer.devices", str(processes), *strategy, "--data.num_workers", str(readers)),
    ]


class Run(Protocol):
    """A process, as `subprocess.Popen`."""

    @property
    def pid(self) -> int:
        """Its number, and that of its process group."""
        ...

    def poll(self) -> int | None:
        """Its exit status; None = it has not ended."""
        ...

    def wait(self, timeout: float) -> int:
        """Its exit status, when it has ended."""
        ...


Start = Callable[..., Run]  # of a folder, a command and the pause before each piece


def environment() -> dict[str, str]:
    """The environment of a run."""
    threads = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "GLOO_SOCKET_IFNAME": "lo"}
    return {**os.environ, **threads, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}


def workers(ending: str) -> int:
    """Number of processes that read files."""
    return int(ending == "worker")


def start(folder: Path, command: list[str], pause: float = 0.0) -> subprocess.Popen[str]:
    """A command in a process group of its own."""
    with open(folder / "stderr", "w") as stderr:
        return subprocess.Popen(
            [sys.executable, str(SCRIPT), str(pause), *command],
            cwd=folder,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )


def finish(folder: Path, command: list[str], begin: Start = start) -> None:
    """Run a command to its end."""
    run = begin(folder, command)
    if run.wait(PATIENCE) != 0:
        raise RuntimeError(f"{' '.join(command)}: {(folder / 'stderr').read_text()}")


def found(field: int, number: int) -> list[int]:
    """Processes with this number in a field of ``/proc/PID/stat``, after the name, that have not ended."""
    numbers = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = status.read_text().rpartition(") ")[2].split()
            if int(fields[field]) == number and fields[0] != "Z":  # whom nobody has asked for its status has ended
                numbers.append(int(status.parent.name))
    return sorted(numbers)


def children(parent: int) -> list[int]:
    """Processes that a process has started."""
    return found(1, parent)


def group(run: Run) -> list[int]:
    """Processes of a run that are left."""
    return found(2, run.pid)


def stopped(folder: Path, verb: str, ending: str, processes: int, expected: str, begin: Start = start) -> Outcome:
    """Stop a run in the middle, and run the command again.

    Args:
        folder: A folder that `prepare` made; what the verb leaves is put in it.
        verb: A key of `VERBS`.
        ending: One of `ENDINGS`.
        processes: Number of processes.
        expected: What `result` says of an undisturbed run.
        begin: How a run is started.
    """
    command = words(verb, processes, workers(ending))
    (folder / "progress").write_bytes(b"")
    run = begin(folder, command, PAUSE)
    until, target = time.monotonic() + PATIENCE, None
    while target is None and run.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
        if (folder / "progress").stat().st_size >= PIECES.get(verb, FEW_PIECES):
            target = victim(folder, run, ending)
    began = time.monotonic()
    if target is None:
        raise RuntimeError(f"{verb} ended before {ending}: {(folder / 'stderr').read_text()}")
    os.kill(target, SIGNALS.get(ending, signal.SIGKILL))
    status = None
    with suppress(subprocess.TimeoutExpired):
        status = run.wait(PATIENCE)
    seconds = time.monotonic() - began
    time.sleep(0.5)
    left = [f"process {pid}" for pid in group(run)]
    with suppress(ProcessLookupError):
        os.killpg(run.pid, signal.SIGKILL)
    left += [str(file.relative_to(folder)) for file in folder.rglob(".*.tmp")]
    left += [str(file.relative_to(folder)) for file in (folder / "tmp").glob("*")]
    stderr = (folder / "stderr").read_text()
    lines = [line for line in stderr.splitlines() if line.strip()]
    said = next((line for line in reversed(lines) if line.startswith("lit-coiba:")), lines[-1] if lines else "")
    continued = re.search(r"--ckpt_path (\S+)", said)
    again = begin(folder, [*command, *(["--ckpt_path", continued[1]] if continued else [])])
    code = again.wait(PATIENCE)
    same = code == 0 and result(folder, verb) == expected
    return Outcome(status, seconds, said, stderr, left, code, same)


def victim(folder: Path, run: Run, ending: str) -> int | None:
    """The process that is stopped; None = it is not there yet."""
    if ending not in ("worker", "rank"):
        return run.pid
    ranks = [pid for pid in children(run.pid) if is_rank(pid) or str(pid) == noted(folder / "rank")]
    those = ranks if ending == "rank" else [pid for pid in children(run.pid) if pid not in ranks]
    return those[-1] if those else None


def noted(file: Path) -> str:
    """What a file says, if it is there."""
    return file.read_text() if file.is_file() else ""


def is_rank(pid: int) -> bool:
    """Whether Lightning started a process: a worker is a fork, with the environment of its parent's start."""
    try:
        return b"LOCAL_RANK=1" in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


def undisturbed(folder: Path, verb: str, processes: int, readers: int = 0, begin: Start = start) -> str:
    """What a run gives that nobody stops."""
    finish(folder, words(verb, processes, readers), begin)
    return result(folder, verb)


def result(folder: Path, verb: str) -> str:
    """A digest of what a verb has left."""
    from lit_coiba.bottlenecks import ActivationStatistics
    from lit_coiba.prototypes import Prototypes
    from lit_coiba.store import ExplanationStore

    read: dict[str, Callable[[], str]] = {
        "explain": lambda: ExplanationStore(folder / "s").digest(),
        "statistics": lambda: ActivationStatistics.load(folder / "statistics.safetensors").digest(),
        "fit": lambda: last_weights(folder),
        "fit with cache": lambda: last_weights(folder),
        "fit from the cache": lambda: last_weights(folder),
        "prototypes": lambda: Prototypes(folder / "p").digest(),
        "benchmark": lambda: (folder / "b" / "leaderboard.csv").read_text(),
        "merge": lambda: ExplanationStore(folder / "merged").digest(),
        "export": lambda: exported(folder / "x"),
    }
    return read[verb]()


def last_weights(folder: Path) -> str:
    """The weights after the last epoch."""
    files = [file for file in (folder / "checkpoints").glob("epoch=*.ckpt") if file.is_file()]
    file = max(files, key=lambda file: (torch.load(file, weights_only=True)["global_step"], file.stat().st_mtime))
    saved = torch.load(file, weights_only=True)
    sha = hashlib.sha256(str(saved["global_step"]).encode())
    for name, tensor in sorted(saved["state_dict"].items()):
        sha.update(name.encode() + tensor.numpy().tobytes())
    return sha.hexdigest()


def exported(folder: Path) -> str:
    """All numbers of an export."""
    found = {}
    for file in sorted(folder.rglob("*.npz")):
        with np.load(file) as arrays:
            found[str(file.relative_to(folder))] = [arrays["map"].tolist(), float(arrays["probability"])]
    return json.dumps([found, (folder / "explanations.csv").read_text()])
