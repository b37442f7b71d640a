"""A stranger's file acts on nothing: no code runs, nothing is fetched, nothing outside is read, written or deleted."""

from __future__ import annotations

import json
import os
import pickle
import socket
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch.utils.data import DataLoader, TensorDataset

from lit_coiba import heads
from lit_coiba.backbones import Backbone
from lit_coiba.backbones.trained import load_trained
from lit_coiba.cli import main
from lit_coiba.core.errors import InputError
from lit_coiba.training.classifier import Classifier
from tests.cli.conftest import CALM, command  # noqa: F401 - a fixture

pytestmark = pytest.mark.filterwarnings("ignore:.*Checkpoint directory", "ignore:.*in eval mode", "ignore:.*no `val")

RESNET = {
    "name": "resnet18",
    "num_classes": 2,
    "image_size": 64,
    "timm_kwargs": {"channels": [4, 4, 4, 4], "layers": [1, 1, 1, 1]},
}
HEAD = {"class": "LinearHead", "in_channels": 4, "num_classes": 2, "bias": True}
DATA = ["--data", "ImageFolder", "--data.root", "cl", "--data.batch_size", "2", *CALM]
FIT = ["--trainer.logger", "false", "--trainer.enable_model_summary", "false", "--trainer.max_epochs", "2"]


def network() -> Backbone:
    backbone = Backbone(**RESNET)
    backbone.attach(heads.LinearHead(4, 2))
    return backbone


def endless() -> list:
    value: list = []
    value.append(value)
    return value


def doubling() -> list:
    value: list = ["x"]
    for _ in range(60):
        value = [value, value]
    return value


def told(**changes) -> dict:
    return {"backbone": RESNET, "head": HEAD, "frozen": True, **changes}


def timm_kwargs(**more) -> dict:
    return told(backbone={**RESNET, "timm_kwargs": {**RESNET["timm_kwargs"], **more}})


class RunsCode:
    def __reduce__(self):
        return os.mkdir, ("pwned",)


# What hyper_parameters say; each of them is refused by every way to a checkpoint that reads them.
HYPER_PARAMETERS = {
    "dotted keys": {"backbone": RESNET, "head.class_path": "os.system", "head.init_args.command": "touch pwned"},
    "a url in timm's configuration": timm_kwargs(pretrained_cfg_overlay={"url": "http://127.0.0.1:9/x.pth"}),
    "a repository of the hub": timm_kwargs(pretrained_cfg_overlay={"hf_hub_id": "stranger/model"}),
    "a configuration of weights": timm_kwargs(pretrained_cfg={"url": "http://127.0.0.1:9/x.pth"}),
    "a file below timm's arguments": timm_kwargs(pretrained_cfg_overlay={"file": "/etc/passwd"}),
    "timm's checkpoint_path": timm_kwargs(checkpoint_path="/etc/passwd"),
    "timm's pretrained": timm_kwargs(pretrained=True),
    "timm's cache": timm_kwargs(cache_dir="../elsewhere"),
    "an address as a value": timm_kwargs(act_layer="http://127.0.0.1:9/x"),
    "a model of the hub": told(backbone={**RESNET, "name": "hf-hub:stranger/model"}),
    "a network that contains itself": told(backbone={**RESNET, "timm_kwargs": {"a": endless()}}),
    "a network that doubles sixty times": told(backbone={**RESNET, "timm_kwargs": {"a": doubling()}}),
    "a number of 5,000 digits": told(backbone={**RESNET, "num_classes": 10**5000}),
    "a tensor as an argument": told(backbone={**RESNET, "num_classes": torch.tensor(2)}),
    "no number": told(lr=float("nan")),
    "text for a mapping": told(head="os.system"),
    "a head with an endless argument": told(head={**HEAD, "bias": endless()}),
    "a head of a billion channels": told(head={**HEAD, "in_channels": 10**12}),
    "a key that is a number": told(backbone={**RESNET, 3: 4}),
    "an interpolation as a key": told(backbone={**RESNET, "${oc.env:HOME}": 4}),
    "control characters": told(backbone={**RESNET, "name": "\x1b]0;owned\x07"}),
    "a name of a megabyte": told(backbone={**RESNET, "name": "x" * 10**6}),
    "a list": [1],
    "a number": 3,
    "a tensor": torch.ones(2),
}


