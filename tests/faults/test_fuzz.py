"""A hundred of the cases of ``make fuzz``, in this process."""

from __future__ import annotations

import pytest

from benchmarks.fuzz.worker import FAULTS, Worker

KINDS = ["yaml", "safetensors", "weights", "statistics", "feature cache", "prototypes", "manifest", "block", "masks"]


@pytest.fixture(scope="module")
def worker(tmp_path_factory) -> Worker:
    return Worker(tmp_path_factory.mktemp("fuzz"), seed=1)


@pytest.mark.parametrize("kind", KINDS)
def test_no_case_is_a_fault(worker, kind, monkeypatch):
    monkeypatch.chdir(worker.folder)
    verdicts = [worker.run(kind, number) for number in range(11)]
    assert [verdict for verdict in verdicts if verdict.outcome in FAULTS] == []


def test_a_case_is_the_same_whenever_it_is_run(worker, monkeypatch):
    monkeypatch.chdir(worker.folder)
    first = [worker.run("yaml", number) for number in range(5)]
    assert [worker.run("yaml", number) for number in range(5)] == first
    assert {verdict.mutation for verdict in first} != {first[0].mutation}
