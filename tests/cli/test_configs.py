"""Every YAML that comes with the package is run for a step, and explains each of its keys."""

from __future__ import annotations

import json
import re
from inspect import signature
from itertools import cycle
from pathlib import Path

import pytest
import torch
import yaml

from lit_coiba import attribution
from lit_coiba import data as datasets
from lit_coiba.backbones import Backbone
from lit_coiba.backbones.missing_parts import missing_parts
from lit_coiba.callbacks.export_weights import save_half
from lit_coiba.data.synthetic.dataset import SPLITS
from lit_coiba.heads import InfoDisentHead, LinearHead
from lit_coiba.heads.description import describe
from lit_coiba.resources import resource
from lit_coiba.store import ExplanationStore
from lit_coiba.trainer.precision import automatic_precision
from tests._testers.releases import release_of

from .conftest import CALM, TINY

CONFIGS = sorted(str(file.relative_to(resource("configs"))) for file in resource("configs").rglob("*.yaml"))
EXPERIMENT = "configs/experiment/"


def of(folder: str) -> list[str]:
    return [f"configs/{name}" for name in CONFIGS if name.startswith(f"{folder}/")]


def content(name: str) -> dict:
    return yaml.safe_load((resource("configs").parent / name).read_text())


def on_disk(name: str) -> bool:
    """Whether a dataset is read from a folder, and not generated."""
    return "root" in signature(getattr(datasets, content(name)["data"]["class_path"])).parameters


# What goes together with which data, as the experiments' comments say.
ON_DISK = [Path(name).stem for name in of("data") if on_disk(name)]
FEW_IMAGES = [name for name in ON_DISK if name not in ("image_folder", "imagenet")]
FINE_GRAINED = ("linear", "infodisent second_stage", "br_npa")
OTHERS = ("linear_probe", "infodisent", "br_npa")
TRAININGS = ("idsds", "harmonized", "lipschitz")
OF_BACKBONES = ("synthetic_parts_cnn", "synthetic_parts_vit", *(f"{name}_synthetic_parts" for name in TRAININGS))
FROZEN = ("linear_probe", "infodisent")  # the backbone stays as it is
COMPOSITIONS = [
    *((files, data) for files in FINE_GRAINED for data in FEW_IMAGES),
    *((files, "image_folder") for files in OTHERS),
    *((f"{files} imagenet", "imagenet") for files in OTHERS),
]
# The step is taken once with each experiment and once with each dataset; all others are read.
STEPS = [*zip(cycle(FINE_GRAINED), FEW_IMAGES), *COMPOSITIONS[-6:]]
# Less of what costs minutes on images of this size, too.
LESS = {
    "eva": ["--model.method.patch", "32"],
    "input_iba": ["--model.method.steps", "4", "--model.method.epochs", "1"],
}
CNN = ["--model.backbone.name", "resnet18", "--model.backbone.image_size", "64", "--model.backbone.num_classes", "3"]
BODY = [word for word in TINY if word not in ("--model.backbone.num_classes", "3")]  # the data tell how many there are
UNDRAWN = ["--pictures", "false"]  # pictures take longer than all the rest; other tests have them
FAST = ["--trainer.fast_dev_run", "true", "--trainer.enable_model_summary", "false"]
FEW = pytest.mark.filterwarnings(  # of a handful of images, and of random weights
    "ignore:activation statistics of", "ignore:.*survive pure noise"
)


def test_every_folder_has_a_test():
    assert {name.partition("/")[0] for name in CONFIGS} == {
        "ablation",
        "benchmark",
        "method",
        "data",
        "trainer",
        "model",
        "experiment",
    }


@pytest.mark.parametrize("name", CONFIGS)
def test_every_key_has_a_comment(name):
    for line in (resource("configs") / name).read_text().splitlines():
        nested = re.fullmatch(r"\s*(- )?[\w.]+:( (class_path: )?[\w.]+)?", line)  # opens a mapping, or names a class
        assert line.lstrip().startswith("#") or " # " in line or nested, f"{name}: {line}"


def trained_head(file: str) -> str:
    """Weights of the tiny model with a head, as a fit exports them."""
    sizes = {"depth": 2, "embed_dim": 12, "num_heads": 2, "patch_size": 8}
    backbone = Backbone("vit_tiny_patch16_224", num_classes=3, image_size=32, timm_kwargs=sizes)
    backbone.attach(head := LinearHead(12, 3))
    save_half(backbone.model, Path(file), {"head": describe(head)})
    return file


