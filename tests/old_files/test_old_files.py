"""Files that version 0.1.0 wrote, with its words, open: a store, a checkpoint, config files and prototypes.

``0.1.0/`` was made by that version on 16 generated pictures for each split (see `few`): a one-block ViT with a linear
head was trained, explained by ``RandomMap`` with ``cells`` 3 for the targets ``top-2``, and its prototypes found.
"""

from __future__ import annotations

import json
import shutil
from importlib import import_module
from inspect import signature
from pathlib import Path

import pytest
import torch
import yaml

from lit_coiba import attribution, metrics
from lit_coiba.backbones import Backbone
from lit_coiba.core import old_names
from lit_coiba.data.synthetic.dataset import SPLITS
from lit_coiba.prototypes import Prototypes
from lit_coiba.store import ExplanationStore, Manifest, merge
from lit_coiba.training.classifier import Classifier
from tests.cli.conftest import command  # noqa: F401 - a fixture

OLD = Path(__file__).parent / "0.1.0"
DIGEST = "75311b2debad229ce4720e058226f5ca1ef5ed51b0a54616a943565b0dca0d44"  # of the store's content
IDENTITY = "3c2556cfb7a9f6a5a655b230e9234307d94bbb4b169a9d9fb368e8e2eaccaa84"
OLDER = pytest.mark.filterwarnings("ignore:.*did not note the size and time", "ignore:.*carries no digest")
DATA = ["--data", "SyntheticParts", "--data.batch_size", "2", "--data.limit", "4"]
CALM = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
MODEL = [
    *("--model.backbone.name", "vit_tiny_patch16_224", "--model.backbone.image_size", "64"),
    *("--model.backbone.num_classes", "20", "--model.weights", "classifier.ckpt"),
    *("--model.backbone.timm_kwargs", "{depth: 1, embed_dim: 4, num_heads: 1, patch_size: 16}"),
]
EXPLAIN = ["explain", *MODEL, *DATA, *CALM, "--model.method", "RandomMap", "--model.method.grid_size", "3"]


@pytest.fixture
def old(command, tmp_path, monkeypatch):  # noqa: F811
    """Runs a command beside a copy of the files, on the pictures that they were made of."""
    shutil.copytree(OLD, tmp_path, dirs_exist_ok=True)
    few(monkeypatch)
    return command


def few(monkeypatch: pytest.MonkeyPatch) -> None:
    for split, first in (("train", 0), ("val", 10_000), ("test", 11_000)):
        monkeypatch.setitem(SPLITS, split, range(first, first + 16))


@OLDER
def test_a_store_goes_on_under_its_own_digest(old):
    assert ExplanationStore("store").digest() == DIGEST
    before = sorted(Path("store/blocks").iterdir())
    done = old(*EXPLAIN, "--model.targets", "top2", "--store", "store")
    assert done.status == 0, done.err
    assert sorted(Path("store/blocks").iterdir()) == before
    assert ExplanationStore("store").manifest.digest == IDENTITY
    for file in before:
        file.unlink()
    Path("part").mkdir()
    shutil.copy("store/manifest.json", "part")
    for folder, shard in (("store", "0/2"), ("part", "1/2")):
        done = old(*EXPLAIN, "--model.targets", "top2", "--store", folder, "--shard", shard)
        assert done.status == 0, done.err
    new = old(*EXPLAIN, "--model.targets", "top2", "--store", "new", "--shard", "1/2")  # an identity in today's words
    assert new.status == 0, new.err
    assert ExplanationStore("new").manifest.digest != IDENTITY
    assert merge("joined", ["store", "new"]).digest() == DIGEST
    assert merge("store", ["part"]).digest() == DIGEST
    other = old(*EXPLAIN, "--model.targets", "top2", "--store", "store", "--model.method.grid_size", "4")
    assert other.status == 2
    assert "(old -> new): method.grid_size 3 -> 4;" in other.error


@OLDER
def test_a_store_is_scored_as_the_row_that_it_is(old):
    one = ["--model.metrics.deletion", "Deletion", "--model.metrics.deletion.steps", "2"]
    shutil.move("store", "Random")  # the name of a row that every table has: not refused, since it is that method
    row = json.loads(Path("Random/manifest.json").read_text())
    row["identity"]["method"]["cells"] = 14  # as the table's own
    Path("Random/manifest.json").write_text(json.dumps(row))
    for file in Path("Random/blocks").iterdir():
        file.unlink()
    explain = [word if word != "3" else "14" for word in EXPLAIN]
    assert old(*explain, "--model.targets", "top2", "--store", "Random").status == 0
    done = old("benchmark", *MODEL, *DATA, *CALM, *one, "--stores", "Random", "--output", "table")
    assert done.status == 0, done.err


def test_a_checkpoint(old):
    done = old("validate", *DATA, *CALM, "--ckpt_path", "classifier.ckpt")
    assert done.status == 0, done.err
    images = torch.linspace(-2, 2, 2 * 3 * 64 * 64).sin().view(2, 3, 64, 64)
    one, other = Classifier.load_from_checkpoint("classifier.ckpt").eval(), Backbone.load("classifier.ckpt").eval()
    torch.testing.assert_close(one(images), other(images), rtol=0, atol=0)
    assert type(other.head).__name__ == "LinearHead"


