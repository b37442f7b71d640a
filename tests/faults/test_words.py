"""What people type wrong, on the command line and in Python: one sentence, which says what to type instead."""

import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import lit_coiba
from lit_coiba import Class, Explainer, GradCAM, ImageFolder, Saliency
from lit_coiba.cli import main
from lit_coiba.cli.pages.method_cards import GROUPS, grouped, pages
from lit_coiba.cli.parsing.metric_words import metrics_last
from lit_coiba.cli.parsing.quick_check import _parameters, check_words
from lit_coiba.cli.verbs import all_verbs
from lit_coiba.core.errors import InputError
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import AttributionMethod
from lit_coiba.core.targets import parse_target, resolve
from lit_coiba.metrics import Metric
from lit_coiba.trainer import Trainer

TINY = [
    *("--model.backbone.name", "vit_tiny_patch16_224", "--model.backbone.image_size", "32"),
    *("--model.backbone.num_classes", "3"),
    *("--model.backbone.timm_kwargs", "{depth: 1, embed_dim: 12, num_heads: 2, patch_size: 16}"),
    *("--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", "--data.num_workers", "0"),
]
EXPLAIN = ["explain", *TINY, "--model.method", "Saliency", "--data.root", "im", "--store", "s"]
pytestmark = pytest.mark.filterwarnings("ignore:the data have")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            (tmp_path / "im" / split / name).mkdir(parents=True)
            pixels = random.integers(0, 256, (20, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "im" / split / name / "0.png")
    return tmp_path


def told(capsys, *words):
    """The sentence that a command ends with."""
    capsys.readouterr()
    assert main(list(words)) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "lit-coiba: error: " in line]
    assert len(line) < 520
    return line.removeprefix("lit-coiba: error: ")


CASES = {
    # words of another program, and typos, before PyTorch is loaded
    "--output x": "unknown key output: did you mean --store DIR?",
    "--preset fast": "unknown key preset: did you mean -c configs/method/coiba_fast.yaml",
    "--batch_size 4": "unknown key batch_size: did you mean --data.batch_size?",
    "--stroe x": "unknown key stroe: did you mean store?",
    "--data im": "--data im is a path, but --data takes a class: write --data.root im for a folder of images",
    # classes
    "--model.method gradcam": "model.method: class gradcam does not exist: did you mean GradCAM?",
    "--model.method grad_cam": "model.method: class grad_cam does not exist: did you mean GradCAM?",
    "--model.head InfoDisent": "model.head: class InfoDisent does not exist: did you mean InfoDisentHead?",
    "--model.head os.path": "--model.head expects the name of a class, Head, or module.Class, or null, got 'os.path'",
    # the same key is never what was meant
    "--model.method.beta 3": "unknown key model.method.beta: model.method has reduce",
    # values
    "--model.backbone.mean 0.5": '--model.backbone.mean expects 3 numbers in a list, such as "[0.5, 0.5, 0.5]"',
    "--limit ten": "--limit expects an integer, or null, got 'ten' (Number of images to explain)",
    "--data.batch_size null": "--data.batch_size expects an integer or auto, got null",
    "--data.columns 5": '--data.columns expects a mapping, such as "{name: value}", or null, got',
    "--data.classes [a,b]": "--data.classes expects a path, or null, got ['a', 'b'] (File with the class names",
    "--seed_everything -1": "--seed_everything is -1: give an integer from 0 to 4294967295",
    "--seed_everything 4294967296": "--seed_everything is 4294967296: give an integer from 0 to",
    "--store=": "--store is empty: give",
    "--data.root=": "--data.root is empty: give",
    "--model.backbone.checkpoint=": "--model.backbone.checkpoint is empty: give",
    # targets
    "--model.targets runnerup": "targets is 'runnerup': did you mean runner_up?",
    "--model.targets 1.5": "targets is '1.5': give predicted",
    "--model.targets class:bass": "targets: 'bass' can only be the name of a class, and the class names are unknown",
}


@pytest.mark.parametrize("words", CASES)
def test_one_sentence(words, folder, capsys):
    (folder / "flat").mkdir()
    (folder / "im" / "val" / "cat" / "0.png").rename(folder / "flat" / "0.png")
    given = ["flat" if word == "im" and "classes" not in words else word for word in EXPLAIN]
    option, _, value = words.partition(" ")
    assert told(capsys, *given, option, *([value] if value else [])).startswith(CASES[words])


def test_a_wrong_word_costs_no_import_of_torch(folder, capsys):
    before = time.perf_counter()
    told(capsys, "explain", "--outptu", "x")
    assert time.perf_counter() - before < 1
    verb = all_verbs()["explain"]
    assert {"store", "limit", "shard"} <= _parameters("lit_coiba.trainer.trainer", "Trainer", verb.name)
    check_words(verb, ["--store", "x", "-c", "a.yaml", "--model.method", "IBA", "--data.root=x", "--data", "mine.Data"])


@pytest.mark.parametrize(("key", "value"), [("lr", "-1"), ("lr", "0"), ("lr", ".nan"), ("warmup", "2")])
def test_numbers_of_a_training(key, value, folder, capsys):
    """`FIT --model.lr -1` was a ValueError of torch's."""
    assert told(capsys, "fit", *TINY, "--data.root", "im", f"--model.{key}", value).startswith(f"{key} is ")


