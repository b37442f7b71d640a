"""Things in hand: nobody takes what a living process has, and what a dead one had is free."""

import os
import subprocess
import sys
import time

import pytest

from lit_coiba.files.claims import BEAT, FRESH, Claims


@pytest.fixture
def claims(tmp_path):
    return Claims(tmp_path / "claims")


def test_a_thing_is_in_one_hand(claims):
    other = Claims(claims.folder)
    assert claims.take("a")
    assert not other.take("a")
    assert other.take("b")
    claims.release(["a"])
    assert other.take("a")
    assert sorted(file.name for file in claims.folder.iterdir()) == ["a", "b"]


def test_of_many_at_once_one_gets_it(claims):
    script = """
import sys
from lit_coiba.files.claims import Claims
from pathlib import Path
claims = Claims(Path(sys.argv[1]))
while not Path(sys.argv[2]).exists():
    pass
print(claims.take("a"), flush=True)
sys.stdin.read()
"""
    flag = claims.folder.with_name("go")
    words = [sys.executable, "-c", script, str(claims.folder), str(flag)]
    runs = [
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ)
        for _ in range(3)
    ]
    flag.touch()
    try:
        found = [run.stdout.readline().strip() for run in runs]
    finally:
        for run in runs:
            run.communicate("")
    assert sorted(found) == ["False", "False", "True"]


def test_what_a_dead_process_had_is_free(claims):
    script = "import sys; from pathlib import Path; from lit_coiba.files.claims import Claims\n"
    script += "print(Claims(Path(sys.argv[1])).take('a'))"
    done = subprocess.run(
        [sys.executable, "-c", script, str(claims.folder)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "True\n"
    assert (claims.folder / "a").exists()
    assert claims.take("a")


def test_of_another_machine_a_sign_of_life_counts(claims):
    claims.folder.mkdir()
    file = claims.folder / "a"
    file.write_text("0badcafe-1")
    assert not claims.take("a")
    old = time.time() - FRESH - 1
    os.utime(file, (old, old))
    assert claims.take("a")


def test_what_is_in_hand_shows_that_it_is(claims, monkeypatch):
    assert claims.take("a")
    old = time.time() - FRESH - 1
    os.utime(claims.folder / "a", (old, old))
    claims.beat()
    assert not Claims(claims.folder).take("a")
    os.utime(claims.folder / "a", (old, old))
    claims.beat()  # too soon after the last one
    assert (claims.folder / "a").stat().st_mtime == pytest.approx(old)
    now = time.monotonic()
    monkeypatch.setattr("time.monotonic", lambda: now + BEAT + 1)
    claims.beat()
    assert (claims.folder / "a").stat().st_mtime > old + 1
