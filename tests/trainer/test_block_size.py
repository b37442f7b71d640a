"""A batch size of its own: chosen from the memory there is, told, kept where a store goes on, and in no identity."""

import pytest
import torch
from torch import nn

from lit_coiba import Backbone, GradCAM
from lit_coiba.attribution import RISE, Saliency
from lit_coiba.core.batched_evaluator import BatchedEvaluator
from lit_coiba.core.errors import InputError
from lit_coiba.core.memory import available_memory, memory_of_an_image
from lit_coiba.modules.explainer import Explainer
from lit_coiba.store import ExplanationStore
from lit_coiba.trainer import block_size
from lit_coiba.training import Classifier
from tests._testers import tiny
from tests._testers.runs import NoiseData, Shade, make_trainer

MEGABYTE = 1_000_000


@pytest.fixture
def memory(monkeypatch):
    """Sets how much memory there is, where each image takes a megabyte."""
    monkeypatch.setattr(block_size, "memory_of_an_image", lambda model, size: MEGABYTE)

    def has(megabytes):
        monkeypatch.setattr(block_size, "available_memory", lambda device: megabytes * MEGABYTE)

    return has


@pytest.fixture(scope="module")
def model():
    return tiny.vit()


def explain(model, folder, batch_size="auto", method=None, **arguments):
    data = NoiseData(20, batch_size, **arguments)
    store = make_trainer().explain(Explainer(model, method or Shade()), data, str(folder))
    assert data.batch_size == batch_size
    return store


@pytest.mark.parametrize(
    ("device", "pixels", "images", "block"),
    [
        ("cpu", 224 * 224, None, 8),  # a CPU is slower with more, whatever the memory
        ("cpu", 224 * 224, 5, 4),
        ("cpu", 224 * 224, 1, 1),
        ("cpu", 64 * 64, 1000, 64),
        ("cpu", 32 * 32, 10**6, 128),
        ("cuda", 224 * 224, 10**6, 128),
        ("cuda", 224 * 224, 100, 64),
    ],
)
def test_the_choice_is_a_power_of_two_that_is_fast_and_fits(device, pixels, images, block):
    fastest = block_size.most_at_once(pixels, torch.device(device))
    assert block_size.Room(images, fastest).block == block


def test_blocks_are_as_many_images_as_fit_in_half_the_memory(model, memory, tmp_path):
    memory(8)
    store = explain(model, tmp_path / "s")
    assert store.manifest.identity["block_size"] == 4
    assert len(store) == 20


def test_a_store_that_goes_on_keeps_its_blocks_whatever_the_memory(model, memory, tmp_path):
    memory(8)
    with pytest.raises(RuntimeError, match="power"):
        explain(model, tmp_path / "s", method=Shade(fails_at=9))
    half = ExplanationStore(tmp_path / "s")
    assert 0 < len(half) < 20
    memory(64)
    store = explain(model, tmp_path / "s")
    assert len(store) == 20
    assert store.manifest.identity["block_size"] == 4
    other = explain(model, tmp_path / "other")
    assert other.manifest.identity["block_size"] == 32
    assert other.digest() == store.digest()


def test_the_identity_is_that_of_the_number(model, memory, tmp_path):
    memory(8)
    chosen, given = explain(model, tmp_path / "s"), explain(model, tmp_path / "t", 4)
    assert chosen.manifest.identity == given.manifest.identity
    assert len(explain(model, tmp_path / "s", 4)) == 20  # and so each goes on as the other


def test_the_choice_is_told(memory, tmp_path, monkeypatch, command):
    memory(8)
    words = "explain -c configs/model/synthetic_parts_cnn.yaml --data SyntheticParts --data.batch_size auto --limit 8"
    words += " --data.num_workers 0 --trainer.accelerator cpu --store s --pictures false --model.method "
    outcome = command(*words.split(), "Saliency")
    assert outcome.status == 0
    assert "on 1 CPU process; data.batch_size auto = 4\n" in outcome.err
    outcome = command(*words.replace("--store s", "--store t").split(), "RISE", "--model.method.n_samples", "8")
    assert outcome.status == 0
    assert "data.batch_size auto = 4; chunk auto = 4 model inputs at most, by the memory there is" in outcome.err


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    from tests.cli.conftest import Outcome, main

    monkeypatch.chdir(tmp_path)

    def run(*words):
        capsys.readouterr()
        return Outcome(main(list(words)), *capsys.readouterr())

    return run


def test_a_chunk_of_auto_keeps_to_the_memory_and_a_number_does_not():
    images = torch.zeros(2, 3, 224, 224)
    automatic, given, heavy = BatchedEvaluator(), BatchedEvaluator(16), BatchedEvaluator(weight=2)
    before = heavy.at_once(images)
    for one in (automatic, given, heavy):
        one.has_room(6)
    assert [one.at_once(images) for one in (automatic, given, heavy)] == [6, 16, 3]
    for one in (automatic, heavy):
        one.has_room(None)
    assert [automatic.at_once(images), heavy.at_once(images)] == [8, before]


def test_methods_without_pieces_take_it_too():
    for method in (GradCAM(), Saliency(), RISE()):
        method.has_room(4)
        method.has_room(None)


def test_a_training_needs_a_number():
    classifier = Classifier(Backbone("resnet10t", num_classes=10, image_size=32))
    with pytest.raises(InputError, match=r"batch_size is auto, .* a training needs a number"):
        make_trainer(max_epochs=1).fit(classifier, datamodule=NoiseData(8, "auto"))


def test_other_words_are_refused():
    with pytest.raises(InputError, match="batch_size is 'all': give a whole number"):
        NoiseData(8, "all")


def test_the_memory_of_an_image_is_that_of_what_autograd_keeps():
    class Squares(nn.Module):
        """Keeps what it squares: 3 x 8 x 8 numbers, three times."""

        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3, 1, 1))

        def forward(self, images):
            for _ in range(3):
                images = (images + 1).square()
            return (self.weight * images).mean((-2, -1))

    model = Squares()
    numbers = 3 * 8 * 8 * 4
    assert memory_of_an_image(model, (8, 8)) == max(2 * 3 * numbers, 16 * numbers)
    many = nn.Sequential(*(nn.Sigmoid() for _ in range(30)))
    assert memory_of_an_image(many, (8, 8)) == 2 * 30 * numbers


def test_there_is_some_memory():
    assert 0 < available_memory(torch.device("cpu")) < 2**50


def test_memory_of_a_gpu_counts_what_torch_holds_and_does_not_use(monkeypatch):
    told = {"mem_get_info": (500, 1000), "memory_reserved": 300, "memory_allocated": 100}
    for name, value in told.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    assert available_memory(torch.device("cuda")) == 700
