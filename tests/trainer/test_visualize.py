"""The verb `visualize`: an image for each thing, in place as soon as it is done, and nothing done twice."""

import json

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lit_coiba.core.errors import InputError
from lit_coiba.data.transforms import Transform
from lit_coiba.feature_visualization import MACO, FourierBaseline, TargetScore, VisualizationRun
from lit_coiba.feature_visualization.held_out import held_out_crops
from lit_coiba.functional import frechet_distance
from lit_coiba.modules.visualization import VisualizationModule
from lit_coiba.trainer.visualization_work import VisualizationWork
from tests._testers import tiny
from tests._testers.model_state import disturb, state
from tests._testers.runs import NoiseData, make_trainer
from tests._testers.visualizing import FEW, concepts_of, content, visualize


@pytest.fixture(scope="module")
def model():
    return tiny.resnet()


def optimized(monkeypatch):
    """Names of what is optimized, batch by batch."""
    seen, real = [], MACO.visualize

    def watched(self, model, objectives, tell=None):
        seen.append([one.name for one in objectives])
        return real(self, model, objectives, tell)

    monkeypatch.setattr(MACO, "visualize", watched, raising=False)
    return seen


def test_each_image_is_the_one_that_the_visualizer_makes(model, tmp_path):
    found = visualize(model, tmp_path / "v", classes=["0-2"], batch_size=2)
    assert [(item.key, item.cls, item.kind) for item in found.items] == [
        (f"class_0000{k}", k, "class") for k in range(3)
    ]
    for item in found.items:
        wanted = MACO(**FEW).visualize(model, item.cls)
        assert (item.method, item.steps, item.name) == ("MACO", 3, f"class {item.cls}")
        assert item.score_last == pytest.approx(float(wanted.scores[0, -1]), abs=1e-4)
        assert item.score_first == pytest.approx(float(wanted.scores[0, 0]), abs=1e-4)
        assert item.magnitude_error < 1e-5
        picture = np.asarray(found.picture(item.key)) / 255
        assert np.abs(picture - wanted.stretched()[0].permute(1, 2, 0).numpy()).mean() < 0.05
        opacity = np.asarray(found.transparency(item.key))[..., 3] / 255
        assert np.abs(opacity - wanted.alpha[0].numpy()).max() < 0.02
        with torch.no_grad():
            crops = model.normalize(held_out_crops(wanted.images, model.preprocessing.size))
            logits, features = model(crops)[:, item.cls], model.features(crops).mean((-2, -1)).mean(0)
        assert item.held_out == pytest.approx(float(logits.mean()), abs=1e-3)
        assert torch.allclose(found.features(item.key), features, atol=1e-3)


def test_the_same_call_again_does_nothing_and_more_things_are_added(model, tmp_path, monkeypatch):
    visualize(model, tmp_path / "v", classes=["0-2"])
    before, seen = content(tmp_path / "v"), optimized(monkeypatch)
    visualize(model, tmp_path / "v", classes=["0-2"], batch_size=1)
    assert seen == []
    assert content(tmp_path / "v") == before
    found = visualize(model, tmp_path / "v", classes=["1-3"], channels=["layer2:4"])
    assert seen == [["class 3", "layer2, channel 4"]]
    assert len(found) == 5
    assert before.items() <= content(tmp_path / "v").items()


def test_things_of_all_kinds(tmp_path):
    model = tiny.infodisent()
    layer = model.layers()[0]
    np.save(tmp_path / "point.npy", np.ones(model.feature_channels, np.float32))
    concepts = concepts_of(model, layer)
    found = visualize(
        model,
        tmp_path / "v",
        classes=["1"],
        channels=[f"{layer}:0"],
        neurons=[f"{layer}:1"],
        concepts=[concepts],
        units=["2"],
        targets=["1"],
        embeddings=[str(tmp_path / "point.npy")],
        batch_size=20,
    )
    kinds = [item.kind for item in found.items]
    assert sorted(kinds) == sorted(
        ["class", "channel", "neuron", "concept", "concept", "unit", "unit", "target", "embedding"]
    )
    assert [item.side for item in found.items if item.kind == "unit"] == [1, -1]
    one = found["concept_00001_01"]
    assert (one.cls, one.concept, one.layer) == (1, 1, layer)


