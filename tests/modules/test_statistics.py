import copy

import pytest
import torch
from safetensors.torch import load_file

from lit_coiba.core.batch import Batch
from lit_coiba.core.errors import InputError
from lit_coiba.data.blocks import BlockDataset, BlockSampler
from lit_coiba.functional import Moments
from lit_coiba.modules.statistics import ChunkedStatistics, StatisticsModule
from lit_coiba.store.chunks import CHUNKS
from tests._testers import tiny
from tests._testers.runs import NoisePictures

pytestmark = pytest.mark.filterwarnings("ignore:.*images are noisy")

LAYERS = ["blocks.1.norm1", "blocks.3.norm1"]
BLOCK = 3


@pytest.fixture(scope="module")
def model():
    return tiny.vit()


@pytest.fixture(scope="module")
def blocks(model):
    """40 blocks of 3 pictures, a few of which cannot be read: all those of block 5, one of block 6."""
    pictures = NoisePictures(40 * BLOCK, broken={15, 16, 17, 20})
    dataset = BlockDataset(pictures, model.preprocessing, BLOCK)
    return [dataset[k] for k in range(len(dataset))]


def run(model, chunks, blocks, numbers):
    module = StatisticsModule(model, chunks)
    for number in numbers:
        module.predict_step(blocks[number])


def contents(chunks):
    return {file.name: file.read_bytes() for file in chunks.folder.iterdir()}


@pytest.fixture(scope="module")
def straight(model, blocks, tmp_path_factory):
    chunks = ChunkedStatistics(tmp_path_factory.mktemp("straight") / "parts", range(40), LAYERS)
    run(model, chunks, blocks, chunks.missing())
    return chunks


def test_chunks_hold_every_block_once_in_order():
    for count in (1, 2, 15, 16, 17, 100, 1250):
        chunks = ChunkedStatistics("unused", range(0, 3 * count, 3), LAYERS)
        assert [block for chunk in chunks.chunks for block in chunk] == list(range(0, 3 * count, 3))
        assert len(chunks.chunks) <= CHUNKS
        assert {len(chunk) for chunk in chunks.chunks[:-1]} <= {chunks.length}
        assert 1 <= len(chunks.chunks[-1]) <= chunks.length
        ends = {chunk[-1]: number for number, chunk in enumerate(chunks.chunks)}
        assert all(chunks.ended_by(block) == ends.get(block) for chunk in chunks.chunks for block in chunk)


def test_moments_are_those_of_all_readable_images(model, blocks, straight):
    """Against one pass over everything, with hooks on the plain model in fp64."""
    images = torch.cat([batch.images for batch in blocks]).double()
    assert len(images) == 40 * BLOCK - 4
    seen = {}
    twin = copy.deepcopy(model.model).double().eval()
    for layer in LAYERS:
        twin.get_submodule(layer).register_forward_hook(lambda m, a, output, layer=layer: seen.update({layer: output}))
    with torch.no_grad():
        twin(images)
    merged = straight.merged()
    for layer in LAYERS:
        assert merged[layer].size == len(images)
        torch.testing.assert_close(merged[layer].mean, seen[layer].mean(0), rtol=0, atol=1e-5)
        torch.testing.assert_close(merged[layer].std(), seen[layer].std(0), rtol=1e-4, atol=1e-6)
    statistics = straight.statistics(model)
    assert statistics.count == len(images)
    assert statistics.layers == LAYERS
    torch.testing.assert_close(statistics.std[LAYERS[1]].double(), seen[LAYERS[1]].std(0), rtol=1e-4, atol=1e-6)


def test_a_stopped_pass_goes_on_chunk_by_chunk_to_the_same_bytes(model, blocks, straight, tmp_path):
    chunks = ChunkedStatistics(tmp_path / "parts", range(40), LAYERS)
    run(model, chunks, blocks, range(10))  # three whole chunks, and one block of the fourth
    assert sorted(contents(chunks)) == ["000.safetensors", "001.safetensors", "002.safetensors"]
    again = ChunkedStatistics(tmp_path / "parts", range(40), LAYERS)
    assert again.missing() == list(range(9, 40))
    run(model, again, blocks, again.missing())
    assert again.missing() == []
    assert contents(again) == contents(straight)


@pytest.mark.parametrize("ranks", [2, 3, 20])
def test_chunks_dealt_to_processes_give_the_same_bytes(model, blocks, straight, tmp_path, ranks):
    chunks = ChunkedStatistics(tmp_path / "parts", range(40), LAYERS)
    missing = chunks.missing()
    shares = [list(BlockSampler(missing, chunks.length, ranks, rank)) for rank in range(ranks)]
    assert sorted(block for share in shares for block in share) == missing
    for share in reversed(shares):  # the last process is the fastest
        run(model, chunks, blocks, share)
    assert contents(chunks) == contents(straight)
    assert chunks.statistics(model).digest() == straight.statistics(model).digest()


def test_a_chunk_without_a_readable_image_counts_as_done_and_adds_nothing(model, blocks, tmp_path):
    chunks = ChunkedStatistics(tmp_path / "parts", [4, 5], LAYERS)
    run(model, chunks, blocks, [4, 5])
    assert chunks.missing() == []
    assert load_file(tmp_path / "parts" / "001.safetensors") == {}
    assert chunks.statistics(model).count == 3


def test_fewer_than_two_images_are_refused_and_the_pass_can_be_repeated(model, blocks, tmp_path):
    chunks = ChunkedStatistics(tmp_path / "parts", [5], LAYERS)
    run(model, chunks, blocks, [5])
    with pytest.raises(InputError, match="at least two readable images, but the data have 0"):
        chunks.statistics(model)
    assert chunks.missing() == [5]
    one = blocks[6]
    run(model, chunks, [None] * 5 + [Batch(one.images[:1], one.ids[:1], one.labels[:1], 5)], [5])
    with pytest.raises(InputError, match="but the data have 1"):
        chunks.statistics(model)


def test_few_images_are_warned_about(model, straight):
    with pytest.warns(UserWarning, match="activation statistics of only 116 images are noisy .*: use 200 or more"):
        straight.statistics(model)


def test_a_write_that_fails_leaves_no_file(tmp_path, monkeypatch):
    chunks = ChunkedStatistics(tmp_path / "parts", [0], LAYERS)
    moments = {layer: Moments.of(torch.ones(2, 3)) for layer in LAYERS}

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        chunks.write(0, moments)
    assert contents(chunks) == {}
    assert chunks.missing() == [0]


def test_removing_chunks_that_another_run_has_removed_is_no_error(tmp_path):
    chunks = ChunkedStatistics(tmp_path / "parts", [0], LAYERS)
    chunks.remove()
    chunks.write(0, {})
    chunks.remove()
    assert not (tmp_path / "parts").exists()


def test_the_model_is_left_alone(blocks, tmp_path):
    model = tiny.vit().train()
    flags = [m.training for m in model.modules()]
    run(model, ChunkedStatistics(tmp_path / "parts", [0], LAYERS), blocks, [0])
    assert [m.training for m in model.modules()] == flags
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
