"""Real processes that visualize: one that is killed, two of one run, and two commands at the same time."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch

from lit_coiba.feature_visualization import VisualizationRun
from lit_coiba.files.atomic import writer
from tests._testers import tiny
from tests._testers.runs import PATIENCE, ROOT
from tests._testers.visualizing import content, visualize

COUNT = 8
SCRIPT = """
import os, sys, time, warnings
warnings.simplefilter("ignore")
from pathlib import Path
from lit_coiba.feature_visualization import MACO
from lit_coiba.trainer import Trainer
from lit_coiba.trainer.visualization_work import VisualizationWork
from tests._testers import tiny
from tests._testers.visualizing import visualize

folder, events, devices, pause = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
real = VisualizationWork._do

def noted(self, batch, tell):
    time.sleep(pause)
    real(self, batch, tell)
    for one in batch:
        (events / f"{one.key} {os.getpid()}").touch()

VisualizationWork._do = noted
model = tiny.resnet()
(events / f"ready {os.getpid()}").touch()
while not (events / "go").exists():
    time.sleep(0.01)
more = {"strategy": "ddp"} if devices > 1 else {}
trainer = Trainer(accelerator="cpu", devices=devices, logger=False, enable_checkpointing=False, **more)
visualize(model, folder, trainer, classes=["0-7"], batch_size=1)
"""


def start(folder, events, devices=1, pause=0.0):
    events.mkdir(exist_ok=True)
    (script := events.with_suffix(".py")).write_text(SCRIPT)
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads()), "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.Popen(
        [sys.executable, str(script), str(folder), str(events), str(devices), str(pause)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **threads},
        stderr=subprocess.PIPE,
        text=True,
    )


def wait(condition, *runs):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        for run in runs:
            assert run.poll() is None, run.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def done(events):
    """Thing -> the processes that did it."""
    found = {}
    for file in events.glob("class_* *"):
        key, pid = file.name.split()
        found.setdefault(key, []).append(int(pid))
    return found


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """What a run leaves that nothing disturbs."""
    folder = tmp_path_factory.mktemp("straight") / "v"
    visualize(tiny.resnet(), folder, classes=["0-7"], batch_size=1)
    return content(folder)


def test_a_killed_run_goes_on(straight, tmp_path):
    """Killed with SIGKILL between two things or within one; what it had in hand is free at once."""
    folder, events = tmp_path / "v", tmp_path / "events"
    run = start(folder, events, pause=0.3)
    (events / "go").touch()
    try:
        wait(lambda: len(done(events)) >= 2, run)
    finally:
        run.kill()
        assert run.wait() == -signal.SIGKILL
        run.stderr.close()
    there = {item.key for item in VisualizationRun(folder).items}
    assert 2 <= len(there) < COUNT
    kept = content(folder)
    left = folder / "items" / f".class_00007.{writer().partition('-')[0]}-{run.pid}-0123456789abcdef.tmp"
    left.mkdir()  # as a kill in the midst of writing leaves it
    again = tmp_path / "again"
    second = start(folder, again)
    (again / "go").touch()
    assert second.wait() == 0, second.stderr.read()
    second.stderr.close()
    assert done(again).keys() == {f"class_{k:05d}" for k in range(COUNT)} - there
    assert {name: value for name, value in content(folder).items() if name in kept} == kept
    assert content(folder) == straight
    assert not left.exists()


def test_two_commands_at_the_same_time_share_the_work(straight, tmp_path):
    folder, events = tmp_path / "v", tmp_path / "events"
    runs = [start(folder, events, pause=0.2) for _ in range(2)]
    try:
        wait(lambda: len(list(events.glob("ready *"))) == 2, *runs)
        (events / "go").touch()
        statuses = [run.wait(PATIENCE) for run in runs]
        assert statuses == [0, 0], [run.stderr.read() for run in runs]
    finally:
        for run in runs:
            run.kill()
            run.stderr.close()
    found = done(events)
    assert sorted(len(pids) for pids in found.values()) == [1] * COUNT  # none twice
    assert {pid for pids in found.values() for pid in pids} == {run.pid for run in runs}
    assert content(folder) == straight


def test_two_processes_of_a_run_share_the_work(straight, tmp_path):
    folder, events = tmp_path / "v", tmp_path / "events"
    run = start(folder, events, devices=2)
    (events / "go").touch()
    try:
        assert run.wait(PATIENCE) == 0, run.stderr.read()
    finally:
        run.kill()
        run.stderr.close()
    found = done(events)
    assert sorted(len(pids) for pids in found.values()) == [1] * COUNT
    assert len({pid for pids in found.values() for pid in pids}) == 2
    assert content(folder) == straight


def test_asked_to_end_it_leaves_at_once_and_goes_on(straight, tmp_path):
    folder, events = tmp_path / "v", tmp_path / "events"
    run = start(folder, events, pause=0.3)
    (events / "go").touch()
    try:
        wait(lambda: len(done(events)) >= 1, run)
        run.terminate()
        assert run.wait(PATIENCE) == 143
    finally:
        run.kill()
        run.stderr.close()
    assert list((folder / ".claims").iterdir()) == []
    assert 1 <= len(VisualizationRun(folder)) < COUNT
    shutil.rmtree(events)
    second = start(folder, events)
    (events / "go").touch()
    assert second.wait() == 0, second.stderr.read()
    second.stderr.close()
    assert content(folder) == straight