READOUTS = ("learned_ranking", "readout_coiba", "readout_iba")  # methods and their trainings: test_readouts.py


@FEW
@pytest.mark.parametrize("name", [name for name in of("method") if Path(name).stem not in READOUTS])
def test_methods(name, command, photos):
    card = getattr(attribution, content(name)["model"]["method"]["class_path"]).card
    words = ["--model.weights", trained_head("head.safetensors")] if "head" in card.needs else []
    body = TINY if "ViT" in card.families else CNN
    words += LESS.get(Path(name).stem, [])
    words += ["--data.root", str(photos), "--store", "x", *UNDRAWN]
    assert command("explain", "-c", name, *body, *CALM, *words).status == 0
    store = ExplanationStore("x")
    assert len(store) == 6
    identity = store.manifest.identity
    quick = "fast" in name or "warm" in name
    assert identity["precision"] == (automatic_precision() if quick else "32-true")
    if quick:
        assert (identity["method"]["copies"], identity["method"]["antithetic"]) == (2 if "warm" in name else 4, True)


@FEW
def test_a_file_of_a_method_says_what_its_class_says(command):
    for name, cls in (("coiba", "CoIBA"), ("iba", "IBA"), ("random", "RandomMap")):
        printed = [
            command("explain", *words, "--print_config").out
            for words in (["-c", f"configs/method/{name}.yaml"], ["--model.method", cls])
        ]
        assert printed[0] == printed[1]


def tree(data: str, photos: Path, folder: Path) -> Path:
    return photos if data == "image_folder" else release_of(data)(folder / "data")


@pytest.mark.parametrize("name", of("data"))
def test_data(name, command, photos, tmp_path):
    root = ["--data.root", str(tree(Path(name).stem, photos, tmp_path))] if on_disk(name) else []
    words = ["--model.method", "Saliency", *TINY, *CALM, *root, "--limit", "2", "--store", "x", *UNDRAWN]
    assert command("explain", "-c", name, *words).status == 0
    assert len(ExplanationStore("x")) == 2


# The file for several processes is run in tests/trainer/test_fit_processes.py, which starts some anyway.
@pytest.mark.parametrize("name", [name for name in of("trainer") if "ddp" not in name])
def test_trainers(name, command, photos):
    words = [*TINY, "--data.root", str(photos), "--data.num_workers", "0", "--trainer.enable_progress_bar", "false"]
    words = ["explain", "-c", name, "--model.method", "RandomMap", *words, "--store", "x", *UNDRAWN]
    outcome = command(*words)
    if "gpu" in name and not torch.cuda.is_available():
        assert outcome.status == 2
        assert outcome.error == "trainer: No supported gpu backend found!"
    else:
        assert outcome.status == 0
        assert len(ExplanationStore("x")) == 6


@pytest.mark.parametrize("name", of("model"))
def test_models(name, command):
    words = ["--model.method", "Saliency", "--data", "SyntheticParts", *CALM, "--limit", "16", "--store", "x", *UNDRAWN]
    assert command("explain", "-c", name, *words, "--model.targets", "label").status == 0
    rows = list(ExplanationStore("x"))
    assert len(rows) == 16
    # These are the weights that know the classes; logits of a 1-Lipschitz network are small, its decisions certified.
    certified = "lipschitz" in name
    known = [
        row.extras["radius"] > 36 / 255 and row.probability > 1 / 20 if certified else row.probability > 0.5
        for row in rows
    ]
    assert sum(known) >= 15


@pytest.mark.parametrize("name", of("ablation"))
def test_ablations(name):
    variants = yaml.safe_load((resource("configs").parent / name).read_text())
    built = [InfoDisentHead(8, 3, **arguments).arguments() for arguments in variants.values()]
    assert built[0] == InfoDisentHead(8, 3).arguments()
    assert len({json.dumps(arguments) for arguments in built}) == len(variants) >= 7


@pytest.mark.parametrize("name", of("benchmark"))
def test_benchmarks(name, command):
    model = "synthetic_parts_cnn_one_cell" if "idsds" in name else "synthetic_parts_cnn"  # others are refused there
    words = [*("-c", f"configs/model/{model}.yaml", "--data", "SyntheticParts"), *CALM, "--limit", "4"]
    method = ["--model.method", "RandomMap", "--model.method.seed", "3"]  # not the one that every table has
    assert command("explain", *method, *words, "--store", "x", *UNDRAWN).status == 0
    done = command("benchmark", "-c", name, *words, "--stores", "x", "--output", "y", "--pictures", "false")
    assert done.status == 0, done.err
    table = Path("y/leaderboard.md").read_text()
    assert all(method in table for method in ("| x |", "| Oracle |", "| Saliency |", "| Random |"))


