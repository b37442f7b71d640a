import warnings
from dataclasses import replace
from functools import partial

import pytest
import torch
from safetensors.torch import save_file

from lit_coiba.bottlenecks import IBA, CoIBA, LeakTest, estimate_statistics
from lit_coiba.bottlenecks.statistics import ActivationStatistics, StatisticsSlot, images_of
from lit_coiba.core.batch import Batch
from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from tests._testers import tiny

LAYERS = ["blocks.1.norm1", "blocks.3"]
LEAK = LeakTest({"blocks.1.norm1": 0.125, "blocks.0.norm1": 1 / 3}, 0.1, 200, ("blocks.1.norm1",))


@pytest.fixture(scope="module")
def model():
    return tiny.vit()


@pytest.fixture(scope="module")
def images(model):
    return tiny.images(23, model.preprocessing.size, seed=6)


@pytest.fixture(scope="module")
def statistics(model, images):
    return estimate_statistics(model, LAYERS, [images])


def recorded(model, images, layer):
    """All activations of a layer, ``(images, *activation)``, from a hook."""
    found = []
    handle = model.model.get_submodule(layer).register_forward_hook(lambda m, a, output: found.append(output))
    with torch.no_grad():
        model(images)
    handle.remove()
    return found[0]


@pytest.mark.parametrize("sizes", [[23], [1, 22], [7, 7, 7, 2], [1] * 23])
def test_coiba_11_and_iba_7_any_batches_give_the_two_pass_values(images, sizes):
    model = tiny.vit().double()
    statistics = estimate_statistics(model, LAYERS, images.double().split(sizes))
    assert statistics.count == 23
    for layer in LAYERS:
        samples = recorded(model, images.double(), layer)
        assert statistics.mean[layer].dtype == torch.float32  # what is kept; the sums are in fp64
        torch.testing.assert_close(statistics.mean[layer], samples.mean(0).float(), rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(statistics.std[layer], samples.std(0).float(), rtol=1e-6, atol=1e-7)


def test_share_of_samples_in_which_a_unit_is_not_zero():
    model = tiny.resnet(act_layer="relu")
    images = tiny.images(30, model.preprocessing.size)
    statistics = estimate_statistics(model, ["layer2.1"], images.split(8))
    expected = (recorded(model, images, "layer2.1") != 0).float().mean(0)
    torch.testing.assert_close(statistics.active["layer2.1"], expected)
    assert 0 < expected.mean() < 1


@pytest.mark.parametrize("kind", ["tensors", "tuples", "lists", "batches", "generator"])
def test_any_loader_will_do(model, images, statistics, kind):
    parts = images.split(10)
    loader = {
        "tensors": parts,
        "tuples": [(part, torch.zeros(len(part))) for part in parts],
        "lists": [[part, "label"] for part in parts],
        "batches": [
            Batch(part, tuple(map(str, range(len(part)))), torch.zeros(len(part)), k) for k, part in enumerate(parts)
        ]
        + [Batch(torch.empty(0, 3, 32, 32), (), torch.empty(0), 3)],  # a block of which nothing could be read
        "generator": (part for part in parts),
    }[kind]
    found = estimate_statistics(model, LAYERS, loader)
    assert found.count == 23
    torch.testing.assert_close(found.std["blocks.3"], statistics.std["blocks.3"])


@pytest.mark.parametrize("batch", [{"image": torch.zeros(1)}, "path.png", ("path.png",), ()])
def test_a_loader_of_something_else_is_refused(batch):
    with pytest.raises(InputError, match=f"the loader yields {type(batch).__name__}: make it yield image tensors"):
        list(images_of([batch]))


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_images_are_refused(model, images, count):
    with pytest.raises(InputError, match="at least two images"):
        estimate_statistics(model, LAYERS, [images[:count]])


def test_the_model_is_left_as_it_was(images):
    model = tiny.resnet().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.inference_mode():
        estimate_statistics(model, ["layer2.1"], [tiny.images(4, model.preprocessing.size)])
    assert all(module.training for module in model.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("leak", [None, LEAK])
def test_save_and_load(statistics, tmp_path, leak):
    saved = replace(statistics, leak=leak)
    file = tmp_path / "folder" / "statistics.safetensors"
    saved.save(file)
    loaded = ActivationStatistics.load(file)
    assert (loaded.layers, loaded.count, loaded.leak) == (LAYERS, 23, leak)
    for part in ("mean", "std", "active"):
        for layer in LAYERS:
            assert torch.equal(getattr(loaded, part)[layer], getattr(saved, part)[layer])
    assert loaded.digest() == saved.digest()
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_file_that_could_not_be_written_leaves_the_one_before(statistics, tmp_path, monkeypatch):
    file = tmp_path / "statistics.safetensors"
    statistics.save(file)
    before = file.read_bytes()

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace(statistics, count=24).save(file)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_save_of_activations_in_another_memory_layout(tmp_path):
    model = tiny.resnet().to(memory_format=torch.channels_last)
    images = tiny.images(5, model.preprocessing.size).to(memory_format=torch.channels_last)
    statistics = estimate_statistics(model, ["layer2.1"], [images])
    statistics.save(tmp_path / "file")
    assert ActivationStatistics.load(tmp_path / "file").digest() == statistics.digest()


def test_the_digest_changes_with_the_content(statistics):
    other = {layer: mean.clone() for layer, mean in statistics.mean.items()}
    other["blocks.3"][0, 0] += 1e-6
    variants = [
        statistics,
        replace(statistics, mean=other),
        replace(statistics, std=other),
        replace(statistics, active=other),
        replace(statistics, count=24),
        replace(statistics, model="another"),
        replace(statistics, preprocessing="{}"),
        replace(statistics, leak=LEAK),
        replace(statistics, leak=LEAK._replace(chance=0.2)),
    ]
    assert len({variant.digest() for variant in variants}) == len(variants)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.safetensors does not exist"):
        ActivationStatistics.load(tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize("kind", ["foreign", "torn", "text", "pickle", "older", "not a header"])
def test_a_foreign_file_is_refused(statistics, tmp_path, kind):
    file = tmp_path / "statistics.safetensors"
    statistics.save(file)
    if kind == "torn":
        file.write_bytes(file.read_bytes()[:-100])
    elif kind == "text":
        file.write_text("mean: 0")
    elif kind == "pickle":
        torch.save({"mean": torch.zeros(2)}, file)
    else:
        headers = {"older": {"lit_coiba.statistics": '{"layers": []}'}, "not a header": {"lit_coiba.statistics": "[1]"}}
        save_file({"weight": torch.zeros(2)}, file, metadata=headers.get(kind))
    with pytest.raises(InputError, match=r"statistics\.safetensors (was not written by this version|cannot be read)"):
        ActivationStatistics.load(file)


def test_statistics_of_another_model_are_refused(statistics):
    other = tiny.vit(seed=1)
    digests = f"digest {statistics.model[:12]}, not {other.digest()[:12]}"
    sentence = f"belong to another model or other weights \\({digests}\\): estimate them"
    with pytest.raises(InputError, match=sentence):
        statistics.check(other)


def test_statistics_of_another_preprocessing_are_refused(statistics):
    other = tiny.vit()
    other.preprocessing = Preprocessing((32, 32), mean=(0.1, 0.2, 0.3))
    with pytest.raises(
        InputError, match=r"were estimated with another preprocessing \(\{.*0\.1, 0\.2, 0\.3.*estimate them"
    ):
        statistics.check(other)


def test_missing_layers_are_refused(statistics):
    statistics.require(LAYERS)
    sentence = (
        r"lack the layers \['blocks.9'\]; they have \['blocks.1.norm1', 'blocks.3'\]: estimate them for the missing"
    )
    with pytest.raises(InputError, match=sentence):
        statistics.require(["blocks.3", "blocks.9"])


def test_a_file_is_read_and_checked_once_per_model(model, statistics, tmp_path, monkeypatch):
    file = str(tmp_path / "statistics.safetensors")
    statistics.save(file)
    slot = StatisticsSlot(file)
    first = slot.of(model)
    monkeypatch.setattr(type(model), "digest", lambda self: pytest.fail("the weights are hashed again"))
    assert slot.of(model) is first
    monkeypatch.undo()
    with pytest.raises(InputError, match=f"{file} belong to another model"):
        slot.of(tiny.vit(seed=1))
    assert slot.of(model) is first


def test_a_model_that_was_trained_on_is_another_model(statistics):
    model = tiny.vit()
    slot = StatisticsSlot(None)
    slot.fill(model, tiny.statistics(model, LAYERS))
    slot.of(model)
    with torch.no_grad():
        model.model.head.bias += 1e-3
    with pytest.raises(InputError, match="belong to another model"):
        slot.of(model)


@pytest.mark.parametrize("method", [CoIBA, partial(IBA, smoothing=0.0)], ids=["coiba", "iba"])
def test_prepare_takes_given_statistics_and_reads_the_loader_for_the_leak_test_only(method, model, images, tmp_path):
    file = str(tmp_path / "statistics.safetensors")
    layers = method().statistics_layers(model)
    given = replace(tiny.statistics(model, layers), leak=None)
    given.save(file)
    prepared = method(statistics=file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a random model leaks
        prepared.prepare(model, [images[:4], images[4:8]])
        used = prepared._slot.of(model)
        assert (used.count, used.leak.images) == (given.count, 8)
        given.with_leak(used.leak).save(file)
        prepared.prepare(model, iter(lambda: pytest.fail("the loader is read"), None))


def test_a_method_reads_its_statistics_from_a_file(model, images, tmp_path):
    file = str(tmp_path / "statistics.safetensors")
    tiny.statistics(model, LAYERS[:1]).save(file)
    prepared = CoIBA(LAYERS[:1], steps=3, copies=2)
    prepared.set_statistics(model, tiny.statistics(model, LAYERS[:1]), ())
    from_file = CoIBA(statistics=file, steps=3, copies=2)  # the bottleneck layers are those of the file
    assert torch.equal(from_file.explain(model, images[:2]).maps, prepared.explain(model, images[:2]).maps)
