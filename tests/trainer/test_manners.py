"""What a run leaves as it was, and what the user sees of it."""

import logging
import os
import signal
import warnings

import pytest
import torch
from lightning import Callback
from lightning.pytorch.loggers import CSVLogger

from lit_coiba.callbacks import BlockProgress
from lit_coiba.data.module import Pass
from lit_coiba.trainer import Trainer
from tests._testers import tiny
from tests._testers.runs import NoiseData, Shade, explain, make_trainer

IDS = [f"noise/{index:03d}.png" for index in range(100)]


class TestLeavesEverythingAsItWas:
    @pytest.mark.parametrize("fails", [False, True])
    def test_the_model_and_the_random_state(self, tmp_path, fails):
        model = tiny.vit().train()
        model.model.blocks[1].eval()
        model.model.head.weight.requires_grad_(False)
        gradients = {}
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                gradients[name] = parameter.grad = torch.ones_like(parameter)
        state = {name: value.clone() for name, value in model.state_dict().items()}
        flags = [module.training for module in model.modules()]
        random = torch.get_rng_state()
        method = Shade(fails_at=5 if fails else None)
        if fails:
            with pytest.raises(RuntimeError, match="the power went out"):
                explain(model, tmp_path / "store", method=method)
        else:
            explain(model, tmp_path / "store", method=method)
        assert torch.equal(torch.get_rng_state(), random)
        assert [module.training for module in model.modules()] == flags
        assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
        for name, parameter in model.named_parameters():
            assert parameter.grad is gradients.get(name)
            assert parameter.requires_grad is (name != "model.head.weight")
        assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in model.modules())

    @pytest.mark.parametrize("fails", [False, True])
    def test_the_trainer_and_the_data(self, model, tmp_path, fails):
        trainer = make_trainer(enable_progress_bar=True, callbacks=[Callback()], logger=True, inference_mode=True)
        callbacks, loggers = list(trainer.callbacks), trainer.loggers
        data = NoiseData(6, 2, limit=5)
        handler, level = signal.getsignal(signal.SIGTERM), logging.getLogger("lightning.pytorch").level
        filters = list(warnings.filters)
        method = Shade(fails_at=3 if fails else None)
        with data.passing(Pass(limit=3, blocks=[1], blocks_per_process=2)):
            if fails:
                with pytest.raises(RuntimeError, match="the power went out"):
                    explain(model, tmp_path / "store", data, method, trainer=trainer, limit=4)
            else:
                explain(model, tmp_path / "store", data, method, trainer=trainer, limit=4)
            assert data.current == Pass(limit=3, blocks=[1], blocks_per_process=2)
        assert trainer.callbacks == callbacks
        assert trainer.predict_loop.inference_mode is True
        assert trainer.loggers == loggers
        assert (data.current, data.limit, data.preprocessing) == (Pass(limit=5), 5, None)
        assert signal.getsignal(signal.SIGTERM) == handler
        assert logging.getLogger("lightning.pytorch").level == level
        assert warnings.filters == filters

    def test_the_same_trainer_explains_again(self, model, tmp_path):
        trainer = make_trainer()
        digests = {explain(model, tmp_path / name, trainer=trainer).digest() for name in ("a", "b")}
        assert len(digests) == 1


class TestWhatTheUserSees:
    @pytest.fixture(autouse=True)
    def elsewhere(self, tmp_path, monkeypatch):
        (tmp_path / "cwd").mkdir()
        monkeypatch.chdir(tmp_path / "cwd")

    @pytest.mark.parametrize("logger", [False, None, True])
    def test_no_folder_of_logs_appears(self, model, tmp_path, logger):
        explain(model, tmp_path / "store", trainer=make_trainer(logger=logger, enable_checkpointing=True))
        assert os.listdir(tmp_path / "cwd") == []

    def test_a_logger_that_was_given_is_there_for_callbacks(self, model, tmp_path):
        class Counts(Callback):
            def on_predict_end(self, trainer, pl_module):
                trainer.loggers[0].log_metrics({"blocks": 5})

        logger = CSVLogger(tmp_path / "logs")
        explain(model, tmp_path / "store", trainer=make_trainer(logger=logger, callbacks=[Counts()]))
        logger.save()
        assert "blocks" in (tmp_path / "logs" / "lightning_logs" / "version_0" / "metrics.csv").read_text()

    def test_is_one_progress_bar_and_nothing_of_lightnings(self, model, tmp_path, capfd, caplog):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            explain(
                model, tmp_path / "store", NoiseData(10, 2, broken={3}), trainer=Trainer(accelerator="cpu", devices=1)
            )
        assert [str(warning.message) for warning in caught] == []
        assert [record.getMessage() for record in caplog.records] == []
        out, err = capfd.readouterr()
        assert out == ""
        plan, *bar = err.splitlines()
        assert plan == "lit-coiba: explaining 10 images with Shade, a map an image; on 1 CPU process"
        assert all(state.startswith("Explaining: ") for state in bar)
        assert "5/5 blocks, 00:00 left" in err
        assert err.rstrip().endswith("images/s, 1 failed")

    def test_no_bar_where_none_is_wanted(self, model, tmp_path, capfd):
        explain(model, tmp_path / "store")
        assert capfd.readouterr() == ("", "")

    def test_the_users_callbacks_run_and_lightnings_bar_does_not(self, model, tmp_path):
        seen = []

        class Watch(Callback):
            def on_predict_batch_end(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0):
                seen.append((batch.block, outputs.ids, [type(callback) for callback in trainer.callbacks]))

        trainer = make_trainer(enable_progress_bar=True, callbacks=[Watch()])
        explain(model, tmp_path / "store", NoiseData(4, 2), trainer=trainer)
        assert [(block, ids) for block, ids, _ in seen] == [(0, tuple(IDS[:2])), (1, tuple(IDS[2:4]))]
        kinds = seen[0][2]
        assert BlockProgress in kinds
        assert type(trainer.progress_bar_callback) not in kinds
