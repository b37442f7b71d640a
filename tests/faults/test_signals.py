"""Real runs stopped by signals, or without a process: status, nothing left behind, the same result afterwards.

All combinations are in `python -m benchmarks.signals`; here are the few that have to be looked at always.
"""

import shutil

import pytest

from benchmarks.signals.cases import prepare, stopped, undisturbed, workers


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    prepare(folder)
    return folder


FEW = [
    ("fit", "SIGTERM", 1, 143),  # ended with 0: a script took it for trained
    ("fit", "SIGTERM", 2, 143),  # never ended
    ("explain", "worker", 1, 2),  # RuntimeError
    ("explain", "rank", 2, 2),  # 137 without a word
    ("export", "SIGTERM", 1, 143),  # temporary files stayed
]
MORE = [
    ("merge", "SIGINT", 1, 130),
    ("explain", "SIGHUP", 2, 129),
    ("fit", "worker", 2, 2),  # the second process's reader outlived it by seconds
    ("fit with cache", "SIGTERM", 2, 143),
    ("fit with cache", "rank", 2, 2),
    ("prototypes", "SIGTERM", 2, 143),
    ("benchmark", "SIGINT", 2, 130),
    ("statistics", "SIGTERM", 2, 143),
]


@pytest.mark.parametrize(
    ("verb", "ending", "processes", "status"),
    [*FEW, *(pytest.param(*case, marks=pytest.mark.slow) for case in MORE)],
)
def test_ends_and_goes_on(base, tmp_path, verb, ending, processes, status):
    expected = undisturbed(shutil.copytree(base, tmp_path / "whole"), verb, processes, workers(ending))
    one = stopped(shutil.copytree(base, tmp_path / "run"), verb, ending, processes, expected)
    assert one.status == status, one.stderr
    assert one.left == []
    assert one.said.startswith("lit-coiba: ")
    assert "Traceback" not in one.stderr
    assert one.same
