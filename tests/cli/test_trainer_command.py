"""The verbs that run a Trainer: what a command line means, and what it leaves behind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from lit_coiba.store import ExplanationStore
from tests.cli.conftest import CALM, TINY

pytestmark = [
    pytest.mark.filterwarnings("ignore:activation statistics of"),  # of a handful of images
    pytest.mark.filterwarnings("ignore:The number of training batches"),  # and so is what is trained on
]


def printed(command, *words: str) -> dict:
    """What a command would run with."""
    outcome = command(*words, "--print_config")
    assert outcome.status == 0, outcome.err
    return yaml.safe_load(outcome.out)


class TestWhatACommandMeans:
    def test_the_shortest_one(self, command):
        config = printed(command, "explain", "--model.backbone.name", "resnet18", "--data.root", "d", "--store", "s")
        assert config["data"]["class_path"] == "lit_coiba.ImageFolder"
        assert config["model"]["method"]["class_path"] == "lit_coiba.CoIBA"
        assert config["model"]["method"]["init_args"]["copies"] == 10
        assert config["trainer"]["logger"] is False
        assert config["trainer"]["enable_checkpointing"] is False
        assert config["seed_everything"] == 0

    @pytest.mark.parametrize(
        ("words", "key", "value"),
        [
            (["--data", "SyntheticParts"], ("data", "class_path"), "lit_coiba.SyntheticParts"),
            (["--data.class_path", "SyntheticParts"], ("data", "class_path"), "lit_coiba.SyntheticParts"),
            (["--data", "lit_coiba.data.SyntheticParts"], ("data", "class_path"), "lit_coiba.data.SyntheticParts"),
            (["--data", "lit_coiba.SyntheticParts"], ("data", "class_path"), "lit_coiba.SyntheticParts"),
            (["--model.method", "Sobol"], ("model", "method", "class_path"), "lit_coiba.attribution.Sobol"),
            (["--data.batch_size", "3"], ("data", "init_args", "batch_size"), 3),
            (["--model.method.copies", "4"], ("model", "method", "init_args", "copies"), 4),
            (["--model.method", "Saliency"], ("model", "method", "class_path"), "lit_coiba.Saliency"),
            (["--model.targets", "top3"], ("model", "targets"), "top3"),
            (["--model.targets", "5"], ("model", "targets"), "5"),
            (["--model.weights", "FILE"], ("model", "weights"), "FILE"),
            (["--limit", "7"], ("limit",), 7),
            (["--trainer.precision", "auto"], ("trainer", "precision"), "auto"),
        ],
    )
    def test_keys(self, command, words, key, value):
        config = printed(command, "explain", *words)
        for part in key:
            config = config[part]
        assert str(config) == str(value)

    @pytest.mark.parametrize("before", [[], ["-c", "configs/method/coiba.yaml"], ["--model.method.copies", "3"]])
    def test_another_method_starts_from_its_own_defaults(self, command, before):
        """jsonargparse alone would hand CoIBA's beta of 1 to IBA, whose own is 10."""
        arguments = printed(command, "explain", *before, "--model.method", "IBA")["model"]["method"]["init_args"]
        assert (arguments["beta"], arguments["active_threshold"]) == (10.0, 0.01)
        assert arguments["copies"] == (3 if "--model.method.copies" in before else 10)
        assert "grids" not in arguments

    def test_words_may_stand_before_the_one_that_names_their_class(self, command):
        data = printed(command, "explain", "--data.size", "32", "--data", "SyntheticParts")["data"]
        assert data["class_path"] == "lit_coiba.SyntheticParts"
        assert data["init_args"]["size"] == 32

    def test_what_is_printed_is_a_config_that_runs(self, explain, command, photos):
        words = ["--model.method", "Saliency", *TINY, *CALM, "--data.root", str(photos), "--store", "one"]
        Path("all.yaml").write_text(command("explain", *words, "--print_config").out)
        assert command("explain", *words).status == 0
        assert command("explain", "-c", "all.yaml", "--store", "two").status == 0
        assert ExplanationStore("one").digest() == ExplanationStore("two").digest()

    def test_help_of_another_class(self, command):
        outcome = command("explain", "--model.method.help", "IBA")
        assert outcome.status == 0
        assert "--model.method.smoothing" in outcome.out


