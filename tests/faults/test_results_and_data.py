"""Kind C, results that outlive the data, case by case; the matrix of verbs and changes is in ``test_staleness.py``."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from pathlib import Path

import pytest
import torch

from benchmarks import staleness
from benchmarks.staleness import NAMES, draw_pictures, make_world, trainer, write_table
from lit_coiba.attribution import IBA, Saliency
from lit_coiba.benchmark import DatasetRegions, common_keys
from lit_coiba.core.errors import InputError
from lit_coiba.data import ImageDataset, ImageFolder, Transform
from lit_coiba.data.fingerprint import fingerprint_of
from lit_coiba.modules.explainer import Explainer
from lit_coiba.modules.scorer import Scorer
from lit_coiba.store import ExplanationStore, Manifest, merge
from lit_coiba.store.samples import SAMPLES, read_samples
from tests._testers.runs import NoiseData, NoisePictures, Shade
from tests._testers.runs import explain as explain_noise

pytestmark = pytest.mark.filterwarnings("ignore:.*images are noisy", "ignore:.*survive pure noise")


@pytest.fixture
def world(tmp_path):
    return make_world(tmp_path)


def explain(world, folder, method=None, targets="predicted", data=None, pictures=False, **arguments):
    explainer = Explainer(world.model(), method or Saliency(), targets)
    return trainer().explain(explainer, data or world.data(), str(folder), pictures=pictures, **arguments)


def done(monkeypatch):
    """Numbers of the blocks that are explained from now on."""
    blocks = []
    step = Explainer.predict_step
    monkeypatch.setattr(
        Explainer, "predict_step", lambda self, batch: (blocks.append(batch.block), step(self, batch))[1]
    )
    return blocks


class TestAPictureIsReplaced:
    def test_only_its_block_is_explained_again(self, world, tmp_path, monkeypatch):
        explain(world, tmp_path / "s")
        draw_pictures(world.root, 1, only=3)
        with pytest.raises(InputError, match=r"3\.bmp has changed since \(its time was .*if_changed recompute"):
            explain(world, tmp_path / "s")
        blocks = done(monkeypatch)
        again = explain(world, tmp_path / "s", if_changed="recompute")
        assert blocks == [1]
        assert again.digest() == explain(world, tmp_path / "new").digest()

    def test_a_run_that_is_killed_then_has_nothing_stale_and_goes_on(self, world, tmp_path, monkeypatch):
        explain(world, tmp_path / "s")
        draw_pictures(world.root, 1, only=3)
        with monkeypatch.context() as patch:
            patch.setattr(Saliency, "_explain", the_power_goes_out)
            with pytest.raises(RuntimeError, match="power"):
                explain(world, tmp_path / "s", if_changed="recompute")
        assert "3.bmp" not in ExplanationStore(tmp_path / "s")
        assert explain(world, tmp_path / "s").digest() == explain(world, tmp_path / "new").digest()

    def test_another_size_is_told_in_bytes(self, world, tmp_path):
        explain(world, tmp_path / "s")
        with (world.root / "2.bmp").open("ab") as file:
            file.write(b"end")
        with pytest.raises(InputError, match=r"2\.bmp has changed since \(its size was 3126 bytes and is 3129\)"):
            explain(world, tmp_path / "s")

    def test_a_store_of_another_method_is_not_given_up_for_it(self, world, tmp_path):
        before = explain(world, tmp_path / "s").digest()
        with pytest.raises(InputError, match=r"method\.class .* choose another folder, or repeat the original"):
            explain(world, tmp_path / "s", method=Shade(), if_changed="recompute")
        assert ExplanationStore(tmp_path / "s").digest() == before

    def test_new_and_missing_images_are_named(self, world, tmp_path):
        data = ImageFolder(str(world.root), batch_size=2, num_workers=0)
        explain(world, tmp_path / "s", data=data)
        (world.root / "5.bmp").rename(world.root / "9.bmp")
        data = ImageFolder(str(world.root), batch_size=2, num_workers=0)
        with pytest.raises(InputError, match=r"\(9\.bmp is new and 5\.bmp is gone\)"):
            explain(world, tmp_path / "s", data=data)
        again = explain(world, tmp_path / "s", data=data, if_changed="recompute")
        assert again.ids() == data.dataset("predict").ids


class TestExport:
    @pytest.mark.parametrize("format", ["npz", "png"])
    def test_files_follow_the_store(self, world, tmp_path, format):
        def exported(store, name):
            folder = store.export(format, tmp_path / name)
            return {file.name: file.read_bytes() for file in folder.iterdir() if file.suffix == f".{format}"}

        before = exported(explain(world, tmp_path / "s", targets=0), "x")
        draw_pictures(world.root, 1, only=3)
        after = exported(explain(world, tmp_path / "s", targets=0, if_changed="recompute"), "x")
        assert [name for name in after if after[name] != before[name]] == [f"3.bmp.target0.{format}"]
        assert after == exported(explain(world, tmp_path / "new", targets=0), "y")


def the_power_goes_out(self, model, images, targets):
    """`Saliency._explain` in a run that ends before its first block."""
    raise RuntimeError("the power went out")


class TestWhatIsAccepted:
    def test_a_moved_folder_and_another_number_of_workers(self, world, tmp_path, monkeypatch):
        first = explain(world, tmp_path / "s").digest()
        world = staleness.moved(world, tmp_path)
        blocks = done(monkeypatch)
        data = world.data()
        data.num_workers = 1
        assert explain(world, tmp_path / "s", data=data).digest() == first
        assert blocks == []

    def test_a_copy_with_other_times_where_content_counts(self, world, tmp_path):
        def data(root, fingerprint):
            return ImageFolder(str(root), batch_size=2, num_workers=0, fingerprint=fingerprint)

        explain(world, tmp_path / "s", data=data(world.root, "content"))
        shutil.copytree(world.root, tmp_path / "copy", copy_function=shutil.copyfile)
        for file in (tmp_path / "copy").iterdir():
            os.utime(file, (1, 1))
        explain(world, tmp_path / "s", data=data(tmp_path / "copy", "content"))
        with pytest.raises(InputError, match="its time was"):
            explain(world, tmp_path / "s", data=data(tmp_path / "copy", "time"))
        times = os.stat(tmp_path / "copy" / "1.bmp")
        draw_pictures(tmp_path / "copy", 5, only=1)  # of the same size, and with the time of before
        os.utime(tmp_path / "copy" / "1.bmp", ns=(times.st_atime_ns, times.st_mtime_ns))
        with pytest.raises(InputError, match=r"1\.bmp has changed since \(its content is another one\)"):
            explain(world, tmp_path / "s", data=data(tmp_path / "copy", "content"))


class TestLabels:
    """`use.md` A, and the first case of kind C."""

    def test_targets_follow_the_labels(self, world, tmp_path):
        explain(world, tmp_path / "s", targets="label")
        write_table(world.table, "120120")
        with pytest.raises(InputError, match=r"0\.bmp \(its label was ant and is bee\)"):
            explain(world, tmp_path / "s", targets="label")
        rows = explain(world, tmp_path / "s", targets="label", if_changed="recompute")
        assert {(row.label, row.target) for row in rows} == {(0, 0), (1, 1), (2, 2)}
        assert rows["0.bmp"].label == 1

    def test_a_label_that_comes_later_is_explained_without_being_asked(self, world, tmp_path):
        text = world.table.read_text()
        world.table.write_text(text.replace("0.bmp,ant", "0.bmp,"))
        explain(world, tmp_path / "s", targets="label")
        world.table.write_text(text)
        store = explain(world, tmp_path / "s", targets="label")
        assert (store.failures(), store["0.bmp"].target) == ([], 0)

    def test_one_store_holds_one_numbering_and_the_sheet_is_drawn_again(self, world, tmp_path):
        by_number = ImageFolder(
            str(world.root), str(world.table), batch_size=2, num_workers=0
        )  # numbers in their order
        explain(world, tmp_path / "s", data=by_number, shard="0/2", pictures=True)
        sheet = (tmp_path / "s" / "contact_sheet.png").stat().st_mtime_ns
        world.classes.write_text("\n".join(reversed(NAMES)))
        with pytest.warns(UserWarning, match="labels in .* were brought up to date"):
            store = explain(world, tmp_path / "s", pictures=True)
        assert {row.id: row.label for row in store} == dict(zip(world.data().dataset("predict").ids, [2, 1, 0] * 2))
        assert (tmp_path / "s" / "contact_sheet.png").stat().st_mtime_ns > sheet

    def test_names_alone_draw_the_sheet_again(self, world, tmp_path):
        explain(world, tmp_path / "s", pictures=True)
        sheet = (tmp_path / "s" / "contact_sheet.png").stat().st_mtime_ns
        world.classes.write_text("\n".join(name.upper() for name in NAMES))
        world.table.write_text(
            world.table.read_text().replace("ant", "ANT").replace("bee", "BEE").replace("cat", "CAT")
        )
        explain(world, tmp_path / "s", pictures=True)
        assert (tmp_path / "s" / "contact_sheet.png").stat().st_mtime_ns > sheet


class TestGoodRows:
    """`reliability.md`, section 2: a good row is never replaced by a failure."""

    def test_a_file_that_cannot_be_read_now_keeps_its_explanation(self, world, tmp_path):
        good = (world.root / "1.bmp").read_bytes()
        (world.root / "1.bmp").write_bytes(b"BM torn")
        store = explain(world, tmp_path / "s")
        assert [failure.id for failure in store.failures()] == ["1.bmp"]
        before = store["0.bmp"].map
        (world.root / "1.bmp").write_bytes(good)
        (world.root / "0.bmp").write_bytes(b"BM torn")
        with pytest.warns(UserWarning, match=r"0\.bmp cannot be read now"):
            store = explain(world, tmp_path / "s", retry_failed=True)
        assert store.failures() == []
        assert len(store) == 6
        assert torch.equal(store["0.bmp"].map, before)

    def test_also_of_a_dataset_that_tells_no_versions(self, model, tmp_path):
        explain_noise(model, tmp_path / "s", NoiseData(6, 2, broken=[1]))
        store = explain_noise(model, tmp_path / "s", NoiseData(6, 2, broken=[0]), retry_failed=True)
        assert (len(store), store.failures()) == (6, [])


@pytest.fixture(scope="module")
def model():
    return staleness.World(Path(), Path(), Path()).model()


class TestStatistics:
    """`use.md`, second trial, Runs 3 and 4."""

    @pytest.fixture
    def many(self, world):
        for number in range(6, 24):
            shutil.copy(world.root / "0.bmp", world.root / f"{number}.bmp")
        return ImageFolder(str(world.root), batch_size=8, num_workers=0)

    @pytest.mark.filterwarnings("ignore::UserWarning")
    def test_says_where_more_images_come_from_and_how_many_are_read_first(self, world, many, tmp_path):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            explain(world, tmp_path / "s", IBA(steps=2), data=many, limit=2)
        texts = [str(one.message) for one in told]
        (noisy,) = (text for text in texts if "images are noisy" in text)
        assert "only 24 images are noisy (a standard deviation is off by about 15%)" in noisy
        assert "lit-coiba statistics --data.root OTHER --file FILE" in noisy
        assert any(text.startswith("24 images are read first for activation statistics, and 2 are") for text in texts)

    def test_they_know_their_samples_and_a_mended_file_goes_with_the_old_ones(self, world, tmp_path):
        good = (world.root / "1.bmp").read_bytes()
        (world.root / "1.bmp").write_bytes(b"BM torn")
        explain(world, tmp_path / "s", IBA(steps=2))
        (world.root / "1.bmp").write_bytes(good)
        store = explain(world, tmp_path / "s", IBA(steps=2), retry_failed=True)
        assert (len(store), store.failures()) == (6, [])
        assert explain(world, tmp_path / "s", IBA(steps=2)).digest() == store.digest()


class TestBenchmark:
    """`use.md`, second trial, Runs 1."""

    @pytest.mark.parametrize(
        ("key", "values", "told"),
        [
            (
                "precision",
                ("bf16-mixed", "32-true"),
                "their precisions, in which the model may predict different classes",
            ),
            (
                "targets",
                ("predicted", "label"),
                "their targets differ .a predicted, b label.: explain both with the same",
            ),
            ("samples", (6, 4), "their numbers of images differ .a 6, b 4.: explain the same images"),
        ],
    )
    def test_says_why_explanations_are_left_out(self, tmp_path, key, values, told):
        stores = [Told(tmp_path / name, {key: value}) for name, value in zip("ab", values)]
        with pytest.warns(UserWarning, match=f"1 explanation compared, others of 1 image left out, .*{told}"):
            assert common_keys(stores, ["0.bmp", "1.bmp"]) == {"0.bmp": [0]}

    def test_regions_of_some_images_are_enough_for_the_oracle(self, model):
        class Some(NoisePictures):
            def region(self, index):
                return None if index < 3 else torch.ones(32, 32, dtype=torch.bool)

        assert DatasetRegions(Some(5), Transform(model.preprocessing)).known
        assert not DatasetRegions(NoisePictures(5), Transform(model.preprocessing)).known


class Told:
    """A store of two explanations, one of them its own."""

    def __init__(self, path, identity):
        self.path, self.manifest = path, Manifest(identity)

    def keys(self):
        return [("0.bmp", 0), ("1.bmp", int(self.path.name == "a"))]

    def failures(self):
        return []


class TestMerge:
    def test_no_store_inside_a_store(self, world, tmp_path):
        explain(world, tmp_path / "s")
        with pytest.raises(InputError, match=r"would lie inside the store|is not a folder of this verb"):
            merge(tmp_path / "s" / "blocks", [tmp_path / "s"])
        assert sorted(file.name for file in (tmp_path / "s" / "blocks").iterdir() if not file.suffix) == []
        with pytest.raises(InputError, match="would lie inside the store"):
            explain(world, tmp_path / "s" / "more")

    def test_labels_that_decide_nothing_are_told(self, world, tmp_path):
        explain(world, tmp_path / "a", shard="0/2")
        write_table(world.table, "111111")
        explain(world, tmp_path / "b", shard="1/2")
        with pytest.warns(UserWarning, match="4 images have other labels in some of the stores"):
            merge(tmp_path / "all", [tmp_path / "a", tmp_path / "b"])
        with pytest.warns(UserWarning, match="labels in .* were brought up to date"):
            assert {row.label for row in explain(world, tmp_path / "all")} == {1}


class TestManifest:
    """`use.md` P."""

    def test_tells_who_made_the_store_from_what_and_how(self, world, tmp_path, monkeypatch):
        monkeypatch.setattr("sys.argv", ["/usr/bin/lit-coiba", "explain", "--store", "s"])
        explain(world, tmp_path / "s")
        told = json.loads((tmp_path / "s" / "manifest.json").read_text())["recorded"]
        assert told["command"] == ["lit-coiba", "explain", "--store", "s"]
        assert told["data"]["root"] == str(world.root)
        assert told["data"]["csv"] == str(world.table)
        assert told["versions"]["torch"] == torch.__version__.partition("+")[0]
        assert told["folder"] == str(Path.cwd())

    def test_a_target_is_told_in_its_short_form(self, world, tmp_path):
        data = ImageFolder(str(world.root), str(world.table), classes=str(world.classes), batch_size=2, num_workers=0)
        explain(world, tmp_path / "s", targets="class:bee", data=data)
        with pytest.raises(InputError, match='targets "class:bee" -> "runner_up"'):
            explain(world, tmp_path / "s", targets="runner_up", data=data)


class TestOwnDataset:
    def test_a_version_of_ones_own_counts(self, model, tmp_path):
        class Numbered(NoisePictures):
            stamp = "first"

            def version(self, index):
                return f"{self.stamp}, 100% #{index}|"

        data = NoiseData(4, 2)
        data.pictures = Numbered(4)
        explain_noise(model, tmp_path / "s", data)
        explain_noise(model, tmp_path / "s", data)
        data.pictures.stamp = "second"
        with pytest.raises(InputError, match=r"4 images have changed since, such as noise/000\.png"):
            explain_noise(model, tmp_path / "s", data)

    def test_arguments_of_ones_own_data_module_count(self, model, tmp_path):
        class Seeded(NoiseData):
            def __init__(self, seed=0, batch_size=2):
                super().__init__(4, batch_size)
                self.seed = seed

        explain_noise(model, tmp_path / "s", Seeded())
        with pytest.raises(InputError, match=r"data\.seed 0 -> 1"):
            explain_noise(model, tmp_path / "s", Seeded(seed=1))

    def test_a_region_of_ones_own_is_compared_by_its_pixels(self):
        class Boxed(NoisePictures):
            side = 4

            def region(self, index):
                mask = torch.zeros(8, 8, dtype=torch.bool)
                mask[: self.side] = True
                return mask

        data = Boxed(2)
        before = fingerprint_of(data).with_regions(data).digest()
        assert fingerprint_of(data).with_regions(data).digest() == before
        data.side = 5
        assert fingerprint_of(data).with_regions(data).digest() != before

    def test_the_base_class_has_answers_for_all_of_it(self):
        class Bare(ImageDataset):
            ids, labels, classes = ("a",), (0,), ()

            def image(self, index):
                raise OSError("no")

        data = Bare()
        assert fingerprint_of(data).with_regions(data).versions == ["|@"]


class TestTheTableOfSamples:
    def test_is_beside_the_manifest_and_a_damaged_one_is_none(self, world, tmp_path):
        explain(world, tmp_path / "s")
        table = read_samples(tmp_path / "s")
        assert (table.ids, table.classes) == ([f"{k}.bmp" for k in range(6)], list(NAMES))
        file = tmp_path / "s" / SAMPLES
        file.write_bytes(file.read_bytes()[:-20])
        assert read_samples(tmp_path / "s") is None
        explain(world, tmp_path / "s")  # rows know their versions themselves
        assert read_samples(tmp_path / "s") == table


def test_the_scorer_refuses_a_store_of_other_pictures_before_anything_is_scored(world, tmp_path):
    explain(world, tmp_path / "s")
    draw_pictures(world.root, 1, only=3)
    with pytest.raises(InputError, match=r"stores: .*3\.bmp has changed since .*explain them again"):
        trainer().benchmark(Scorer(world.model()), world.data(), [str(tmp_path / "s")], str(tmp_path / "table"))
    assert not (tmp_path / "table").exists()
