"""What counts as time of explaining."""

import pytest
import torch

from lit_coiba.callbacks import stopwatch as module
from lit_coiba.callbacks.stopwatch import Stopwatch
from lit_coiba.core.batch import Batch


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand."""
    now = [0.0]
    monkeypatch.setattr(module, "_now", lambda: now[0])

    def move(seconds):
        now[0] += seconds

    return move


def batch(size):
    return Batch(torch.zeros(size, 3, 2, 2), tuple(map(str, range(size))), torch.zeros(size), 0)


def test_rate_of_the_batches_alone(clock):
    watch = Stopwatch()
    assert watch.rate is None
    for size, seconds in ((8, 2.0), (4, 1.0)):
        watch.on_predict_batch_start(None, None, batch(size), 0)
        clock(seconds)
        watch.on_predict_batch_end(None, None, object(), batch(size), 0)
        clock(100.0)  # writing and loading
    assert (watch.images, watch.seconds, watch.rate) == (12, 3.0, 4.0)


def test_statistics_do_not_count(clock):
    watch = Stopwatch()
    watch.on_predict_batch_start(None, None, batch(8), 0)
    clock(5.0)
    watch.on_predict_batch_end(None, None, None, batch(8), 0)
    assert watch.rate is None


def test_reset(clock):
    watch = Stopwatch()
    watch.on_predict_batch_start(None, None, batch(8), 0)
    clock(5.0)
    watch.on_predict_batch_end(None, None, object(), batch(8), 0)
    watch.reset()
    assert watch.rate is None