@pytest.fixture
def images(tmp_path, monkeypatch):
    """Two classes of two pictures, for training and for validation, in the working folder."""
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    for split in ("train", "val"):
        for number, name in enumerate(("cat", "dog")):
            Path("cl", split, name).mkdir(parents=True)
            for k in range(2):
                Image.new("RGB", (64, 64), (90 * number, 60 * k, 99)).save(Path("cl", split, name, f"{k}.png"))
    return tmp_path


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> dict:
    """What a fit of one epoch leaves."""
    from lit_coiba.trainer import Trainer

    folder = tmp_path_factory.mktemp("sound")
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    trainer = Trainer(max_epochs=1, default_root_dir=folder, **quiet)
    model = Classifier(Backbone(**RESNET), heads.LinearHead, frozen=True)
    trainer.fit(model, DataLoader(TensorDataset(torch.randn(2, 3, 64, 64), torch.tensor([0, 1])), batch_size=2))
    return torch.load(next(folder.rglob("*.ckpt")), weights_only=True)


@pytest.fixture
def no_network(monkeypatch):
    """Says where anything was to be fetched from."""
    asked = []

    def connect(self, address):
        asked.append(address)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", connect)
    return asked


def errors(file: str) -> dict[str, str]:
    """What each way to a checkpoint in Python says of it; empty where it is taken."""
    found = {}
    ways = {
        "Backbone.load": lambda: Backbone.load(file),
        "load_trained": lambda: load_trained(Backbone(**RESNET), file),
        "load_from_checkpoint": lambda: Classifier.load_from_checkpoint(file),
    }
    for name, way in ways.items():
        found[name] = error_of(way)
    return found


def error_of(way) -> str:
    try:
        way()
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", HYPER_PARAMETERS)
def test_what_a_checkpoint_says_of_its_network(images, sound, no_network, name, capsys):
    torch.save({**sound, "hyper_parameters": HYPER_PARAMETERS[name]}, "evil.ckpt")
    before = sorted(images.rglob("*"))
    for way, error in errors("evil.ckpt").items():
        unread = ["load_trained"] if name != "no number" else ["load_trained", "Backbone.load"]
        assert error or way in unread, way  # which read the network, or only its head, and not what is wrong here
        assert len(error) <= 500
        assert error.isprintable()
    for verb in ("validate", "fit"):
        capsys.readouterr()
        status = main([verb, *DATA, *(FIT if verb == "fit" else []), "--ckpt_path", "evil.ckpt"])
        if name == "a head of a billion channels":  # the network says how many its features have
            assert status == 0
            return
        assert status == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
        assert "evil.ckpt" in line or "timm" in line
        assert len(line) <= 520
    assert no_network == []
    assert sorted(images.rglob("*")) == before


@pytest.mark.parametrize("verb", ["test", "predict"])
def test_other_verbs_read_it_by_the_same_gate(images, sound, no_network, verb, capsys):
    torch.save({**sound, "hyper_parameters": HYPER_PARAMETERS["dotted keys"]}, "evil.ckpt")
    assert main([verb, *DATA, "--ckpt_path", "evil.ckpt"]) == 2
    assert "evil.ckpt has hyper_parameters 'head.class_path'" in capsys.readouterr().err
    assert not Path("pwned").exists()


def test_explain_reads_it_by_the_same_gate(images, sound, no_network, capsys):
    torch.save({**sound, "hyper_parameters": told(head={"class": "os.system"})}, "evil.ckpt")
    words = ["--model.method", "RandomMap", "--model.backbone.name", "resnet18", "--model.backbone.image_size", "64"]
    words += ["--model.backbone.num_classes", "2", "--model.backbone.timm_kwargs", json.dumps(RESNET["timm_kwargs"])]
    assert main(["explain", *words, *DATA, "--model.weights", "evil.ckpt", "--store", "s"]) == 2
    assert "evil.ckpt" in capsys.readouterr().err
    assert not Path("pwned").exists()


PATHS = ["checkpoints/../precious", "precious", "/precious", "checkpoints/precious.ckpt/..", "memory://x", "a\0b", 3]


