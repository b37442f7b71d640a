"""The verb `prototypes`: the strongest patches of every unit, whatever stops it."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lit_coiba.core.errors import InputError
from lit_coiba.data.module import Pass
from lit_coiba.data.subset import Subset
from lit_coiba.data.transforms import Transform
from lit_coiba.heads import BRNPAHead, EPICHead, InfoDisentHead, LinearHead
from lit_coiba.modules.prototype_search import PrototypeSearch
from lit_coiba.prototypes import Prototypes
from lit_coiba.trainer import prototypes as verb
from tests._testers import tiny
from tests._testers.runs import NoiseData, make_trainer

COUNT = 14


class SplitData(NoiseData):
    """Ten pictures to train with, and the other four to explain."""

    explained_now = range(10, COUNT)

    def dataset(self, split):
        chosen = range(10) if split == "train" else self.explained_now
        return Subset(self.pictures, chosen)


@pytest.fixture
def classifier():
    return tiny.infodisent()


def search(backbone, folder, data=None, patches=4, **arguments):
    model = PrototypeSearch(backbone, patches=patches)
    return make_trainer().prototypes(model, data or NoiseData(COUNT), str(folder), **{"pages": 0, **arguments})


def maps_of(backbone, data):
    pictures, transform = data.dataset("train"), Transform(backbone.preprocessing)
    images = torch.stack([transform(pictures.image(i)) for i in range(len(pictures))])
    with torch.no_grad():
        return backbone.head.activations(backbone.features(images))


def test_they_are_the_strongest_of_all_images(classifier, tmp_path):
    found = search(classifier, tmp_path / "p")
    maps = maps_of(classifier, NoiseData(COUNT)).flatten(2)
    assert found.units == 32
    assert sum(len(found.rows(unit, side)) == 4 for unit in range(32) for side in (1, -1)) > 40
    for unit in range(32):
        for side in (1, -1):
            peaks = (side * maps[:, unit]).amax(-1)
            order = [i for i in peaks.sort(descending=True, stable=True).indices.tolist() if peaks[i] > 0][:4]
            patches = found.of(unit, side)
            assert [patch.id for patch in patches] == [f"noise/{i:03d}.png" for i in order]
            assert [patch.label for patch in patches] == [i % tiny.CLASSES for i in order]
            assert [patch.rank for patch in patches] == list(range(len(order)))
            for patch, sample in zip(patches, order):
                assert patch.score == pytest.approx(side * peaks[sample].item(), rel=1e-4)
                row, column = divmod(int((side * maps[sample, unit]).argmax()), 4)
                assert tuple(patch.box) == (8 * row, 8 * column, 8 * row + 8, 8 * column + 8)


def test_crops_are_cut_from_the_picture(classifier, tmp_path):
    found, data = search(classifier, tmp_path / "p"), NoiseData(COUNT)
    transform, pictures = Transform(classifier.preprocessing), data.dataset("train")
    patch = found.of(5)[0]
    pixels = transform.pixels(pictures.image(pictures.ids.index(patch.id)))
    cell = patch.crop[:, patch.inner.top : patch.inner.bottom, patch.inner.left : patch.inner.right]
    there = pixels[:, patch.box.top : patch.box.bottom, patch.box.left : patch.box.right]
    assert cell.shape == there.shape == (3, 8, 8)
    assert (cell.int() - there.int()).abs().float().mean() < 20  # JPEG of noise


def test_stopped_it_goes_on_and_ends_the_same(classifier, tmp_path, monkeypatch):
    straight = search(classifier, tmp_path / "straight")
    step, seen = PrototypeSearch.predict_step, []

    def falls(self, batch):
        if batch.block == 5:
            raise RuntimeError("the power went out")
        seen.append(batch.block)
        return step(self, batch)

    monkeypatch.setattr(PrototypeSearch, "predict_step", falls)
    with pytest.raises(RuntimeError, match="power"):
        search(classifier, tmp_path / "p")
    monkeypatch.setattr(
        PrototypeSearch, "predict_step", lambda self, batch: (seen.append(batch.block), step(self, batch))[1]
    )
    found = search(classifier, tmp_path / "p")
    assert seen == [0, 1, 2, 3, 4, 5, 6]
    assert found.digest() == straight.digest()
    assert not (tmp_path / "p" / "parts").exists()
    assert search(classifier, tmp_path / "p").digest() == straight.digest()
    assert seen == [0, 1, 2, 3, 4, 5, 6]  # nothing was left to do


def test_one_module_may_begin_again_after_an_error(classifier, tmp_path, monkeypatch):
    """In the middle of a chunk of three blocks, with the very same module."""
    data = {"count": 40, "batch_size": 1}
    straight = search(classifier, tmp_path / "straight", NoiseData(**data))
    model, step = PrototypeSearch(classifier, patches=4), PrototypeSearch.predict_step

    def falls(self, batch):
        if batch.block == 4:
            raise RuntimeError("the power went out")
        return step(self, batch)

    monkeypatch.setattr(PrototypeSearch, "predict_step", falls)
    with pytest.raises(RuntimeError, match="power"):
        make_trainer().prototypes(model, NoiseData(**data), str(tmp_path / "p"), pages=0)
    monkeypatch.setattr(PrototypeSearch, "predict_step", step)
    found = make_trainer().prototypes(model, NoiseData(**data), str(tmp_path / "p"), pages=0)
    assert found.digest() == straight.digest()


@pytest.mark.parametrize("arguments", [{"limit_predict_batches": 1}, {"fast_dev_run": True}])
def test_a_part_of_a_pass_is_refused(classifier, tmp_path, arguments):
    with pytest.raises(InputError, match="prototypes need a complete pass"):
        make_trainer(**arguments).prototypes(PrototypeSearch(classifier), NoiseData(COUNT), str(tmp_path / "p"))
    assert not (tmp_path / "p").exists()


def test_the_limit_of_the_data_is_for_what_is_measured(classifier, tmp_path):
    assert search(classifier, tmp_path / "p", NoiseData(COUNT, limit=2)).manifest.identity["samples"] == COUNT
    assert search(classifier, tmp_path / "q", limit=2).manifest.identity["samples"] == 2


def test_pages_of_an_earlier_call_stay_where_none_are_asked_for(classifier, tmp_path):
    search(classifier, tmp_path / "p", pages=1)
    search(classifier, tmp_path / "p", pages=0)
    assert (tmp_path / "p" / "units" / "01.png").exists()


def test_blocks_of_another_size_say_the_same(classifier, tmp_path):
    few, many = (search(classifier, tmp_path / str(b), NoiseData(COUNT, batch_size=b)) for b in (3, 14))
    for unit in range(32):
        assert [patch.id for patch in few.of(unit)] == [patch.id for patch in many.of(unit)]


def test_another_classifier_does_not_mix_into_a_folder(classifier, tmp_path):
    search(classifier, tmp_path / "p")
    with torch.no_grad():
        classifier.head.weight += 1
    with pytest.raises(InputError, match=r"made with other arguments .* model "):
        search(classifier, tmp_path / "p")
    with pytest.raises(InputError, match="split"):
        search(classifier, tmp_path / "p", split="test")


def test_images_that_cannot_be_read_are_left_out(classifier, tmp_path):
    found = search(classifier, tmp_path / "p", NoiseData(COUNT, broken=(0, 3)))
    named = {patch.id for unit in range(32) for patch in found.of(unit)}
    assert named
    assert not named & {"noise/000.png", "noise/003.png"}
    with pytest.raises(InputError, match="none of the images can be read"):
        search(classifier, tmp_path / "q", NoiseData(2, broken=(0, 1)))


def test_dead_and_twin_units_are_told(classifier, tmp_path):
    head = LinearHead(32, tiny.CLASSES)
    classifier.attach(head)

    class Doctored(LinearHead):
        def activations(self, features):
            maps = super().activations(features).clone()
            maps[:, 7] = -1.0
            maps[:, 9] = maps[:, 4]
            return maps

    head.__class__ = Doctored
    with torch.no_grad():
        head.classifier.weight[:, 11] = 0
    found = search(classifier, tmp_path / "p")
    positive = (maps_of(classifier, NoiseData(COUNT)) > 0).any(0).any(-1).any(-1)
    dead = (~positive).nonzero().flatten().tolist()
    assert 7 in dead
    assert found.summary["dead"] == dead
    assert found.summary["unused"] == [11]
    assert (found.dead, found.unused) == (dead, [11])
    assert (4, 9) in found.duplicate
    assert found.of(7) == []
    assert found.of(3, side=-1) == []  # a linear head has one side


@pytest.mark.parametrize("head", [LinearHead, EPICHead, InfoDisentHead, BRNPAHead])
def test_every_head_has_pages_and_a_log(head, tmp_path):
    backbone = tiny.vit()
    backbone.attach(head(32, tiny.CLASSES))
    found = search(backbone, tmp_path / "p", pages=2)
    assert found.units == backbone.head.units
    pages = sorted(file.name for file in (tmp_path / "p" / "units").iterdir())
    assert pages == ["01.png", "02.png"][: -(-found.units // 10)]
    classes = tmp_path / "p" / "classes"
    assert len(list(classes.glob("*.png"))) == (0 if head is BRNPAHead else 2)
    events = EventAccumulator(str(tmp_path / "p" / "tensorboard")).Reload()
    assert {f"units/{name[:2]}" for name in pages} <= set(events.Tags()["images"])
    assert events.Scalars("prototypes/units")[0].value == found.units


def test_epic_ranks_by_the_sum(tmp_path):
    backbone = tiny.vit()
    backbone.attach(EPICHead(32, tiny.CLASSES))
    sums = maps_of(backbone, NoiseData(COUNT)).sum((-2, -1))
    found = search(backbone, tmp_path / "p")
    for unit in range(32):
        best = [i for i in sums[:, unit].sort(descending=True).indices.tolist() if sums[i, unit] > 0][:4]
        assert [patch.id for patch in found.of(unit)] == [f"noise/{i:03d}.png" for i in best]


def test_the_data_module_is_left_as_it_was(classifier, tmp_path):
    data = NoiseData(COUNT)
    search(classifier, tmp_path / "p", data, split="test", limit=4)
    assert data.current == Pass("predict")
    assert data.preprocessing is None


def test_a_model_without_a_head_is_refused():
    with pytest.raises(InputError, match="interpretable head"):
        PrototypeSearch(tiny.vit())


DAMAGED = [
    ("prototypes.json", b"{"),
    ("prototypes.json", b"{}"),
    ("prototypes.json", b"[]"),
    ("prototypes.json", b"[" * 100_000),
    ("prototypes.parquet", b"PAR1"),
    ("manifest.json", b"[]"),
]


@pytest.mark.parametrize(("file", "content"), DAMAGED)
def test_damaged_files_are_told_in_a_sentence(classifier, tmp_path, file, content):
    search(classifier, tmp_path / "p")
    (tmp_path / "p" / file).write_bytes(content)
    with pytest.raises(InputError, match=r"cannot be read|damaged"):
        Prototypes(tmp_path / "p")


@pytest.mark.parametrize(
    ("column", "value"), [("unit", 32), ("unit", -1), ("side", 7), ("top", -500), ("bottom", 0), ("score", None)]
)
def test_a_table_that_makes_no_sense_is_refused(classifier, tmp_path, column, value):
    search(classifier, tmp_path / "p")
    file = tmp_path / "p" / "prototypes.parquet"
    table = pq.read_table(file)
    field, values = table.schema.field(column), [value, *table[column].to_pylist()[1:]]
    place = table.schema.get_field_index(column)
    pq.write_table(table.set_column(place, field, pa.array(values, field.type)), file)
    with pytest.raises(InputError, match="cannot be read"):
        Prototypes(tmp_path / "p")


def test_a_table_of_other_columns_is_refused(classifier, tmp_path):
    search(classifier, tmp_path / "p")
    file = tmp_path / "p" / "prototypes.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["unit"]), file)
    with pytest.raises(InputError, match="content is not what their digest says"):
        Prototypes(tmp_path / "p")


def test_rows_that_there_are_not(classifier, tmp_path):
    found = search(classifier, tmp_path / "p")
    for row in (-1, len(found)):
        with pytest.raises(InputError, match=f"row is {row}"):
            found[row]


def test_a_folder_without_prototypes(tmp_path):
    with pytest.raises(InputError, match="has no prototypes"):
        Prototypes(tmp_path)


def test_the_summary_is_plain_json(classifier, tmp_path):
    search(classifier, tmp_path / "p")
    told = json.loads((tmp_path / "p" / "prototypes.json").read_text())
    assert len(told["users"]) == 32
    weights = classifier.head.unit_weights()
    assert told["own"][2][0][0] == int(weights[2].argmax())
    assert told["users"][5][0][0] == int(weights[:, 5].argmax())


def test_they_are_measured_once(classifier, tmp_path, monkeypatch):
    seen, measure = [], verb.evaluate_prototypes

    def observed(network, data, patches, **arguments):
        seen.append((data.dataset("predict").ids, set(patches.ids), len(patches.units.unique())))
        return measure(network, data, patches, **arguments)

    monkeypatch.setattr(verb, "evaluate_prototypes", observed)
    found = search(classifier, tmp_path / "p", SplitData(COUNT))
    assert not list((tmp_path / "p").glob("evaluation.*"))
    search(classifier, tmp_path / "p", SplitData(COUNT), evaluate=True)  # of what is there
    assert found.digest() == Prototypes(tmp_path / "p").digest()
    ((ids, sources, sides),) = seen
    assert ids == [f"noise/{number:03d}.png" for number in range(10, COUNT)]
    assert sources <= {f"noise/{number:03d}.png" for number in range(10)}
    assert sides == sum(bool(found.rows(unit, side)) for unit in range(32) for side in (1, -1))

    told = json.loads((tmp_path / "p" / "evaluation.json").read_text())
    assert (told["images"], told["units"], told["part_purity"]) == (4, 32, None)  # nobody knows the parts of noise
    table = (tmp_path / "p" / "evaluation.md").read_text()
    assert "| channel purity |" in table
    assert "part purity" not in table
    times = {file: file.stat().st_mtime_ns for file in (tmp_path / "p").glob("evaluation.*")}
    assert len(times) == 2
    search(classifier, tmp_path / "p", SplitData(COUNT), evaluate=True)
    assert len(seen) == 1
    assert {file: file.stat().st_mtime_ns for file in times} == times
    monkeypatch.setattr(SplitData, "explained_now", range(10, 12))
    search(classifier, tmp_path / "p", SplitData(COUNT), evaluate=True)  # other images: measured anew
    assert len(seen) == 2


def test_only_prototypes_of_the_training_split_are_measured(classifier, tmp_path):
    with pytest.raises(InputError, match="evaluate measures prototypes of the training split, but split is test"):
        search(classifier, tmp_path / "p", SplitData(COUNT), split="test", evaluate=True)
    assert not (tmp_path / "p").exists()
