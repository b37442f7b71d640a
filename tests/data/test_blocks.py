import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import distributed
from torch.utils.data import DistributedSampler

from lit_coiba.core.batch import Batch, Failure
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data.blocks import BlockDataset, BlockSampler, count_blocks
from lit_coiba.data.transforms import Transform
from tests._testers.pictures import Pictures

SMALL = Preprocessing((8, 8), 1.0, "nearest")


@given(st.integers(0, 300), st.integers(1, 40))
def test_there_are_as_many_blocks_as_chunks(samples, size):
    assert count_blocks(samples, size) == len([range(samples)[i : i + size] for i in range(0, samples, size)])


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 30), st.integers(1, 12), st.sets(st.integers(0, 29), max_size=5))
def test_blocks_hold_every_sample_once_in_order(samples, size, broken):
    pictures = Pictures(samples, broken)
    blocks = BlockDataset(pictures, SMALL, size)
    for number in range(len(blocks)):
        batch = blocks[number]
        expected = range(number * size, min((number + 1) * size, samples))
        assert batch.block == number
        assert batch.ids == tuple(pictures.ids[i] for i in expected if i not in broken)
        assert batch.failures == tuple(Failure(pictures.ids[i], "the file is torn") for i in expected if i in broken)
        assert batch.labels.tolist() == [i % 3 for i in expected if i not in broken]
        assert batch.images.shape == (len(batch.ids), 3, 8, 8)
        assert (batch.images.dtype, batch.labels.dtype) == (torch.float32, torch.int64)


def test_images_are_those_of_the_transform_whatever_the_block_size():
    pictures, transform = Pictures(5), Transform(SMALL)
    for size in (1, 2, 5):
        blocks = BlockDataset(pictures, SMALL, size)
        images = torch.cat([blocks[number].images for number in range(len(blocks))])
        expected = torch.stack([transform(pictures.image(i)) for i in range(5)])
        torch.testing.assert_close(images, expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError("torn\nTraceback"), "torn"),
        (KeyError("x"), "KeyError: 'x'"),
        (MemoryError(), "MemoryError"),
        (ValueError("too long"), "too long"),
    ],
)
def test_whatever_is_raised_becomes_a_failure(error, reason):
    assert BlockDataset(Pictures(2, {1}, error=error), SMALL, 2)[0].failures == (Failure("picture_0001", reason),)


@pytest.mark.parametrize("number", [-1, 3])
def test_a_block_that_does_not_exist_is_refused(number):
    with pytest.raises(IndexError, match=f"block {number} of 3"):
        BlockDataset(Pictures(5), SMALL, 2)[number]


def test_the_dataset_travels_to_a_spawned_worker():
    blocks = pickle.loads(pickle.dumps(BlockDataset(Pictures(3), SMALL, 2)))
    assert isinstance(blocks[1], Batch)
    assert blocks[1].ids == ("picture_0002",)


@given(st.lists(st.integers(0, 999), unique=True, max_size=60), st.integers(1, 7))
def test_ranks_share_the_blocks_and_none_is_made_up(blocks, ranks):
    samplers = [BlockSampler(blocks, 1, ranks, rank) for rank in range(ranks)]
    dealt = [list(sampler) for sampler in samplers]
    assert sorted(block for part in dealt for block in part) == sorted(blocks)
    assert [len(sampler) for sampler in samplers] == [len(part) for part in dealt]
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1
    assert [dealt[i % ranks][i // ranks] for i in range(len(blocks))] == blocks  # in turn


def test_sampler_is_what_lightning_leaves_alone_and_epochs_change_nothing():
    sampler = BlockSampler([5, 2, 9])
    assert isinstance(sampler, DistributedSampler)
    sampler.set_epoch(3)
    assert list(sampler) == [5, 2, 9]


def test_sampler_asks_torch_distributed(monkeypatch):
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 3)
    monkeypatch.setattr(distributed, "get_rank", lambda: 2)
    assert list(BlockSampler(range(8))) == [2, 5]
