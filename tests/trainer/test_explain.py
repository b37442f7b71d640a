"""Explaining whole datasets, in one process."""

import json

import pytest
import torch

from lit_coiba.attribution import CoIBA, Saliency
from lit_coiba.callbacks import StoreCallback
from lit_coiba.core.batch import Failure
from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.store.manifest import Manifest
from tests._testers import tiny
from tests._testers.runs import NoiseData, Shade, explain, make_trainer

IDS = [f"noise/{index:03d}.png" for index in range(100)]


@pytest.fixture(scope="module")
def six(model, tmp_path_factory):
    """A store of six images in blocks of two."""
    return explain(model, tmp_path_factory.mktemp("six"), NoiseData(6, 2)).path


class TestExplain:
    def test_every_image_has_one_row(self, model, tmp_path):
        store = explain(model, tmp_path / "new" / "store", NoiseData(11, 4))
        assert store.ids() == IDS[:11]
        assert len(store) == 11
        assert store.failures() == []
        (file,) = (store.path / "blocks").iterdir()  # of three blocks, put together at the end
        assert file.name.startswith("000000-000002.")
        row = store[IDS[7]]
        data = NoiseData()
        data.preprocessing = model.preprocessing
        data.setup("predict")
        image = data.transform(data.explained.image(7))
        probabilities = model(image[None])[0].softmax(0)
        assert row.target == probabilities.argmax()
        assert row.label == 7
        assert row.probability == pytest.approx(probabilities.max().item(), rel=1e-4)
        expected = image.mean(0).unflatten(0, (2, 16)).unflatten(2, (2, 16)).mean((1, 3)) * (row.target + 1)
        torch.testing.assert_close(row.map, expected, rtol=1e-4, atol=1e-5)

    def test_blocks_of_one_and_of_eight_agree(self, model, tmp_path):
        file = tmp_path / "statistics.safetensors"
        tiny.statistics(model, model.default_layers()).save(file)
        stores = {
            size: explain(
                model, tmp_path / str(size), NoiseData(9, size), CoIBA(statistics=str(file), steps=4, copies=2)
            )
            for size in (1, 8)
        }
        assert stores[1].keys() == stores[8].keys()
        for one, eight in zip(stores[1], stores[8]):
            assert (one.id, one.target) == (eight.id, eight.target)
            assert one.map.max() > 0.1
            assert (one.map - eight.map).abs().max() / one.map.abs().max() < 1e-4

    def test_top_k_and_labels(self, model, tmp_path):
        store = explain(model, tmp_path / "top", NoiseData(3), targets="top2")
        assert len(set(store.keys())) == 6
        assert [sample for sample, _ in store.keys()] == [name for name in IDS[:3] for _ in range(2)]  # noqa: SIM118
        store = explain(model, tmp_path / "label", NoiseData(4, labels=[5, -1, 10, 0]), targets="label")
        assert store.keys() == [(IDS[0], 5), (IDS[3], 0)]
        assert store.failures() == [
            Failure(IDS[1], "it has no label"),
            Failure(IDS[2], "class 10 is outside the model's range 0 to 9"),
        ]

    def test_labels_that_nobody_has_are_asked_for_at_once(self, model, tmp_path):
        with pytest.raises(InputError, match="targets is label, but no image has a label: explain the predicted class"):
            explain(model, tmp_path / "store", NoiseData(4, labels=[-1] * 4), targets="label")
        assert not (tmp_path / "store").exists()

    def test_files_that_cannot_be_read_are_failures_also_a_whole_block_of_them(self, model, tmp_path):
        store = explain(model, tmp_path / "store", NoiseData(8, 2, broken={1, 4, 5}))
        assert store.ids() == [IDS[i] for i in (0, 2, 3, 6, 7)]
        assert store.failures() == [Failure(IDS[i], "the file is torn") for i in (1, 4, 5)]
        assert len(store.missing(4)) == 0

    def test_failures_are_tried_again_when_asked_for(self, model, tmp_path):
        explain(model, tmp_path / "store", NoiseData(8, 2, broken={5}))
        fixed, method = NoiseData(8, 2), Shade()
        assert len(explain(model, tmp_path / "store", fixed, method).failures()) == 1
        assert method.explained == 0
        store = explain(model, tmp_path / "store", fixed, method, retry_failed=True)
        assert method.explained == 2  # the block of the failed one
        assert store.failures() == []
        assert store.digest() == explain(model, tmp_path / "straight", NoiseData(8, 2)).digest()
        explain(model, tmp_path / "store", fixed, method, retry_failed=True)
        assert method.explained == 2

    def test_a_limit_is_spread_over_the_data_and_forgotten_afterwards(self, model, tmp_path):
        data = NoiseData(20, 2, limit=7)
        assert explain(model, tmp_path / "five", data, limit=5).ids() == [IDS[i] for i in (0, 4, 8, 12, 16)]
        assert data.limit == 7
        assert explain(model, tmp_path / "seven", data).ids() == [IDS[i * 20 // 7] for i in range(7)]
        with pytest.raises(InputError, match="limit is 0: give a whole number, 1 or more"):
            explain(model, tmp_path / "none", data, limit=0)

    def test_no_images_are_refused(self, model, tmp_path):
        with pytest.raises(InputError, match="there are no images to explain"):
            explain(model, tmp_path / "store", NoiseData(0))

    def test_lightnings_limit_leaves_the_rest_for_later(self, model, tmp_path):
        store = explain(model, tmp_path / "store", NoiseData(10, 2), trainer=make_trainer(limit_predict_batches=2))
        assert store.missing(5) == [2, 3, 4]
        assert explain(model, tmp_path / "store", NoiseData(10, 2)).missing(5) == []

    def test_a_method_may_take_gradients_through_the_images(self, model, tmp_path):
        class Gradient(Shade):
            def _explain(self, model, images, targets):
                (gradient,) = torch.autograd.grad(targets.score(model(images.requires_grad_())).sum(), images)
                return super()._explain(model, gradient.abs(), targets)

        assert explain(model, tmp_path / "store", method=Gradient())[IDS[0]].map.max() > 0

    def test_class_folders_that_are_not_the_models_classes_name_nothing(self, model, tmp_path):
        class Named(StoreCallback):
            def on_explain_end(self, explained):
                named.append(bool(explained.about.names.classes) or explained.about.names.same)

        named, trainer = [], make_trainer(callbacks=[Named()])
        for classes in (["a"] * 3, [str(k) for k in range(tiny.CLASSES)], []):
            data = NoiseData(4)
            data.pictures.classes = classes
            if len(classes) == 3:
                with pytest.warns(UserWarning, match="the data have 3 classes and the model has 10"):
                    explain(model, tmp_path / "3", data, trainer=trainer)
                sentence = "targets is label, but the data have 3 classes and the model has 10"
                with pytest.raises(InputError, match=sentence):
                    explain(model, tmp_path / "label", data, targets="label")
            else:
                explain(model, tmp_path / str(len(classes)), data, trainer=trainer)
        assert named == [False, True, True]

    def test_a_class_by_its_name(self, model, tmp_path):
        data = NoiseData(4)
        data.pictures.classes = [f"kind {k}" for k in range(tiny.CLASSES)]
        store = explain(model, tmp_path / "store", data, targets="class:kind 3")
        assert [target for _, target in store.keys()] == [3] * 4  # noqa: SIM118
        assert store.manifest.identity["targets"] == {
            **{"kind": "class", "cls": "kind 3", "score": None, "output": None, "version": 1}
        }
        with pytest.raises(InputError, match="class 'tench' does not exist: the nearest names are kind"):
            explain(model, tmp_path / "other", data, targets="class:tench")
        with pytest.raises(
            InputError, match=r"'tench' can only be the name of a class, and the class names are unknown"
        ):
            explain(model, tmp_path / "other", targets="class:tench")
        assert not (tmp_path / "other").exists()

    @pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes")  # where one core is free
    def test_workers_give_the_same(self, model, tmp_path):
        digests = [
            explain(model, tmp_path / str(workers), NoiseData(6, 2, num_workers=workers)).digest() for workers in (0, 2)
        ]
        assert digests[0] == digests[1]


class TestIdentity:
    def test_is_what_decides_the_numbers(self, model, tmp_path):
        data = NoiseData(6, 4)
        store = explain(model, tmp_path / "store", data, Shade(seed=3), "top2", limit=5)
        identity = store.manifest.identity
        assert identity["model"] == model.digest()
        assert identity["method"] == {"class": "tests._testers.runs.Shade", "seed": 3}
        assert (identity["targets"], identity["samples"], identity["block_size"]) == ("top2", 5, 4)
        assert (identity["statistics"], identity["precision"]) == (None, "32-true")
        assert identity["preprocessing"]["size"] == [32, 32]
        assert set(store.manifest.recorded) == {
            *{"versions", "accelerator", "devices", "workers", "threads"},
            *{"model", "random_weights", "class_names", "weights", "data"},
            *{"command", "folder", "python", "machine"},
        }
        assert Manifest.load(store.path).digest == store.manifest.digest

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda: {"method": Shade(seed=1)}, "method.seed 0 -> 1"),
            (lambda: {"method": Saliency()}, 'method.class "tests._testers.runs.Shade" -> "Saliency"'),
            (lambda: {"targets": "top2"}, 'targets "predicted" -> "top2"'),
            (lambda: {"data": NoiseData(6, 3)}, "block_size 2 -> 3"),
            (lambda: {"data": NoiseData(7, 2)}, "samples 6 -> 7"),
            (lambda: {"limit": 3}, "samples 6 -> 3"),
            (lambda: {"model": tiny.vit(seed=5)}, "model "),
            (lambda: {"trainer": make_trainer(precision="bf16-mixed")}, 'precision "32-true" -> "bf16-mixed"'),
        ],
    )
    def test_another_one_is_refused_by_name(self, model, six, change, message):
        with pytest.raises(InputError) as error:
            explain(**{"model": model, "folder": six, "data": NoiseData(6, 2), **change()})
        assert message in str(error.value)
        assert "choose another folder, or repeat the original arguments" in str(error.value)

    def test_preprocessing_set_by_hand_is_what_counts(self, model, tmp_path):
        data = NoiseData(6, 2)
        data.preprocessing = Preprocessing(size=(32, 32), mean=(0.1, 0.1, 0.1))
        store = explain(model, tmp_path / "store", data)
        assert store.manifest.identity["preprocessing"]["mean"] == [0.1, 0.1, 0.1]
        with pytest.raises(InputError, match=r"preprocessing\.mean \[0\.1, 0\.1, 0\.1\] -> "):
            explain(model, tmp_path / "store", NoiseData(6, 2))

    def test_preprocessing_of_one_model_is_not_kept_for_the_next(self, model, tmp_path):
        data = NoiseData(6, 2)
        explain(model, tmp_path / "first", data)
        other = tiny.resnet()
        assert explain(other, tmp_path / "second", data).manifest.identity["preprocessing"]["size"] == [64, 64]

    @pytest.mark.parametrize("precision", ["bf16-true", "64-true"])
    def test_a_precision_that_changes_the_weights_is_refused(self, model, tmp_path, precision):
        with pytest.raises(InputError, match=f"precision is {precision}, but explain runs in 32-true or bf16-mixed"):
            explain(model, tmp_path / "store", trainer=make_trainer(precision=precision))
        assert next(model.parameters()).dtype == torch.float32

    def test_precision_auto_is_chosen_for_the_accelerator(self, monkeypatch):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True}, raising=False)
        assert make_trainer(precision="auto").precision == "bf16-mixed"
        monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
        assert make_trainer(precision="auto").precision == "32-true"


@pytest.mark.parametrize("identity", [{"verb": "concepts", "layer": "blocks.2"}, {"patches": 5, "score": "max"}])
def test_results_of_another_verb_are_no_store(model, tmp_path, identity):
    Manifest({"model": "x", **identity}).save(tmp_path)
    (tmp_path / "classes").mkdir()
    (tmp_path / "classes" / "report.json").write_text("{}")
    before = (tmp_path / "manifest.json").read_bytes()
    with pytest.raises(InputError, match="is not a folder of this verb, and has other files, such as classes"):
        explain(model, tmp_path, NoiseData(2))
    assert (tmp_path / "manifest.json").read_bytes() == before


def test_the_manifest_is_plain_json(model, tmp_path):
    explain(model, tmp_path / "store", NoiseData(2))
    manifest = json.loads((tmp_path / "store" / "manifest.json").read_text())
    assert manifest["identity"]["ids"] != ""
    assert manifest["recorded"]["accelerator"] == "CPUAccelerator"
