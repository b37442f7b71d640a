"""Activation statistics over a dataset: made once, kept, resumed, refused."""

import os

import pytest
import torch

from lit_coiba.attribution import IBA, CoIBA
from lit_coiba.bottlenecks import ActivationStatistics
from lit_coiba.core.errors import InputError
from lit_coiba.modules.explainer import Explainer
from lit_coiba.modules.statistics import StatisticsModule
from lit_coiba.trainer import Trainer
from tests._testers import tiny
from tests._testers.runs import LAYERS, NoiseData, Shade, coiba, explain, make_trainer, passing_for

pytestmark = pytest.mark.filterwarnings("ignore:.*images are noisy", "ignore:.*survive pure noise")


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


class TestStatistics:
    def test_are_made_once_kept_in_the_store_and_named_in_the_manifest(self, model, tmp_path, observed):
        store = explain(model, tmp_path / "store", method=coiba(), limit=4)
        assert observed == [0, 1, 2, 3, 4]  # of all images, not of the four
        kept = ActivationStatistics.load(tmp_path / "store" / "statistics.safetensors")
        assert kept.count == 10
        assert kept.layers == LAYERS
        assert kept.leak.layers == tuple(LAYERS)
        assert store.manifest.identity["statistics"] == kept.digest()
        assert [file.name for file in store.path.iterdir() if "statistics" in file.name] == ["statistics.safetensors"]
        explain(model, tmp_path / "store", method=coiba(), limit=4)
        assert len(observed) == 5

    def test_are_reused_by_a_run_that_was_stopped(self, model, tmp_path, observed):
        @passing_for(CoIBA)
        class Stops(CoIBA):
            def _explain(self, model, images, targets):
                raise RuntimeError("the power went out")

        with pytest.raises(RuntimeError, match="the power went out"):
            explain(model, tmp_path / "store", method=Stops(layers=LAYERS, steps=3, copies=2))
        store = explain(model, tmp_path / "store", method=coiba())
        assert observed == [0, 1, 2, 3, 4]
        assert store.digest() == explain(model, tmp_path / "straight", method=coiba()).digest()

    def test_of_a_run_that_never_began_are_not_trusted(self, model, tmp_path, observed):
        """They may be about other layers: the folder has no manifest that says so."""
        (tmp_path / "store").mkdir()
        others = tiny.statistics(model, ["blocks.4.norm1", "blocks.5.norm1"])
        others.save(tmp_path / "store" / "statistics.safetensors")
        explain(model, tmp_path / "store", method=coiba())
        assert observed == [0, 1, 2, 3, 4]
        assert ActivationStatistics.load(tmp_path / "store" / "statistics.safetensors").layers == LAYERS

    def test_given_ones_are_used_and_their_path_does_not_count(self, model, tmp_path, observed):
        make_trainer().statistics(Explainer(model, coiba()), NoiseData(), str(tmp_path / "one.safetensors"))
        assert len(observed) == 5
        (tmp_path / "two.safetensors").write_bytes((tmp_path / "one.safetensors").read_bytes())
        store = explain(model, tmp_path / "store", method=coiba(statistics=str(tmp_path / "one.safetensors")))
        assert not (tmp_path / "store" / "statistics.safetensors").exists()
        assert "statistics" not in store.manifest.identity["method"]
        explain(model, tmp_path / "store", method=coiba(statistics=str(tmp_path / "two.safetensors")))
        assert len(observed) == 5
        assert store.digest() == explain(model, tmp_path / "own", method=coiba()).digest()

    def test_of_another_model_are_refused(self, model, tmp_path):
        file = tmp_path / "statistics.safetensors"
        make_trainer().statistics(Explainer(model, coiba()), NoiseData(), str(file))
        with pytest.raises(
            InputError, match=r"belong to another model or other weights \(digest .*\): estimate them again"
        ):
            explain(tiny.vit(seed=7), tmp_path / "store", method=coiba(statistics=str(file)))

    def test_other_given_ones_are_another_identity(self, model, tmp_path):
        explain(model, tmp_path / "store", method=coiba())
        file = tmp_path / "statistics.safetensors"
        make_trainer().statistics(Explainer(model, coiba()), NoiseData(12), str(file))
        with pytest.raises(InputError, match=r"made with other arguments \(old -> new\): statistics "):
            explain(model, tmp_path / "store", method=coiba(statistics=str(file)))

    def test_another_model_or_method_is_refused_before_they_are_made(self, model, tmp_path, observed):
        explain(model, tmp_path / "store", method=coiba())
        before, _ = contents(tmp_path / "store"), observed.clear()
        with pytest.raises(InputError, match=r"other arguments \(old -> new\): model "):
            explain(tiny.vit(seed=7), tmp_path / "store", method=coiba())
        with pytest.raises(InputError, match=r"other arguments \(old -> new\): method.layers"):
            explain(model, tmp_path / "store", method=coiba(layers=["blocks.1.norm1"]))
        assert observed == []
        assert contents(tmp_path / "store") == before

    def test_a_stopped_pass_goes_on_to_the_same_bytes(self, model, tmp_path, observed, monkeypatch):
        trainer, explainer = make_trainer(), Explainer(model, coiba())
        straight = trainer.statistics(explainer, NoiseData(68, 2), str(tmp_path / "straight.safetensors"))
        assert observed == list(range(34))
        observed.clear()
        step = StatisticsModule.predict_step

        def stops(self, batch):
            if batch.block == 10:  # the second block of chunk 3
                raise RuntimeError("the power went out")
            return step(self, batch)

        with monkeypatch.context() as patch:
            patch.setattr(StatisticsModule, "predict_step", stops)
            with pytest.raises(RuntimeError, match="the power went out"):
                trainer.statistics(explainer, NoiseData(68, 2), str(tmp_path / "again.safetensors"))
        assert not (tmp_path / "again.safetensors").exists()
        observed.clear()
        resumed = trainer.statistics(explainer, NoiseData(68, 2), str(tmp_path / "again.safetensors"))
        assert observed == list(range(9, 34))
        assert resumed.digest() == straight.digest()
        assert sorted(contents(tmp_path)) == ["again.safetensors", "straight.safetensors"]
        assert contents(tmp_path)["again.safetensors"] == contents(tmp_path)["straight.safetensors"]

    def test_what_a_pass_with_other_arguments_left_is_not_mixed_in(self, model, tmp_path, monkeypatch):
        step = StatisticsModule.predict_step

        def stops(self, batch):
            if batch.block == 5:
                raise RuntimeError("the power went out")
            return step(self, batch)

        file = str(tmp_path / "statistics.safetensors")
        with monkeypatch.context() as patch:
            patch.setattr(StatisticsModule, "predict_step", stops)
            with pytest.raises(RuntimeError, match="the power went out"):
                make_trainer().statistics(Explainer(model, coiba()), NoiseData(20, 2), file)
        found = make_trainer().statistics(Explainer(model, coiba()), NoiseData(20, 4), file)
        assert found.count == 20

    def test_use_as_many_images_as_asked_for(self, model, tmp_path, observed):
        trainer, file = make_trainer(), str(tmp_path / "statistics.safetensors")
        found = trainer.statistics(Explainer(model, coiba()), NoiseData(40, 2, limit=3), file, images=9)
        assert observed == [0, 4, 8, 12, 16]
        assert found.count == 10
        with pytest.raises(InputError, match="images is 1, but a standard deviation needs at least 2"):
            trainer.statistics(Explainer(model, coiba()), NoiseData(), file, images=1)

    def test_are_refused_for_a_method_that_needs_none(self, model, tmp_path):
        with pytest.raises(InputError, match="Shade needs no activation statistics: continue with `explain`"):
            make_trainer().statistics(Explainer(model, Shade()), NoiseData(), str(tmp_path / "file"))

    def test_need_two_images_that_can_be_read_and_forget_those_that_could_not(self, model, tmp_path):
        file = str(tmp_path / "statistics.safetensors")
        with pytest.raises(InputError, match="need at least two readable images, but the data have 1"):
            make_trainer().statistics(Explainer(model, coiba()), NoiseData(4, broken={0, 1, 3}), file)
        assert make_trainer().statistics(Explainer(model, coiba()), NoiseData(4), file).count == 4

    def test_are_not_begun_where_they_cannot_be_kept(self, model, tmp_path, observed, monkeypatch):
        (tmp_path / "file").touch()
        explainer = Explainer(model, coiba())
        with pytest.raises(InputError, match=r"file .* is a folder: give the name of a file"):
            make_trainer().statistics(explainer, NoiseData(), str(tmp_path))
        with pytest.raises(InputError, match=r"file .*/below cannot be written \(.*/file is a file, not"):
            make_trainer().statistics(explainer, NoiseData(), str(tmp_path / "file" / "below" / "statistics"))
        with pytest.raises(InputError, match=r"store .*/file cannot be written \(.*/file is a file, not a folder\)"):
            explain(model, tmp_path / "file", method=coiba())
        monkeypatch.setattr("os.access", lambda path, mode: False)
        with pytest.raises(InputError, match="is read-only"):
            explain(model, tmp_path / "new" / "store", method=coiba())
        assert observed == []
        assert os.listdir(tmp_path) == ["file"]

    def test_need_the_whole_pass(self, model, tmp_path):
        trainer = make_trainer(limit_predict_batches=1)
        with pytest.raises(
            InputError, match="statistics need a complete pass over the data: leave out limit_predict_batches"
        ):
            trainer.statistics(Explainer(model, coiba()), NoiseData(68, 2), str(tmp_path / "file"))

    def test_a_run_that_merged_first_and_removed_the_chunks_does_no_harm(self, model, tmp_path, monkeypatch):
        file = str(tmp_path / "statistics.safetensors")
        passes = []
        predict = Trainer.predict

        def overtaken(self, module, **arguments):
            predict(self, module, **arguments)
            passes.append(module)
            if len(passes) == 1:
                module.chunks.remove()

        monkeypatch.setattr(Trainer, "predict", overtaken)
        found = make_trainer().statistics(Explainer(model, coiba()), NoiseData(), file)
        assert found.count == 10

    def test_leave_the_model_and_the_random_state_alone(self, tmp_path):
        model = tiny.vit().train()
        model.model.head.weight.grad = gradient = torch.ones_like(model.model.head.weight)
        random = torch.get_rng_state()
        make_trainer().statistics(Explainer(model, IBA(steps=3)), NoiseData(), str(tmp_path / "file"))
        assert torch.equal(torch.get_rng_state(), random)
        assert all(module.training for module in model.modules())
        assert model.model.head.weight.grad is gradient
