"""What is to be visualized, in words: what they choose, and one sentence for what is not there."""

import numpy as np
import pytest

from lit_coiba.core.errors import InputError
from lit_coiba.core.targets import Class
from lit_coiba.feature_visualization.chosen import chosen_things
from tests._testers import tiny
from tests._testers.visualizing import concepts_of


@pytest.fixture(scope="module")
def model():
    model = tiny.resnet()
    model.class_names = [f"kind {k}" for k in range(model.num_classes - 1)] + ["tench"]
    return model


def keys(model, **words):
    return [one.key for one in chosen_things(model, **words)]


def test_nothing_is_all_classes(model):
    last = model.num_classes - 1
    found = chosen_things(model)
    assert [one.key for one in found] == [f"class_{k:05d}" for k in range(model.num_classes)]
    assert (found[-1].kind, found[-1].cls, found[-1].name) == ("class", last, "tench")
    assert keys(model, classes=["all"]) == [one.key for one in found]


def test_classes_go_by_number_range_and_name(model):
    last = f"class_{model.num_classes - 1:05d}"
    assert keys(model, classes=["1-3", "0", "tench", "2", "class:Tench"]) == [
        *("class_00001", "class_00002", "class_00003", "class_00000", last)
    ]
    assert keys(model, classes=[3]) == ["class_00003"]


def test_channels_and_neurons_go_by_layer(model):
    assert keys(model, channels=["layer1:0-1,5", "layer2:2"]) == [
        *("channel_layer1_0000", "channel_layer1_0001", "channel_layer1_0005", "channel_layer2_0002")
    ]
    assert len(keys(model, channels=["layer2:all"])) == model.grid("layer2").channels
    assert keys(model, neurons=["layer1:3@1,2", "layer1:3"]) == ["neuron_layer1_0003_1_2", "neuron_layer1_0003"]
    place, middle = (one.objective for one in chosen_things(model, neurons=["layer1:3@1,2", "layer1:3"]))
    assert (place.row, place.column, middle.row) == (1, 2, None)


def test_units_have_a_side_each():
    model = tiny.infodisent()
    assert keys(model, units=["3"]) == ["unit_0003", "unit_0003_negative"]
    assert len(keys(model, units=["all"])) == 2 * model.head.units
    assert [one.side for one in chosen_things(model, units=["1"])] == [1, -1]


def test_concepts_are_read_from_files_and_folders(model, tmp_path):
    first, second = concepts_of(model, "layer2", 1, 2), concepts_of(model, "layer2", 3, 3)
    first.save(tmp_path / "classes/00001/concepts.safetensors")
    second.save(tmp_path / "classes/00003/concepts.safetensors")
    found = chosen_things(model, concepts=[str(tmp_path)])
    wanted = [f"concept_00001_0{k}" for k in range(2)] + [f"concept_00003_0{k}" for k in range(3)]
    assert [one.key for one in found] == wanted
    assert [(one.cls, one.concept, one.layer) for one in found][:3] == [
        *((1, 0, "layer2"), (1, 1, "layer2"), (3, 0, "layer2"))
    ]
    assert found[0].name == "kind 1, concept 0"
    assert keys(model, concepts=[first, tmp_path / "classes/00003/concepts.safetensors"]) == wanted


def test_other_concepts_of_the_same_class_have_names_of_their_own(model):
    one, other = concepts_of(model, "layer2", 1, 2), concepts_of(model, "layer1", 1, 2)
    found = keys(model, concepts=[one, other, one])
    assert len(set(found)) == len(found) == 4
    assert found[:2] == ["concept_00001_00", "concept_00001_01"]
    assert all(key.startswith("concept_00001_0") for key in found)


def test_targets_and_embeddings(model, tmp_path):
    np.save(tmp_path / "two.npy", np.eye(2, 32, dtype=np.float32))
    found = chosen_things(model, embeddings=[str(tmp_path / "two.npy")])
    assert [one.key for one in found] == ["embedding_two_0000", "embedding_two_0001"]
    assert found[1].objective.vector[:3] == [0.0, 1.0, 0.0]
    logit, probability = (chosen_things(model, targets=[Class(2, score=score)])[0] for score in ("logit", "prob"))
    assert logit.key.startswith("target_class-2_")
    assert (logit.kind, logit.cls) == ("target", 2)
    assert logit.key != probability.key
    assert logit.of != probability.of


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"classes": ["99"]}, "class 99 does not exist: the classes are 0 to"),
        ({"classes": ["3-1"]}, "the range 3-1 is empty"),
        ({"classes": ["goldfish"]}, "class 'goldfish' does not exist: the nearest names are"),
        ({"classes": ["predicted"]}, "classes has 'predicted': give numbers or names"),
        ({"channels": ["layer2:99"]}, "channel 99 does not exist: the channels of layer2 are 0 to"),
        ({"channels": ["layer2"]}, "channels has 'layer2': write LAYER:CHANNELS"),
        ({"channels": ["layer2:"]}, "channels has 'layer2:': write LAYER:CHANNELS"),
        ({"channels": ["layer2:x"]}, "channels has 'layer2:x'"),
        ({"channels": ["nowhere:1"]}, "nowhere"),
        ({"neurons": ["layer2:1@2"]}, "neurons has 'layer2:1@2': write LAYER:CHANNEL"),
        ({"units": ["0"]}, "this model has none: train one with model.head"),
        ({"concepts": ["missing.safetensors"]}, "missing.safetensors"),
        ({"embeddings": ["missing.npy"]}, "embeddings: missing.npy cannot be read"),
        ({"targets": ["top3"]}, "there is no image yet"),
    ],
)
def test_what_is_not_there_is_one_sentence(model, words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=said) as told:
        chosen_things(model, **words)
    assert "\n" not in str(told.value)


def test_units_and_embeddings_that_are_none(tmp_path):
    with pytest.raises(InputError, match="unit 99 does not exist"):
        chosen_things(tiny.infodisent(), units=["99"])
    with pytest.raises(InputError, match="units has 'many': give numbers of units"):
        chosen_things(tiny.infodisent(), units=["many"])
    np.save(tmp_path / "deep.npy", np.zeros((2, 3, 4), np.float32))
    with pytest.raises(InputError, match=r"its shape is \(2, 3, 4\)"):
        chosen_things(tiny.resnet(), embeddings=[str(tmp_path / "deep.npy")])


def test_a_folder_without_concepts(model, tmp_path):
    with pytest.raises(InputError, match="has no file of concepts"):
        chosen_things(model, concepts=[str(tmp_path)])


def test_concepts_of_another_model(model, tmp_path):
    concepts_of(tiny.swin(), "layers.0").save(tmp_path / "concepts.safetensors")
    with pytest.raises(InputError, match="belong to another model"):
        chosen_things(model, concepts=[str(tmp_path)])


def test_nothing_to_choose_from():
    class Bare:
        num_classes = 0

    with pytest.raises(InputError, match="nothing is chosen, and the model has no classes"):
        chosen_things(Bare())
