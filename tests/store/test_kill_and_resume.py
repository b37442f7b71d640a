"""Real processes that write one store, killed together: nothing lost, nothing twice, the same digest."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from lit_coiba.store import ExplanationStore
from tests.store.synthetic import blocks, filled, manifest, sample_id

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


def test_compaction_killed(tmp_path: Path) -> None:
    """A real process that compacts and writes over and over, and one that reads; SIGKILL somewhere."""
    script = """
import sys
from lit_coiba.store import ExplanationStore, compaction
from tests.store.synthetic import blocks, manifest
compaction.FILE_BYTES = 12_000
store, made = ExplanationStore.open(sys.argv[1], manifest()), blocks(40)
print(flush=True)
while True:
    for record in made:
        store.write(record)
        if record.block % 7 == 6:
            store.compact()
"""
    store = filled(tmp_path, blocks(40))
    straight = store.digest()
    run = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert run.stdout.readline() == b"\n"
        reader, deadline = ExplanationStore(tmp_path), time.monotonic() + 0.5
        while time.monotonic() < deadline:
            assert reader.missing(40, verify=False) == []
            assert run.poll() is None
    finally:
        run.kill()
        assert run.wait() == -signal.SIGKILL
        run.stdout.close()
    assert ExplanationStore(tmp_path).digest() == straight
    ExplanationStore.open(tmp_path, manifest()).compact()
    reader = ExplanationStore(tmp_path)
    assert (reader.missing(40), reader.digest()) == ([], straight)
