"""``--model CLASS``: by word, by file, by checkpoint."""

import sys
import types
import warnings

import pytest
import yaml

from lit_coiba.cli import main
from lit_coiba.cli.parsing.module_choice import chosen_module
from lit_coiba.cli.verbs import all_verbs
from lit_coiba.core.errors import InputError
from lit_coiba.data.synthetic.dataset import SPLITS
from lit_coiba.training import Classifier, HarmonizedClassifier

FIT = all_verbs()["fit"]
NETWORK = {
    "name": "resnet10t",
    "num_classes": 20,
    "image_size": 32,
    "timm_kwargs": {"channels": [8, 8, 8, 8], "stem_width": 8},
}


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setitem(SPLITS, "train", range(16))
    monkeypatch.setitem(SPLITS, "val", range(10_000, 10_008))
    monkeypatch.setitem(SPLITS, "test", range(11_000, 11_008))


def test_a_word_a_file_and_the_last_of_both(tmp_path):
    file = tmp_path / "x.yaml"
    file.write_text("model: {class_path: HarmonizedClassifier, weight: 2}")
    below = tmp_path / "below.yaml"
    below.write_text("model: {class_path: lit_coiba.training.HarmonizedClassifier, init_args: {weight: 2}}")

    assert chosen_module(FIT, ["--model.lr", "1"]) == (["--model.lr", "1"], Classifier)
    assert chosen_module(FIT, ["--model", "HarmonizedClassifier", "--x"]) == (["--x"], HarmonizedClassifier)
    assert chosen_module(FIT, ["--model=HarmonizedClassifier"]) == ([], HarmonizedClassifier)
    for one in (file, below):
        assert chosen_module(FIT, ["-c", str(one)]) == (["-c", str(one)], HarmonizedClassifier)
        assert chosen_module(FIT, ["-c", str(one), "--model", "Classifier"]) == (["-c", str(one)], Classifier)


def test_a_class_of_ones_own_by_its_path(monkeypatch):
    module = types.ModuleType("own_training")
    module.Mine = type("Mine", (Classifier,), {})
    module.Other = type("Other", (), {})
    monkeypatch.setitem(sys.modules, "own_training", module)

    assert chosen_module(FIT, ["--model", "own_training.Mine"])[1] is module.Mine
    for name, message in (
        ("own_training.Other", "class own_training.Other does not exist"),
        ("missing_training.Mine", "missing_training.Mine cannot be imported"),
        ("HarmonisedClassifier", "did you mean HarmonizedClassifier"),
        ("3", "--model 3 is no class"),
    ):
        with pytest.raises(InputError, match=message):
            chosen_module(FIT, ["--model", name])


def test_a_verb_of_another_module_takes_no_class():
    args = ["--model", "HarmonizedClassifier"]
    assert chosen_module(all_verbs()["explain"], args)[0] == args


def run(*words):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return main([*words, "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"])


def test_fit_saves_the_class_and_others_take_it_from_the_checkpoint(tmp_path, monkeypatch, few, capsys):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "x.yaml"
    file.write_text(
        yaml.safe_dump({"model": {"class_path": "HarmonizedClassifier", "backbone": NETWORK, "weight": 2.0}})
    )
    data = ["--data", "SyntheticParts", "--data.size", "32", "--data.batch_size", "8"]
    words = [*data, "--data.multi_target", "false", "--trainer.max_epochs", "1", "--trainer.log_every_n_steps", "1"]

    export = "[{class_path: lit_coiba.callbacks.ExportWeights, init_args: {file: weights.safetensors}}]"
    more = ["--model.lr", "0.01", "--trainer.default_root_dir", "one", "--trainer.callbacks", export]
    assert run("fit", "-c", str(file), *words, *more) == 0
    assert "| accuracy, test |" in (tmp_path / "weights.md").read_text()

    (version,) = (tmp_path / "one" / "lightning_logs").glob("version_*")
    saved = yaml.safe_load((version / "config.yaml").read_text())["model"]
    assert (saved["class_path"], saved["weight"], saved["lr"]) == ("HarmonizedClassifier", 2.0, 0.01)
    (checkpoint,) = (version / "checkpoints").glob("*.ckpt")
    capsys.readouterr()
    validation = [*data, "--data.multi_target", "false"]
    assert run("validate", "--ckpt_path", str(checkpoint), *validation) == 0
    assert "val/alignment" in capsys.readouterr().out
    assert run("validate", "--model", "Classifier", "--ckpt_path", str(checkpoint), *validation) == 0
    assert "val/alignment" not in capsys.readouterr().out
    assert run("fit", "-c", str(version / "config.yaml"), "--trainer.default_root_dir", "two") == 0
    assert run("predict", "--ckpt_path", str(checkpoint), *data, "--output", "table.csv", "--data.limit", "4") == 0


def test_the_help_page_has_the_keys_of_the_class(capsys):
    assert main(["fit", "--model", "HarmonizedClassifier", "--help"]) == 0
    page = capsys.readouterr().out
    assert "training by HarmonizedClassifier" in page
    assert "--model.map_sigma" in page
    assert "--model.trained_layers" in page  # of the class that it derives from
    assert max(map(len, page.splitlines())) <= 120
