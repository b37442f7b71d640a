import gc
import warnings

import pytest
import torch

from lit_coiba import attribution
from lit_coiba.core.batched_evaluator import CPU_PIXELS, FEWEST, MOST, BatchedEvaluator
from lit_coiba.core.errors import InputError
from tests._testers import tiny

IMAGES = torch.arange(5.0).view(5, 1, 1, 1).expand(5, 3, 4, 4).contiguous()
COPIES = 7


@pytest.fixture(autouse=True)
def collected(monkeypatch):
    """How often garbage was collected, which takes seconds beside all that a test process holds."""
    calls = []
    monkeypatch.setattr(gc, "collect", lambda: calls.append(1))
    return calls


class Recorder:
    """Gives ``10 * copy + image``, notes what it was asked, and has memory for `most` inputs at once."""

    def __init__(self, most=10**9, error=torch.OutOfMemoryError("an artificial limit")):  # noqa: B008
        self.most, self.error = most, error
        self.asked: list[tuple[slice, slice]] = []
        self.failures = 0

    def __call__(self, copies: slice, rows: slice) -> torch.Tensor:
        if (copies.stop - copies.start) * (rows.stop - rows.start) > self.most:
            self.failures += 1
            raise self.error
        self.asked.append((copies, rows))
        return 10.0 * torch.arange(copies.start, copies.stop)[:, None] + IMAGES[rows, 0, 0, 0]

    def summed(self, copies: slice, rows: slice) -> torch.Tensor:
        return self(copies, rows).sum(0)

    def pairs(self):
        return sorted((c, r) for a, b in self.asked for c in range(a.start, a.stop) for r in range(b.start, b.stop))


EXPECTED = 10.0 * torch.arange(COPIES)[:, None] + torch.arange(5.0)
EVERY = [(copy, row) for copy in range(COPIES) for row in range(5)]


@pytest.mark.parametrize("chunk", ["auto", 1, 2, 3, 5, 6, 8, 34, 35, 1000])
def test_every_copy_of_every_image_runs_once_in_pieces_of_the_given_size(chunk):
    for verb, expected in (("gather", EXPECTED), ("accumulate", EXPECTED.sum(0))):
        recorder = Recorder()
        evaluate = recorder if verb == "gather" else recorder.summed
        found = getattr(BatchedEvaluator(chunk), verb)(IMAGES, COPIES, evaluate)
        assert torch.equal(found, expected)
        assert recorder.pairs() == EVERY
        if chunk != "auto":
            assert all((c.stop - c.start) * (r.stop - r.start) <= chunk for c, r in recorder.asked)
        if chunk in ("auto", 35, 1000):
            assert len(recorder.asked) == 1


@pytest.mark.parametrize("chunk", ["auto", 9, 34])
@pytest.mark.parametrize("most", [1, 2, 3, 4, 7, 20])
def test_where_memory_runs_out_pieces_are_halved_and_the_result_is_the_same(chunk, most):
    for verb, expected in (("gather", EXPECTED), ("accumulate", EXPECTED.sum(0))):
        recorder, evaluator = Recorder(most), BatchedEvaluator(chunk)
        evaluate = recorder if verb == "gather" else recorder.summed
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            assert torch.equal(getattr(evaluator, verb)(IMAGES, COPIES, evaluate), expected)
        assert recorder.pairs() == EVERY
        assert len(told) == (recorder.failures > 0)  # said once
        if recorder.failures:
            assert evaluator.at_once(IMAGES) <= most
            assert recorder.failures <= 6  # what is known not to fit is not tried
            before = recorder.failures
            assert torch.equal(getattr(evaluator, verb)(IMAGES, COPIES, evaluate), expected)  # says no more
            assert recorder.failures == before


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("could not create a primitive"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 4 bytes"),
    ],
)
def test_what_libraries_call_no_memory(error, collected):
    with pytest.warns(UserWarning, match="memory ran out with 35 model inputs at once: continuing with 17"):
        assert torch.equal(BatchedEvaluator().gather(IMAGES, COPIES, Recorder(20, error)), EXPECTED)
    assert len(collected) == 1  # what the failed forward held is let go, once