def test_a_run_that_fails_keeps_what_is_done(model, tmp_path, monkeypatch):
    straight = content(visualize(model, tmp_path / "straight", classes=["0-4"], batch_size=2).path)
    with monkeypatch.context() as patch:
        seen, real = [], VisualizationWork._do

        def failing(self, batch, tell):
            if len(seen) == 1:
                raise RuntimeError("the power went out")
            seen.append(1)
            real(self, batch, tell)

        patch.setattr(VisualizationWork, "_do", failing)
        with pytest.raises(RuntimeError, match="the power went out"):
            visualize(model, tmp_path / "v", classes=["0-4"], batch_size=2)
    assert [item.cls for item in VisualizationRun(tmp_path / "v").items] == [0, 1]
    assert list((tmp_path / "v" / ".claims").iterdir()) == []
    done = optimized(monkeypatch)
    found = visualize(model, tmp_path / "v", classes=["0-4"], batch_size=2)
    assert done == [["class 2", "class 3"], ["class 4"]]
    assert content(found.path) == straight


def test_a_damaged_item_is_made_again(model, tmp_path, monkeypatch):
    before = content(visualize(model, tmp_path / "v", classes=["0-2"]).path)
    (tmp_path / "v/items/class_00001/picture.webp").write_bytes(b"RIFF")
    seen = optimized(monkeypatch)
    assert content(visualize(model, tmp_path / "v", classes=["0-2"]).path).keys() == before.keys()
    assert seen == [["class 1"]]


def test_natural_images_are_compared_with(model, tmp_path, monkeypatch):
    data = NoiseData(6, 2, broken={4})
    found = visualize(model, tmp_path / "v", data=data, classes=["0-1"])
    pictures, transform = data.dataset("predict"), Transform(model.preprocessing)
    read = [k for k in range(6) if k != 4]
    with torch.no_grad():
        pixels = torch.stack([transform.pixels(pictures.image(k)) for k in read]) / 255
        images = model.normalize(pixels)
        logits, features = model(images), model.features(images).mean((-2, -1))
        crops = model.normalize(held_out_crops(pixels, model.preprocessing.size))
        held = model(crops).unflatten(0, (5, -1)).mean(1)
    ours = torch.stack([found.features(item.key) for item in found.items])
    for row, item in enumerate(found.items):
        best = logits[:, item.cls].topk(3).indices
        assert item.held_out_real == pytest.approx(float(held[best, item.cls].max()), abs=1e-4)
        cosines = torch.nn.functional.cosine_similarity(features, ours[row][None])
        assert item.plausibility == pytest.approx(float(cosines.mean()), abs=1e-4)
    measures = found.measures
    assert measures.images == 5
    assert measures.fid == pytest.approx(float(frechet_distance(ours, features)), rel=1e-3)
    assert measures.above_real == sum(item.held_out > item.held_out_real for item in found.items)
    monkeypatch.setattr("lit_coiba.trainer.visualization_measures._natural", None)  # it is not done again
    assert visualize(model, tmp_path / "v", data=NoiseData(6, 2, broken={4}), classes=["0-1"]).measures == measures


def test_images_are_scored_under_other_models(model, tmp_path):
    other = tiny.resnet()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.1)
    found = visualize(model, tmp_path / "v", classes=["2"], channels=["layer2:0"], others=[other])
    ((name, (logit, probability)),) = found["class_00002"].transferability.items()
    image = MACO(**FEW).visualize(model, 2).images
    with torch.no_grad():
        logits = other(other.normalize(held_out_crops(image, other.preprocessing.size)))
    assert logit == pytest.approx(float(logits[:, 2].mean()), abs=1e-3)
    assert probability == pytest.approx(float(logits.softmax(1)[:, 2].mean()), abs=1e-3)
    assert found["channel_layer2_0000"].transferability == {}
    assert found.about.others == {name: other.digest()}
    with pytest.raises(InputError, match=r"of another run \(other others\)"):
        visualize(model, tmp_path / "v", classes=["2"])


