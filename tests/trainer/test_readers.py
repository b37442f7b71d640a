"""Processes that read files for one that is killed."""

import multiprocessing
import os
import subprocess
import sys
import time

from lit_coiba.trainer.readers import kill_all, readers_of


def test_forks_are_found_and_killed_and_other_children_left():
    fork = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    fork.start()
    other = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    try:
        found = readers_of(os.getpid())
        assert fork.pid in found
        assert other.pid not in found
        kill_all([fork.pid, 2**22 + 1])  # the second is nobody's
        fork.join(10)
        assert fork.exitcode == -9
        assert other.poll() is None
    finally:
        fork.kill()
        other.communicate(b"\n")


def test_a_process_that_is_gone_has_none():
    assert readers_of(2**22 + 1) == []