def test_what_the_users_own_function_raises_says_where(folder, capsys, monkeypatch):
    """A ValueError in a user's build() gave no context."""
    (folder / "their_module.py").write_text("def build(size: int = 3):\n    raise ValueError('no such file: w.pt')\n")
    monkeypatch.syspath_prepend(str(folder))
    words = ["--model.backbone", "their_module.build", "--data.root", "im", "--store", "s"]
    sentence = told(capsys, "explain", "--model.method", "Saliency", *words)
    assert sentence.startswith("build in ")
    assert sentence.endswith("their_module.py, line 2, raised ValueError: no such file: w.pt")
    sys.modules.pop("their_module")


class TestMetricWords:
    def test_help_of_a_metric_is_shown_and_nothing_is_run(self, folder, capsys):
        words = ["benchmark", *TINY, "--data.root", "im", "--stores", "s", "--output", "b"]
        assert main([*words, "--model.metrics.best.help", "Insertion"]) == 0
        assert "--model.metrics.best.steps" in capsys.readouterr().out
        assert not Path("b").exists()
        assert "did you mean Insertion?" in told(capsys, *words, "--model.metrics.best.help", "insertion")

    def test_a_config_behind_them_takes_none_of_them_away(self):
        """`-c configs/benchmark/cells.yaml` after `--model.metrics.NAME` silently dropped that metric."""
        words = ["--model.metrics.best", "Insertion", "-c", "cells.yaml", "--model.metrics.best.steps=4"]
        assert metrics_last(words) == [
            *("-c", "cells.yaml"),
            *("--model.metrics.best", "Insertion", "--model.metrics.best.steps=4"),
        ]


def test_methods_are_grouped_and_one_is_recommended(capsys):
    assert [name for names in GROUPS.values() for name in names if not hasattr(lit_coiba.attribution, name)] == []
    assert "other" not in grouped(pages())  # a new method is put into a group
    assert main(["methods"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Where to start: GradCAM")
    assert [line for line in lines if line.endswith(":") and line.startswith(("bottleneck", "gradient", "attention"))]


@pytest.mark.parametrize("verb", ["validate", "test", "predict"])
def test_help_lists_what_a_verb_uses(verb, capsys):
    assert main([verb, "--help"]) == 0
    page = capsys.readouterr().out
    for unused in ("model.lr", "model.mixup", "model.teacher", "data.augment"):
        assert f"--{unused}" not in page
    assert "--ckpt_path" in page


class TestPython:
    def test_a_text_is_a_target(self, tiny):
        images = torch.rand(2, 3, 32, 32)
        maps = Saliency().attribute(tiny, images, "runner_up")
        assert torch.equal(maps, Saliency().attribute(tiny, images, Class("runner_up")))
        with pytest.raises(InputError, match="did you mean runner_up"):
            Saliency().attribute(tiny, images, "runnerup")

    def test_the_name_of_a_class(self):
        names = ("tench", "Bull mastiff", "bull_terrier")
        rows = resolve("bull_mastiff", torch.zeros(2, 3, 4, 4), 3, lambda: torch.eye(3)[:2], names)
        assert rows.index.tolist() == [1, 1]
        assert parse_target("bull mastiff") == Class("bull mastiff")
        with pytest.raises(InputError, match="the nearest names are Bull mastiff"):
            resolve("bull mastif", torch.zeros(2, 3, 4, 4), 3, lambda: torch.eye(3)[:2], names)

    def test_arguments_that_are_swapped(self, tiny, folder):
        trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False)
        module, data = Explainer(tiny, Saliency()), ImageFolder("im")
        for call in (
            lambda: trainer.explain(data, module, "s"),
            lambda: trainer.explain(tiny, data, "s"),
            lambda: trainer.explain(module, ["im"], "s"),
        ):
            with pytest.raises(InputError, match=r"give first the model, such as Explainer.* and then the data"):
                call()

    def test_a_method_is_an_instance(self, tiny):
        with pytest.raises(InputError, match=r"method is the class GradCAM: give an instance, GradCAM\(\)"):
            Explainer(tiny, GradCAM)
        with pytest.raises(InputError, match="method is the text 'GradCAM': give an instance of a method"):
            Explainer(tiny, "GradCAM")
        with pytest.raises(InputError, match="backbone is a Linear: give a Backbone"):
            Explainer(torch.nn.Linear(2, 2), Saliency())

    def test_an_argument_that_is_not_kept(self):
        """A user's method that does not keep its arguments as attributes was an AttributeError."""

        class Forgetful(AttributionMethod):
            def __init__(self, sigma=1.0):
                pass

            def _explain(self, model, images, targets):
                return Explanation(torch.zeros(len(images), 2, 2))

        class ForgetfulMetric(Metric):
            def __init__(self, sigma=1.0):
                super().__init__()

            def score(self, maps):
                return maps.mean((1, 2))

        with pytest.raises(InputError, match=r"Forgetful does not keep its argument sigma.*: set self.sigma = sigma"):
            Forgetful().identity()
        with pytest.raises(InputError, match="ForgetfulMetric does not keep its argument sigma"):
            ForgetfulMetric().identity()


@pytest.fixture
def tiny():
    kwargs = {"depth": 1, "embed_dim": 12, "num_heads": 2, "patch_size": 16}
    return lit_coiba.Backbone("vit_tiny_patch16_224", num_classes=3, image_size=32, timm_kwargs=kwargs)