def test_references_across_three_files_follow_an_override_on_the_command_line(command, photos):
    Path("model.yaml").write_text(
        """
        model:
          backbone:
            name: vit_tiny_patch16_224
            num_classes: 3
            image_size: 32
            timm_kwargs: {depth: 2, embed_dim: 12, num_heads: 2, patch_size: 8}
          targets: top2
        """
    )
    Path("data.yaml").write_text(
        f"""
        data:
          class_path: ImageFolder
          init_args: {{root: {photos}, batch_size: 2, num_workers: 0}}
        store: runs/${{model.targets}}
        """
    )
    Path("method.yaml").write_text(
        """
        trainer: {accelerator: cpu, enable_progress_bar: false}
        model:
          method:
            class_path: CoIBA
            init_args:
              steps: 2
              copies: ${data.init_args.batch_size}
              seed: ${model.backbone.init_args.num_classes}
        """
    )
    files = ["-c", "method.yaml", "-c", "model.yaml", "-c", "data.yaml"]
    assert command("explain", *files, "--data.batch_size", "3").status == 0
    identity = json.loads(Path("runs/top2/manifest.json").read_text())["identity"]
    assert identity["block_size"] == 3
    assert (identity["method"]["copies"], identity["method"]["seed"], identity["method"]["steps"]) == (3, 3, 2)
    assert len(ExplanationStore("runs/top2")) == 12


class TestExplain:
    def test_a_folder_and_again(self, explain, photos):
        words = ["--data.root", str(photos), "--store", "runs/x", "--limit", "4", "--model.targets", "top2"]
        first = explain(*words)
        assert first.status == 0
        assert first.out == "8 explanations of 4 images are in runs/x\nPreview: runs/x/contact_sheet.png\n"
        written = {file: file.stat().st_mtime_ns for file in Path("runs/x/blocks").iterdir()}
        assert explain(*words).status == 0
        assert {file: file.stat().st_mtime_ns for file in Path("runs/x/blocks").iterdir()} == written
        assert Path("runs/x/contact_sheet.png").exists()
        assert not Path("lightning_logs").exists()

    def test_without_pictures(self, explain, photos):
        words = ["--data.root", str(photos), "--store", "runs/y", "--limit", "2"]
        outcome = explain(*words, "--pictures", "false")
        assert outcome.out == "2 explanations of 2 images are in runs/y\n"
        assert not list(Path("runs/y").glob("*.png"))
        assert explain(*words).out.endswith("Preview: runs/y/contact_sheet.png\n")  # what is missing is drawn

    def test_a_module_of_ones_own(self, command, photos, tmp_path, monkeypatch):
        monkeypatch.syspath_prepend(str(tmp_path))
        Path("own_backbone.py").write_text(
            "from torch import nn\n"
            "from lit_coiba.backbones import Backbone\n"
            "from lit_coiba.core.preprocessing import Preprocessing\n"
            "def make(channels: int = 2) -> Backbone:\n"
            "    pooled = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 5)]\n"
            "    module = nn.Sequential(nn.Conv2d(3, channels, 4, 4), nn.ReLU(), *pooled)\n"
            "    return Backbone.wrap(module, Preprocessing(size=(32, 32)))\n"
        )
        words = ["--model.method", "Saliency", *CALM, "--data.root", str(photos)]
        words += ["--model.backbone", "own_backbone.make"]
        assert command("explain", *words, "--model.backbone.channels", "3", "--store", "x").status == 0
        assert len(ExplanationStore("x")) == 6

    def test_with_statistics_made_before(self, command, explain, photos):
        coiba = ["-c", "configs/method/coiba.yaml", "--model.method.steps", "2", "--model.method.copies", "2"]
        data = ["--data.root", str(photos)]
        made = command("statistics", *coiba, *TINY, *CALM, *data, "--file", "statistics.safetensors", "--images", "6")
        assert made.status == 0
        assert made.out == "Statistics of 6 images are in statistics.safetensors, for blocks.0.norm1, blocks.1.norm1\n"
        given = ["--model.method.statistics", "statistics.safetensors"]
        assert command("explain", *coiba, *TINY, *CALM, *data, *given, "--store", "x").status == 0
        assert not Path("x/statistics.safetensors").exists()

    @pytest.mark.parametrize(("signal", "status"), [(KeyboardInterrupt(), 130), (SystemExit(143), 143)])
    def test_an_interrupted_run_says_that_it_goes_on(self, explain, photos, monkeypatch, signal, status):
        def interrupted(*_):
            raise signal

        monkeypatch.setattr("lit_coiba.attribution.saliency.Saliency.explain_cells", interrupted)
        outcome = explain("--data.root", str(photos), "--store", "x")
        assert outcome.status == status
        assert outcome.err.splitlines()[-1] == "lit-coiba: interrupted; the same command continues where it stopped"

    def test_an_error_of_ours_keeps_its_traceback(self, explain, photos, monkeypatch):
        def wrong(*_):
            raise RuntimeError("a bug")

        monkeypatch.setattr("lit_coiba.attribution.saliency.Saliency.explain_cells", wrong)
        with pytest.raises(RuntimeError, match="a bug"):
            explain("--data.root", str(photos), "--store", "x")

    def test_memory_that_does_not_suffice_is_no_bug(self, explain, photos, monkeypatch):
        def hungry(*_):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

        monkeypatch.setattr("lit_coiba.attribution.saliency.Saliency.explain_cells", hungry)
        outcome = explain("--data.root", str(photos), "--store", "x")
        assert outcome.status == 2
        assert outcome.error == "the accelerator is out of memory: set a smaller data.batch_size (CUDA out of memory)"