def test_config_files_say_what_is_called_otherwise_now(old):
    done = old("explain", "-c", "explain.yaml", *CALM, "--store", "smooth", "--print_config")
    told = yaml.safe_load(done.out)["model"]
    assert told["method"]["init_args"]["n_samples"] == 2
    assert told["targets"] == "top2"
    warned = [line for line in done.err.splitlines() if "is called" in line]
    assert warned == [
        "lit-coiba: warning: model.method.copies is called n_samples now",
        "lit-coiba: warning: model.targets: top-2 is called top2 now",
    ]
    done = old("benchmark", "-c", "benchmark.yaml", "--print_config")
    assert done.status == 0, done.err
    told = yaml.safe_load(done.out)["model"]["metrics"]["deletion"]["init_args"]
    assert (told["grid_size"], told["baseline"]) == (4, "zero")
    assert "model.metrics.deletion.cells is called grid_size now" in done.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--model.method", "RISE", "--model.method.cells", "5"], ("grid_size", 5)),
        (["--model.method=RISE", "--model.method.cells=5"], ("grid_size", 5)),
        (["--model.method.n", "9", "--model.method", "lit_coiba.attribution.RISE"], ("n_samples", 9)),
        (["--model.method.class_path", "HSIC", "--model.method.init_args.n", "9"], ("n_samples", 9)),
        (["-c", "{model: {method: {class_path: InputIBA, init_args: {samples: 7}}}}"], ("n_samples", 7)),
    ],
)
def test_words(old, words, told):
    done = old("explain", *MODEL, *DATA, *words, "--store", "s", "--print_config")
    assert done.status == 0, done.err
    assert yaml.safe_load(done.out)["model"]["method"]["init_args"][told[0]] == told[1]
    assert done.err.count(f"is called {told[0]} now") == 1


def test_words_of_other_classes_stay(old):
    words = ["--model.method", "CoIBA", "--model.method.copies", "3"]
    done = old("explain", *MODEL, *DATA, *words, "--store", "s", "--print_config")
    assert yaml.safe_load(done.out)["model"]["method"]["init_args"]["copies"] == 3
    assert done.err == ""


def test_classes_that_have_moved(old):
    words = ["--data", "lit_coiba.data.cub200.CUB200", "--data.root", "d", "--store", "s", "--print_config"]
    done = old("explain", *MODEL, *words)
    assert done.status == 0, done.err
    assert yaml.safe_load(done.out)["data"]["class_path"].endswith("CUB200")
    assert "data: lit_coiba.data.cub200.CUB200 is called lit_coiba.data.released.cub200.CUB200 now" in done.err


@OLDER
def test_prototypes(old):
    found = Prototypes("prototypes")
    assert found.digest() == "124bd0a1337d8354e312211bce7d1411947fe63fb3fc6c1329e0e8e1a4b94dbd"
    told = json.loads(Path("prototypes/prototypes.json").read_text())
    Path("prototypes/prototypes.json").write_text(json.dumps({**told, "silent": [1], "unused": [2], "twins": [[0, 3]]}))
    found = Prototypes("prototypes")
    assert (found.dead, found.unused, found.duplicate) == ([1], [2], [(0, 3)])
    words = ["prototypes", *MODEL, *DATA[:2], "--data.batch_size", "8", *CALM, "--model.patches", "1", "--limit", "8"]
    done = old(*words, "--output", "prototypes", "--pages", "0")
    assert done.status == 0, done.err  # it is the same run


class TestTheTable:
    @pytest.mark.parametrize("kind", old_names.ARGUMENTS)
    def test_its_classes_have_the_new_names_and_no_old_one(self, kind):
        known = signature(getattr(attribution, kind, None) or getattr(metrics, kind)).parameters
        for old, new in old_names.ARGUMENTS[kind].items():
            assert new in known
            assert old not in known

    @pytest.mark.parametrize("module", old_names.MODULES)
    def test_its_modules_have_moved(self, module):
        import_module(f"lit_coiba.{old_names.MODULES[module]}")
        with pytest.raises(ModuleNotFoundError):
            import_module(f"lit_coiba.{module}")

    def test_an_identity_is_translated_wherever_a_class_is_told_of(self):
        one = {
            "metrics": {"d": {"class": "Deletion", "cells": 4, "baseline": "zeros"}},
            "scores of": {"class": "LIME", "n": 3},
        }
        new = {
            "metrics": {"d": {"class": "Deletion", "grid_size": 4, "baseline": "zero"}},
            "scores of": {"class": "LIME", "n_samples": 3},
        }
        assert old_names.current_identity(one) == new
        assert Manifest(one).differences(Manifest(new)) == []
        assert Manifest(one).digest != Manifest(new).digest
        mine = {"method": {"class": "mine.LIME", "n": 3}}
        assert old_names.current_identity(mine) == mine


@pytest.mark.parametrize("kind", sorted(old_names.ADDED))
def test_arguments_that_came_later_stand_for_what_was_done_before(kind):
    method = getattr(attribution, kind)()
    known = {"class": kind, **method.identity()}
    before = {name: value for name, value in known.items() if name not in old_names.ADDED[kind]}
    assert len(before) < len(known)
    assert Manifest({"method": before}).told(Manifest({"method": known})) == ""
    other = {**known, next(iter(old_names.ADDED[kind])): "other"}
    assert Manifest({"method": before}).told(Manifest({"method": other}))