@pytest.mark.parametrize("key", ["best_model_path", "last_model_path", "kth_best_model_path", "best_k_models"])
def test_no_path_of_a_callback_is_followed(images, sound, key, capsys):
    for number, path in enumerate(PATHS):
        where = str(images / "precious") if path == "/precious" else path
        states = {name: dict(state) for name, state in sound["callbacks"].items()}
        for state in states.values():
            state[key] = {where: torch.tensor(0.1)} if key == "best_k_models" else where
            state["dirpath"] = str(images / "checkpoints")
        folder = images / "precious"
        folder.mkdir(exist_ok=True)
        (folder / "thesis.tex").write_text("years")
        (images / "precious.ckpt").write_text("years")
        torch.save({**sound, "callbacks": states}, f"w{number}.ckpt")
        words = [*FIT, "--trainer.max_epochs", "3"]
        status = main(["fit", *DATA, *words, "--ckpt_path", f"w{number}.ckpt"])
        assert status in (0, 2), capsys.readouterr().err
        assert (folder / "thesis.tex").read_text() == "years"
        assert (images / "precious.ckpt").read_text() == "years"


def test_a_fit_still_replaces_the_checkpoint_that_it_goes_on_from_when_it_is_its_own(images, capsys):
    words = ["--model.backbone.name", "resnet18", "--model.backbone.image_size", "64", *DATA, *FIT]
    words += ["--model.backbone.num_classes", "2", "--model.backbone.timm_kwargs", json.dumps(RESNET["timm_kwargs"])]
    assert main(["fit", *words, "--trainer.max_epochs", "1"]) == 0
    (first,) = Path("checkpoints").glob("*.ckpt")
    assert main(["fit", *DATA, *FIT, "--ckpt_path", str(first)]) == 0
    assert len(list(Path("checkpoints").glob("*.ckpt"))) == 2  # what a fit goes on from is kept
    (last,) = set(Path("checkpoints").glob("*.ckpt")) - {first}
    assert main(["fit", *DATA, *FIT, "--ckpt_path", str(last), "--trainer.max_epochs", "4"]) == 0


PARTS = ["state_dict", "loops", "callbacks", "optimizer_states", "lr_schedulers", "hyper_parameters", "epoch"]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("value", [[1], "text", 3, {}, None, torch.ones(2), {"a": [1]}, [{"a": 1}]], ids=str)
def test_a_part_of_another_type_is_one_sentence(images, sound, part, value, capsys):
    torch.save({**sound, part: value}, "w.ckpt")
    status = main(["fit", *DATA, *FIT, "--ckpt_path", "w.ckpt"])
    lines = [line for line in capsys.readouterr().err.splitlines() if "lit-coiba: error" in line]
    assert status in (0, 2)
    assert len(lines) == (status == 2)
    assert all(len(line) < 520 and line.isprintable() for line in lines)


@pytest.mark.parametrize(
    "content",
    [[1], None, 3, "text", {}, {"state_dict": {}}, {"state_dict": {"a": 1}}, {"state_dict": {3: torch.ones(1)}}],
    ids=str,
)
def test_what_is_no_checkpoint_is_one_sentence_by_every_way(images, content, capsys):
    torch.save(content, "w.ckpt")
    assert all(errors("w.ckpt").values())
    for verb in ("validate", "test"):
        assert main([verb, *DATA, "--ckpt_path", "w.ckpt"]) == 2
        assert "checkpoint w.ckpt" in capsys.readouterr().err


class TestSizes:
    """A file that becomes far larger than it is, or has no end."""

    def test_a_record_that_inflates(self, tmp_path):
        torch.save({"a": torch.zeros(10)}, tmp_path / "a.pth")
        with zipfile.ZipFile(tmp_path / "a.pth") as old:
            entries = {entry.filename: old.read(entry) for entry in old.infolist()}
        with zipfile.ZipFile(tmp_path / "b.pth", "w", zipfile.ZIP_DEFLATED) as new:
            for name, content in entries.items():
                new.writestr(name, content + bytes(10**8) * ("/data/" in name))
        with pytest.raises(InputError, match=r"b.pth cannot be read .*unpack to 95 MB, which is refused"):
            Backbone(**RESNET, checkpoint=str(tmp_path / "b.pth"))

    def test_one_number_seen_a_trillion_times(self, tmp_path):
        torch.save({"fc.weight": torch.zeros(1).expand(10**6, 10**6)}, tmp_path / "a.pth")
        with pytest.raises(InputError, match="become more than"):
            Backbone(**RESNET, checkpoint=str(tmp_path / "a.pth"))

    @pytest.mark.parametrize("value", [endless(), doubling()], ids=["endless", "doubling"])
    def test_values_without_end(self, tmp_path, value):
        torch.save({"state_dict": {"a": torch.ones(1)}, "more": value}, tmp_path / "a.ckpt")
        with pytest.raises(InputError, match="nested without end"):
            Backbone.load(tmp_path / "a.ckpt")

    def test_a_pipe_a_device_a_folder_and_a_link_to_itself(self, tmp_path):
        os.mkfifo(tmp_path / "a.pth")
        (tmp_path / "b.pth").symlink_to("b.pth")
        (tmp_path / "c.pth").mkdir()
        for name in (tmp_path / "a.pth", tmp_path / "b.pth", tmp_path / "c.pth", "/dev/zero", "x" * 300, "a\0b"):
            with pytest.raises(InputError, match=r"cannot be read|does not exist"):
                Backbone(**RESNET, checkpoint=str(name))

    def test_an_empty_name(self):
        with pytest.raises(InputError, match="checkpoint is empty"):
            Backbone(**RESNET, checkpoint="")