def test_pages_and_log(model, tmp_path, monkeypatch):
    monkeypatch.setattr("lit_coiba.trainer.visualization_pages.ON_A_PAGE", 2)
    visualize(model, tmp_path / "v", classes=["0-4"], pictures=True)
    assert [file.name for file in sorted((tmp_path / "v").glob("*.png"))] == [
        *("visualizations.png", "visualizations_02.png", "visualizations_03.png")
    ]
    (log,) = (tmp_path / "v/tensorboard").iterdir()
    events = EventAccumulator(str(log)).Reload()
    assert len(events.Tags()["images"]) == 3
    assert {"visualizations/score_last", "visualizations/held_out"} <= set(events.Tags()["scalars"])
    visualize(model, tmp_path / "v", classes=["0-1"], pictures=True)
    assert [file.name for file in (tmp_path / "v").glob("*.png")] == ["visualizations.png"]


def test_the_model_stays(tmp_path):
    model = tiny.resnet()
    disturb(model)
    model.report  # noqa: B018 - which looks at the model, once
    before = state(model)
    visualize(model, tmp_path / "v", data=NoiseData(2), classes=["0"], others=[tiny.resnet()])
    after = state(model)
    for kind in ("parameters", "buffers"):
        assert all(torch.equal(value, after[kind][name]) for name, value in before[kind].items())
    for kind in ("requires_grad", "training", "hooks"):
        assert before[kind] == after[kind], kind


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"method": FourierBaseline(3, 32, 2, progress=False)}, r"of another run \(other visualizer\)"),
        ({"model": "swin"}, r"of another run \(other model"),
        ({"classes": ["77"]}, "class 77 does not exist"),
        ({"channels": ["layer2:999"]}, "channel 999 does not exist"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"others": [3]}, "others has an int"),
        ({"others": ["nowhere.safetensors"]}, "nowhere.safetensors"),
        ({"trainer": {"precision": "bf16-mixed"}}, r"leave out trainer\.precision"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(model, tmp_path, arguments, said):
    visualize(model, tmp_path / "v", classes=["0"])
    before = content(tmp_path / "v")
    arguments = {"classes": ["0"], **arguments}
    used = tiny.swin() if arguments.pop("model", None) else model
    if "trainer" in arguments:
        arguments["trainer"] = make_trainer(**arguments["trainer"])
    with pytest.raises(InputError, match=said) as told:
        visualize(used, tmp_path / "v", **arguments)
    assert "\n" not in str(told.value)
    assert content(tmp_path / "v") == before


def test_other_concepts_under_the_same_name_are_refused(model, tmp_path):
    visualize(model, tmp_path / "v", concepts=[concepts_of(model, "layer2", seed=0)])
    with pytest.raises(InputError, match="output has another concept_00001_00 than the one that is asked for"):
        visualize(model, tmp_path / "v", concepts=[concepts_of(model, "layer2", seed=1)])


def test_a_folder_of_others_is_refused(model, tmp_path):
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "thesis.txt").write_text("years")
    with pytest.raises(InputError, match="is not a folder of this verb"):
        visualize(model, tmp_path / "v", classes=["0"])
    assert [file.name for file in (tmp_path / "v").iterdir()] == ["thesis.txt"]


def test_what_is_no_visualizer(model):
    with pytest.raises(InputError, match="visualizer is the class MACO: give one, such as MACO"):
        VisualizationModule(model, MACO)
    with pytest.raises(InputError, match="backbone is"):
        VisualizationModule(torch.nn.Linear(2, 2), MACO(**FEW))


def test_what_decides_is_on_disk(model, tmp_path):
    visualize(model, tmp_path / "v", classes=["0"])
    told = json.loads((tmp_path / "v/run.json").read_text())
    assert told["model"] == model.digest()
    assert told["visualizer"]["class"] == "MACO"
    assert told["visualizer"]["steps"] == 3
    assert not {"progress", "chunk"} & told["visualizer"].keys()
    assert TargetScore(0).name == VisualizationRun(tmp_path / "v").items[0].name
