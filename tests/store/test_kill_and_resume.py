"""Real processes that write one store, killed together: nothing lost, nothing twice, the same digest."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from lit_coiba.store import ExplanationStore
from tests.store.synthetic import blocks, manifest, sample_id

TOTAL = 200
RUN = f"""
import os, sys
from lit_coiba.store import ExplanationStore
from tests.store.synthetic import blocks, manifest
os.fork()  # two runs into one store at once, for the price of one import
store = ExplanationStore.open(sys.argv[1], manifest())
for block, record in enumerate(blocks({TOTAL})):
    if block in store.missing({TOTAL}):
        store.write(record)
"""
ROOT = Path(__file__).parents[2]
PATIENCE = 600.0  # seconds until processes that write nothing are a failure: a busy machine takes minutes to import


def wait_for_blocks(run: subprocess.Popen, folder: Path, count: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while len(list(folder.glob("0*.parquet"))) < count:
        assert run.poll() is None, "the run ended by itself"
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_two_runs_killed_and_one_resumed_equal_an_undisturbed_run(tmp_path: Path) -> None:
    random.seed(0)
    group = subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path / "killed")], cwd=ROOT, start_new_session=True)
    try:
        wait_for_blocks(group, tmp_path / "killed" / "blocks", random.randrange(5, 50))
    finally:
        os.killpg(group.pid, signal.SIGKILL)
        assert group.wait() == -signal.SIGKILL

    store = ExplanationStore.open(tmp_path / "killed", manifest())
    missing = store.missing(TOTAL)
    assert 0 < len(missing) < TOTAL
    undisturbed = ExplanationStore.open(tmp_path / "straight", manifest())
    for made in blocks(TOTAL):
        undisturbed.write(made)
        if made.block in missing:
            store.write(made)
    assert store.missing(TOTAL) == []
    assert [row.id for row in store] == [sample_id(number) for number in range(4 * TOTAL)]
    assert store.digest() == undisturbed.digest()
    for path in (store.path / "blocks").glob("*.parquet"):
        assert path.read_bytes() == (undisturbed.path / "blocks" / path.name).read_bytes()
