"""A user's own head, method, metric, target, data and teacher work like ours: from a package outside the repository.

From the command line, in the order in which one works: fit, go on, validate, explain, merge, benchmark; then the files
that this left, from Python. A file never imports one of these classes: what it asks for has to be named.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from lit_coiba.backbones import Backbone
from lit_coiba.backbones.trained import load_trained
from lit_coiba.core.errors import InputError
from lit_coiba.modules.explainer import Explainer
from lit_coiba.modules.scorer import Scorer
from lit_coiba.prototypes import Prototypes
from lit_coiba.store import ExplanationStore
from lit_coiba.trainer import Trainer
from lit_coiba.training.classifier import Classifier
from tests.cli.conftest import CALM, TINY, command  # noqa: F401 - a fixture

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*Checkpoint directory", "ignore:.*in eval mode at the start"),
    pytest.mark.filterwarnings("ignore:The number of training batches", "ignore:Be aware that when using `ckpt_path`"),
]

DATA = ["--data", "my_package.MyData", *CALM]
MODEL = [word for word in TINY if word not in ("--model.backbone.num_classes", "3")]
HEAD = ["--model.head", "my_package.MyHead"]
QUIET = ["--trainer.log_every_n_steps", "1", "--trainer.enable_model_summary", "false"]
SENTENCE = (
    "has the head my_package.head.MyHead, a class outside lit-coiba, which no file may import: if you trust it, name it"
    " too, --model.head my_package.head.MyHead or in Python head=MyHead"
)


@pytest.fixture(scope="module")
def my_package(tmp_path_factory):
    """The package in a folder of its own, outside the repository."""
    folder = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(Path(__file__).parent / "my_package", folder / "my_package")
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))  # but it stays imported: jsonargparse looks at all classes that there are


def checkpoint(version: int) -> Path:
    (file,) = Path(f"lightning_logs/version_{version}/checkpoints").glob("*.ckpt")
    return file


def test_from_the_first_fit_to_the_table(command, my_package):  # noqa: F811
    def done(*words: str) -> str:
        outcome = command(*words)
        assert outcome.status == 0, outcome.err
        return outcome.out

    def refused(*words: str) -> str:
        outcome = command(*words)
        assert outcome.status == 2, outcome.out
        return outcome.error

    # Fit, with weights to ship; go on with what the checkpoint says; validate.
    export = "{class_path: lit_coiba.callbacks.ExportWeights, init_args: {file: mine.safetensors}}"
    fit = ["fit", *MODEL, *HEAD, "--model.head.scale", "3.0", *DATA, *QUIET, "--trainer.max_epochs", "1"]
    done(*fit, "--trainer.callbacks", f"[{export}]")
    first = checkpoint(0)
    told = torch.load(first, weights_only=True)["hyper_parameters"]
    assert told["head"] == {"class": "my_package.head.MyHead", "channels": 12, "classes": 3, "scale": 3.0}
    with safe_open("mine.safetensors", "pt") as file:
        assert json.loads(file.metadata()["classifier"])["head"] == told["head"]
    assert f"{first} {SENTENCE}" == refused("validate", *DATA, "--ckpt_path", str(first))
    done("validate", *DATA, *HEAD, "--ckpt_path", str(first))
    done("fit", *DATA, *QUIET, *HEAD, "--ckpt_path", str(first), "--trainer.max_epochs", "2")
    second = checkpoint(1)
    assert torch.load(second, weights_only=True)["hyper_parameters"]["head"] == told["head"]
    assert torch.load(second, weights_only=True)["epoch"] == 1

    # A teacher of one's own, whose weights have the head of one's own; go on with both named.
    teacher = ["--model.teacher", "my_package.MyTeacher", "--model.teacher.factor", "0.5"]
    backbone = [word.replace("model.backbone", "model.teacher.backbone") for word in TINY]
    taught = [*fit, *teacher, *backbone, "--model.teacher.weights", str(second)]
    assert "--model.teacher.head my_package.head.MyHead" in refused(*taught)
    done(*taught, "--model.teacher.head", "my_package.MyHead")
    third = checkpoint(3)  # version 2 was refused
    told = torch.load(third, weights_only=True)["hyper_parameters"]["teacher"]
    assert (told["class"], told["factor"]) == ("my_package.teacher.MyTeacher", 0.5)
    again = ["fit", *DATA, *QUIET, *HEAD, "--ckpt_path", str(third), "--trainer.max_epochs", "2"]
    assert "has the teacher my_package.teacher.MyTeacher" in refused(*again)
    done(*again, *teacher[:2], "--model.teacher.head", "my_package.MyHead")
    done("test", *DATA, *HEAD, "--ckpt_path", str(third))  # which takes no teacher

    # Explain in two shards, which are merged; go on with nothing to do.
    explain = ["explain", *TINY, *DATA, "--model.weights", str(second), "--model.method", "my_package.MyMethod"]
    assert SENTENCE in refused(*explain, "--store", "runs/all")
    explain += ["--model.targets", "my_package.MyTarget", "--model.targets.rank", "2"]
    for shard in ("0", "1"):
        done(*explain, *HEAD, "--store", f"runs/{shard}", "--shard", f"{shard}/2")
    done("merge", "runs/all", "runs/0", "runs/1")
    assert "12 explanations of 12 images" in done(*explain, *HEAD, "--store", "runs/all")
    store = ExplanationStore("runs/all")
    assert store.manifest.identity["method"] == {"class": "my_package.method.MyMethod", "power": 1.0}
    assert store.manifest.identity["targets"] == {"kind": "my_package.target.MyTarget", "rank": 2, "version": 1}
    other = refused(*explain, *HEAD, "--store", "runs/all", "--model.method.power", "2.0")
    assert "method.power 1.0 -> 2.0" in other
    own = ["HeadAttribution" if word == "my_package.MyMethod" else word for word in explain]
    own += [*HEAD, "--store", "runs/head"]
    done(*own)
    assert next(iter(ExplanationStore("runs/head"))).map.shape == (4, 4)

    # Prototypes of the head, and the table with a metric of one's own.
    weights = [*TINY, *DATA, *HEAD, "--model.weights", "mine.safetensors"]
    done("prototypes", *weights, "--output", "runs/prototypes", "--pages", "0")
    assert Prototypes("runs/prototypes").units == 12
    weights[-1] = str(second)
    metric = ["--model.metrics.mine", "my_package.MyMetric", "--model.metrics.mine.offset", "5.0"]
    done("benchmark", *weights, *metric, "--stores", "runs/all", "runs/head", "--output", "runs/table")
    scores = ExplanationStore("runs/table/all")
    assert scores.manifest.identity["metrics"]["mine"] == {"class": "my_package.metric.MyMetric", "offset": 5.0}
    assert len(scores) == 12
    assert all(row.extras["mine"] > 5 for row in scores)

    in_python(first, second, third, store)


def in_python(first: Path, second: Path, third: Path, store: ExplanationStore) -> None:
    """The same files from Python: each way to load one names the class, or is refused."""
    from my_package import MyData, MyHead, MyMethod, MyMetric, MyTarget, MyTeacher

    images = torch.linspace(-2, 2, 2 * 3 * 32 * 32).sin().view(2, 3, 32, 32)
    model = Classifier.load_from_checkpoint(second, head=MyHead).eval()
    logits = model(images)
    assert model.backbone.head.scale == 3.0
    plain = Backbone(**{**model.backbone.arguments, "num_classes": 3})
    load_trained(plain, str(second), head=MyHead)
    for network in (Backbone.load(second, head=MyHead), plain):
        torch.testing.assert_close(network.eval()(images), logits, rtol=0, atol=0)
    assert Backbone.load("mine.safetensors", head=MyHead).head.scale == 3.0
    for load in (Classifier.load_from_checkpoint, Backbone.load):
        with pytest.raises(InputError, match=r"has the head my_package.head.MyHead, a class outside lit-coiba"):
            load(second)
    with pytest.raises(InputError, match=r"has the head my_package.head.MyHead, not my_package.method.MyMethod"):
        Backbone.load(second, head=MyMethod)

    with pytest.raises(InputError, match=r"has the teacher my_package.teacher.MyTeacher"):
        Classifier.load_from_checkpoint(third, head=MyHead)
    student = Classifier.load_from_checkpoint(third, head=MyHead, teacher=MyTeacher)
    assert (type(student.teacher), student.teacher.factor) == (MyTeacher, 0.5)
    settings = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False}
    trainer = Trainer(max_epochs=3, enable_checkpointing=False, enable_model_summary=False, **settings)
    trainer.fit(student, datamodule=MyData(), ckpt_path=third)
    assert trainer.current_epoch == 3
    assert Classifier.load_from_checkpoint(third, head=MyHead, teacher=None).teacher is None

    explainer = Explainer(Backbone(**plain.arguments), MyMethod(), MyTarget(2), weights=str(second), head=MyHead)
    found = Trainer(enable_checkpointing=False, **settings).explain(explainer, MyData(), "runs/python")
    assert found.manifest.identity == store.manifest.identity
    assert found.digest() == store.digest()
    scorer = Scorer(Backbone.load(second, head=MyHead), {"mine": MyMetric()})
    board = Trainer(enable_checkpointing=False, **settings).benchmark(scorer, MyData(), ["runs/python"], "runs/board")
    assert "mine" in board.metrics


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda head: setattr(head, "scale", torch.ones(())), "its scale is a Tensor: store numbers"),
        (
            lambda head: delattr(head, "classes"),
            "store each argument of its constructor as an attribute of the same name",
        ),
    ],
)
def test_a_head_that_could_not_be_loaded_again_is_not_trained(my_package, damage, sentence):
    from my_package import MyHead

    def made(channels: int, classes: int) -> MyHead:
        head = MyHead(channels, classes)
        damage(head)
        return head

    with pytest.raises(InputError, match=sentence):
        Classifier(Backbone("resnet10t", num_classes=3, image_size=64), made)