def odd(state: dict) -> dict[str, dict]:
    """State dicts whose first layer is no set of plain numbers."""
    first = state["conv1.weight"]
    nan = first.clone()
    nan.view(-1)[0] = float("nan")
    makers = {
        "of whole numbers": (first * 100).to(torch.uint8),
        "int64": first.long(),
        "bool": first.bool(),
        "complex": first.to(torch.complex64),
        "float8": first.to(torch.float8_e4m3fn),
        "sparse": first.to_sparse(),
        "quantized": torch.quantize_per_tensor(first, 0.1, 0, torch.qint8),
        "without data": torch.empty_like(first, device="meta"),
        "NaN": nan,
        "infinite": first / 0,
    }
    return {name: {**state, "conv1.weight": tensor} for name, tensor in makers.items()}


NUMBERS = ["of whole numbers", "int64", "bool", "complex", "float8", "sparse", "quantized", "without data", "NaN"]


@pytest.mark.parametrize("name", [*NUMBERS, "infinite"])
@pytest.mark.filterwarnings("ignore:.*quantize")
def test_weights_that_are_no_plain_numbers_are_refused(tmp_path, name):
    state = odd(Backbone(**RESNET).model.state_dict())[name]
    torch.save({"state_dict": state}, tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"a.pth(: conv1.weight| cannot be read)") as caught:
        Backbone(**RESNET, checkpoint=str(tmp_path / "a.pth"))
    assert len(str(caught.value)) < 500


def test_half_precision_and_counters_of_another_kind_go_on(tmp_path):
    state = {name: t.half() if t.is_floating_point() else t.float() for name, t in network().model.state_dict().items()}
    torch.save(state, tmp_path / "a.pth")
    load_trained(network(), tmp_path / "a.pth")


class TestCode:
    def test_in_a_pickle(self, images):
        torch.save({"state_dict": {"a": torch.ones(1)}, "x": RunsCode()}, "a.ckpt")
        Path("b.ckpt").write_bytes(pickle.dumps(RunsCode(), protocol=2))
        for file in ("a.ckpt", "b.ckpt"):
            assert all("could run code" in error for error in errors(file).values())
            assert main(["validate", *DATA, "--ckpt_path", file]) == 2
        assert not Path("pwned").exists()

    def test_in_the_description_of_safetensors(self, images):
        weights = Backbone(**RESNET).model.state_dict()
        for described in ("[" * 100_000, "{", "[1]", '{"backbone": {"name": {"class_path": "os.system"}}}'):
            save_file(weights, "a.safetensors", {"classifier": described})
            with pytest.raises(InputError, match=r"a\.safetensors"):
                Backbone.load("a.safetensors")


def test_a_teacher_has_no_file_read_from_elsewhere(images, sound, capsys):
    (images.parent / "secret.safetensors").write_bytes(b"")
    for weights in (str(images.parent / "secret.safetensors"), "../secret.safetensors", "http://127.0.0.1:9/x"):
        teacher = {"backbone": RESNET, "weights": weights, "temperature": 2.0}
        torch.save({**sound, "hyper_parameters": told(teacher=teacher)}, "evil.ckpt")
        assert main(["fit", *DATA, *FIT, "--ckpt_path", "evil.ckpt"]) == 2
        assert "name it too, --model.teacher.weights" in capsys.readouterr().err
    teacher = {"backbone": {**RESNET, "pretrained": True}, "weights": None}
    torch.save({**sound, "hyper_parameters": told(teacher=teacher)}, "evil.ckpt")
    assert main(["fit", *DATA, *FIT, "--ckpt_path", "evil.ckpt"]) == 2
    assert "name it too, --model.teacher.backbone.pretrained" in capsys.readouterr().err