def composed(files: str, data: str) -> list[str]:
    """The -c files of an experiment."""
    names = [*(f"{EXPERIMENT}{name}.yaml" for name in files.split()), f"configs/data/{data}.yaml"]
    return [word for name in names for word in ("-c", name)]


@pytest.fixture
def few(monkeypatch):
    """SyntheticParts of some samples."""
    for split, first in (("train", 0), ("val", 10_000), ("test", 11_000)):
        monkeypatch.setitem(SPLITS, split, range(first, first + 8))


@pytest.mark.parametrize("name", OF_BACKBONES)
def test_experiments_of_backbones(name, command, few):
    words = [*CALM, *FAST, "--data.batch_size", "4", "--trainer.callbacks", "null"]
    assert command("fit", "-c", f"{EXPERIMENT}{name}.yaml", *words).status == 0


@pytest.mark.filterwarnings("ignore:.*in eval mode at the start")
@pytest.mark.parametrize("name", ["linear_synthetic_parts", "infodisent_synthetic_parts"])
def test_experiments_of_heads_on_the_shipped_backbone(name, command, few):
    assert command("fit", "-c", f"{EXPERIMENT}{name}.yaml", *CALM, *FAST, "--data.batch_size", "4").status == 0
    assert Path(f"runs/{name}/{name}.safetensors").exists()
    assert Path("runs/features").exists()


def test_the_experiment_of_high_resolution(command, few):
    """Both commands of its file."""
    for name in ("br_npa_synthetic_parts", "br_npa_high_resolution_synthetic_parts"):
        words = ["fit", "-c", f"{EXPERIMENT}{name}.yaml", *CALM, *FAST, "--data.batch_size", "4"]
        assert command(*words).status == 0
        assert Path(f"runs/{name}/{name}.safetensors").exists()


@pytest.mark.filterwarnings("ignore:.*Checkpoint directory", "ignore:.*in eval mode at the start")
@pytest.mark.parametrize(("files", "data"), STEPS)
def test_a_step_of_an_experiment(files, data, command, photos, tmp_path):
    """On a tiny backbone and a tiny tree in the true layout; all else is what the files say."""
    root = tree(data, photos, tmp_path)
    words = [*BODY, "--model.backbone.checkpoint", "null", "--data.root", str(root)]
    assert command("fit", *composed(files, data), *words, *CALM, *FAST, "--data.batch_size", "4").status == 0
    head = files.split()[0]
    assert Path(f"runs/{data}/{head}/{head}.safetensors").exists()
    assert Path("runs/features").exists() == (head in FROZEN and data != "imagenet")


@pytest.mark.filterwarnings("ignore:.*Checkpoint directory")
@pytest.mark.parametrize(("name", "part", "amount"), [("idsds", "cell", 4), ("f_fidelity", "pixels", 0.1)])
def test_experiments_with_missing_parts(name, part, amount, command, photos):
    """What they export tells what the missing parts cost."""
    words = [*BODY, "--model.backbone.checkpoint", "null", "--data.root", str(photos), "--data.batch_size", "4"]
    assert command("fit", *composed(name, "image_folder"), *words, *CALM, *FAST).status == 0
    told = missing_parts(Backbone.load(f"runs/image_folder/{name}/{name}.safetensors"))
    assert told is not None
    assert (told.part, told.amount, told.baseline) == (part, amount, "zero")