def test_a_single_input_that_does_not_fit_is_an_error():
    with (
        pytest.warns(UserWarning, match="memory ran out"),
        pytest.raises(torch.OutOfMemoryError, match="an artificial limit"),
    ):
        BatchedEvaluator().gather(IMAGES, COPIES, Recorder(0))


def test_other_errors_are_left_alone():
    recorder = Recorder(3, RuntimeError("shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        BatchedEvaluator().gather(IMAGES, COPIES, recorder)
    assert recorder.failures == 1


def test_sums_do_not_lose_small_parts():
    parts = torch.tensor([1.0, 1e-8, 1e-8, -1.0])
    found = BatchedEvaluator(1).accumulate(torch.zeros(1, 3, 4, 4), 4, lambda copies, rows: parts[copies])
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.tensor([2e-8]), rtol=1e-6, atol=0)


@pytest.mark.parametrize("most", [10**9, 4, 1])
@pytest.mark.filterwarnings("ignore:memory ran out")
def test_several_tensors_are_evaluated_together(most):
    """Each with its own shape and precision, and halved together."""
    recorder = Recorder(most)

    def both(copies, rows):
        found = recorder(copies, rows)
        return found, found.long().unsqueeze(-1).expand(-1, -1, 2)

    def summed(copies, rows):
        found, pairs = both(copies, rows)
        return found.sum(0).half(), pairs.sum(0)

    gathered = BatchedEvaluator(9).gather(IMAGES, COPIES, both)
    assert isinstance(gathered, tuple)
    assert torch.equal(gathered[0], EXPECTED)
    assert torch.equal(gathered[1], EXPECTED.long().unsqueeze(-1).expand(-1, -1, 2))
    total = BatchedEvaluator(9).accumulate(IMAGES, COPIES, summed)
    assert isinstance(total, tuple)
    assert torch.equal(total[0], EXPECTED.sum(0).half())
    assert torch.equal(total[1], EXPECTED.long().sum(0).unsqueeze(-1).expand(-1, 2))


def test_auto_looks_at_the_size_of_the_images():
    sizes = {side: BatchedEvaluator().at_once(torch.zeros(1, 3, side, side)) for side in (8, 64, 224, 1024)}
    assert sizes == {8: MOST, 64: CPU_PIXELS // 64**2, 224: 8, 1024: FEWEST}
    assert BatchedEvaluator(3).at_once(torch.zeros(1, 3, 8, 8)) == 3
    assert BatchedEvaluator(weight=4).at_once(torch.zeros(1, 3, 64, 64)) == sizes[64] // 4
    assert BatchedEvaluator(3, weight=4).at_once(torch.zeros(1, 3, 8, 8)) == 3


@pytest.mark.parametrize("chunk", [0, -1, 2.5, True, "all", None])
def test_a_chunk_that_is_no_count_is_refused(chunk):
    with pytest.raises(InputError, match=r"chunk is .*: give the number of model inputs at once, 1 or more, or auto"):
        BatchedEvaluator(chunk)


@pytest.mark.parametrize(
    ("build", "few"),
    [
        (attribution.SmoothGrad, {"n_samples": 2}),
        (attribution.IntegratedGradients, {"steps": 2}),
        (attribution.UNI, {"steps": 2}),
        (attribution.RISE, {"n_samples": 4}),
    ],
)
def test_the_predicted_classes_are_found_in_pieces_as_well(build, few):
    model, most = tiny.resnet(), []
    model.model.get_classifier().register_forward_pre_hook(lambda _, inputs: most.append(len(inputs[0])))
    build(chunk=2, **few).explain(model, tiny.images(5, (64, 64)))
    assert max(most) == 2