class TestFit:
    @pytest.fixture
    def fit(self, command, photos):
        words = ["fit", *TINY[:4], *TINY[6:], *CALM, "--data.root", str(photos), "--data.batch_size", "2"]
        return lambda *more: command(*words, "--trainer.enable_model_summary", "false", "--trainer.max_epochs", *more)

    def test_a_fit_its_checkpoint_and_what_can_be_done_with_it(self, fit, command, explain, photos):
        done = fit("1")
        assert done.status == 0
        checkpoint = str(next(Path("lightning_logs/version_0/checkpoints").glob("*.ckpt")))
        assert done.out.splitlines()[-1] == f"The checkpoint is {checkpoint}"
        assert Path("lightning_logs/version_0/config.yaml").exists()
        saved = torch.load(checkpoint, weights_only=True)
        assert saved["hyper_parameters"]["backbone"]["num_classes"] == 2  # nobody said so but the data

        data = ["--data.root", str(photos), *CALM]
        for verb in ("validate", "test", "predict"):
            assert command(verb, "--ckpt_path", checkpoint, *data).status == 0
        assert command("fit", "--ckpt_path", checkpoint, *data, "--trainer.max_epochs", "2").status == 0
        two = ["--model.backbone.num_classes", "2", "--model.weights", checkpoint]
        assert explain("--data.root", str(photos), "--store", "x", *two).status == 0

    def test_the_same_command_gives_the_same_weights(self, fit):
        weights = []
        for _ in range(2):
            assert fit("1").status == 0
            file = next(Path("lightning_logs/version_0/checkpoints").glob("*.ckpt"))
            weights.append(torch.load(file, weights_only=True)["state_dict"])
            shutil.rmtree("lightning_logs")
        assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])

    def test_the_number_of_classes_can_be_given_all_the_same(self, fit):
        assert fit("1", "--model.backbone.num_classes", "5").status == 0
        saved = torch.load(next(Path("lightning_logs").rglob("*.ckpt")), weights_only=True)
        assert saved["hyper_parameters"]["backbone"]["num_classes"] == 5

    def test_a_frozen_backbone_of_random_weights_is_told(self, fit):
        told = "lit-coiba: warning: no checkpoint given: the frozen backbone has random weights"
        first = fit("1", "--model.frozen", "true")
        assert first.status == 0
        assert told in first.err
        checkpoint = str(next(Path("lightning_logs").rglob("*.ckpt")))
        with_weights = ["--model.backbone.checkpoint", checkpoint], ["--ckpt_path", checkpoint]
        for quiet in ([], *(["--model.frozen", "true", *words] for words in with_weights)):
            outcome = fit("2", *quiet)
            assert outcome.status == 0, outcome.err
            assert "no checkpoint given" not in outcome.err

    def test_a_fit_without_validation_says_so(self, fit, photos, tmp_path):
        told = "lit-coiba: warning: the data have no validation images"
        assert fit("1").err.count(told) == 1  # six pictures that are in no split
        for split in ("train", "val"):
            shutil.copytree(photos, tmp_path / "split" / split)
        with_validation = ["--data.root", str(tmp_path / "split")]
        assert told not in fit("1", *with_validation).err
        assert told not in fit("1", *with_validation, "--trainer.limit_val_batches", "0").err

    @pytest.mark.parametrize("workers", ["0", "1"])
    def test_a_broken_picture_in_training_is_named(self, fit, broken_photos, workers):
        outcome = fit("1", "--data.root", str(broken_photos), "--data.num_workers", workers)
        assert outcome.status == 2
        assert outcome.error.startswith("sample apple/1.jpg: ")

    def test_no_such_checkpoint(self, command):
        outcome = command("test", "--ckpt_path", "nosuch.ckpt", "--data.root", ".")
        assert outcome.status == 2
        assert outcome.error == "--ckpt_path nosuch.ckpt does not exist: give the path of a Lightning checkpoint"