@pytest.mark.parametrize(("files", "data"), COMPOSITIONS)
def test_what_an_experiment_runs_with(files, data, command):
    done = command("fit", *composed(files, data), "--data.root", "DIR", "--print_config")
    assert done.status == 0
    config = yaml.safe_load(done.out)
    head, model, folder = files.split()[0], config["model"], f"runs/{data}"
    backbone, rows = model["backbone"]["init_args"], config["data"]["init_args"]
    assert config["data"]["class_path"].rpartition(".")[2].lower() == data.replace("_", "")
    logger = config["trainer"]["logger"]["init_args"]
    assert (logger["save_dir"], logger["name"]) == (folder, head)
    assert config["trainer"]["callbacks"][-1]["init_args"]["file"] == f"{folder}/{head}/{head}.safetensors"
    assert model["frozen"] == (head in FROZEN)
    assert config["cache"] == ("runs/features" if head in FROZEN and data != "imagenet" else None)
    assert rows["augment"] == (config["cache"] is None)  # features are kept of what is always the same
    sizes = {"linear": 32, "linear_probe": 64, "infodisent": 64, "br_npa": 12, "second_stage": 256, "imagenet": 256}
    assert rows["batch_size"] == sizes[files.split()[-1]]
    first = f"{folder}/linear/version_0/checkpoints/best.ckpt" if "second_stage" in files else None
    assert backbone["checkpoint"] == first
    assert backbone["new_head"]
    assert not backbone["pretrained"]  # nothing is downloaded unless it is asked for


def test_data_may_stand_before_the_experiment(command):
    """The folder is then the one that all data share; whatever trains is the same."""
    one, other = (
        yaml.safe_load(command("fit", *words, "--data.root", "DIR", "--print_config").out)
        for files in [composed("linear", "cub200")]
        for words in (files, [*files[2:], *files[:2]])
    )
    assert (one["data"], one["model"]) == (other["data"], other["model"])
    assert other["trainer"]["logger"]["init_args"]["save_dir"] == "runs"


def test_every_experiment_is_run():
    with_tests = {*OF_BACKBONES, "br_npa_high_resolution_synthetic_parts"}
    with_tests |= {f"{head}_synthetic_parts" for head in ("linear", "infodisent", "br_npa")}
    with_tests |= {
        "idsds",
        "f_fidelity",
        *READOUTS,
        *(f"readout_coiba_synthetic_parts_{model}" for model in ("cnn", "vit")),
    }
    with_tests |= {name for files, _ in STEPS for name in files.split()}
    assert {Path(name).stem for name in of("experiment")} == with_tests
    assert set(STEPS) <= set(COMPOSITIONS)
    assert {data for _, data in STEPS} == set(ON_DISK) >= {"cub200", "image_folder", "imagenet"}


@pytest.mark.filterwarnings("ignore:.*Checkpoint directory", "ignore:.*in eval mode at the start")
def test_the_second_stage_has_the_backbone_of_the_first(command, tmp_path):
    root = release_of("cub200")(tmp_path / "data")
    small = ["--model.backbone.name", "resnet18", "--model.backbone.image_size", "64", "--data.root", str(root)]
    small += ["--model.backbone.timm_kwargs", "{channels: [64, 16, 16, 16]}"]
    short = ["--trainer.max_epochs", "1", "--trainer.log_every_n_steps", "1", "--trainer.enable_model_summary", "false"]
    words = [*small, *CALM, *short, "--data.batch_size", "4"]
    first = ["--model.backbone.checkpoint", "null"]
    assert command("fit", *composed("linear", "cub200"), *words, *first).status == 0
    one, two = (Path(f"runs/cub200/{head}/version_0/checkpoints") for head in ("linear", "infodisent"))
    assert command("fit", *composed("infodisent second_stage", "cub200"), *words).status == 0
    assert sorted(file.name for file in two.iterdir()) == ["best.ckpt", "last.ckpt"]
    before, after = (torch.load(folder / "best.ckpt", weights_only=True)["state_dict"] for folder in (one, two))
    body = [key for key in after if "forward_head" not in key]
    assert len(body) == 120
    assert all(torch.equal(before[key], after[key]) for key in body)
    assert set(before) - set(after) == {f"backbone.model.forward_head.head.classifier.{n}" for n in ("weight", "bias")}
    exported = Path("runs/cub200/infodisent/infodisent.md").read_text()
    assert "accuracy, test | " in exported


def test_experiments_name_themselves():
    """Commands in their comments take files that are there, and in a card stands the one that made it."""
    for name in of("experiment"):
        text = (resource("configs").parent / name).read_text()
        commands = re.findall(r"lit-coiba fit (.*(?:\\\n.*)*)", text)
        files = [re.findall(r"-c (configs/\S+)", words) for words in commands]
        assert any(name in asked for asked in files)
        assert all(len(asked) <= 3 and resource(file).exists() for asked in files for file in asked)
        if "synthetic_parts" in name and "callbacks" in text:
            assert f"command: lit-coiba fit -c {name} #" in text
