"""Bad input of every kind: one clear sentence, and the right exit status."""

from __future__ import annotations

import os
import pickle
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from lit_coiba.store import ExplanationStore

from .conftest import CALM, TINY

pytestmark = pytest.mark.filterwarnings("ignore:activation statistics of")  # of a handful of images


class Malicious:
    """Unpickled, it leaves a file."""

    def __reduce__(self):
        return os.system, ("touch pwned",)


@pytest.fixture
def coiba(command, photos):
    words = ["explain", "-c", "configs/method/coiba.yaml", *TINY, *CALM, "--data.root", str(photos), "--store", "x"]
    return lambda *more: command(*words, "--model.method.steps", "2", "--model.method.copies", "2", *more)


def test_a_truncated_picture_among_good_ones(explain, broken_photos):
    outcome = explain("--data.root", str(broken_photos), "--store", "x")
    assert outcome.status == 3
    assert outcome.out == "5 explanations of 5 of 6 images are in x\nPreview: x/contact_sheet.png\n"
    first, second = outcome.err.splitlines()[-2:]
    assert first == ("lit-coiba: finished, but 1 image failed; after fixing the files, rerun with --retry_failed true")
    assert second.startswith("  apple/1.jpg: the image cannot be decoded")
    assert [failure.id for failure in ExplanationStore("x").failures()] == ["apple/1.jpg"]

    good = broken_photos / "apple" / "0.jpg"
    (broken_photos / "apple" / "1.jpg").write_bytes(good.read_bytes())
    mended = explain("--data.root", str(broken_photos), "--store", "x", "--retry_failed", "true")
    assert (mended.status, len(ExplanationStore("x"))) == (0, 6)


def test_more_failures_than_one_wants_to_read(explain, tmp_path):
    folder = tmp_path / "junk"
    folder.mkdir()
    for index in range(7):
        (folder / f"{index}.png").write_text("no picture")
    outcome = explain("--data.root", str(folder), "--store", "x")
    assert outcome.status == 3
    assert len([line for line in outcome.err.splitlines() if ".png: the file is not an image" in line]) == 5
    assert outcome.err.splitlines()[-1] == "  and 2 more, which ExplanationStore('x').failures() lists"


def test_an_empty_folder(explain, tmp_path):
    (tmp_path / "empty").mkdir()
    outcome = explain("--data.root", "empty", "--store", "x")
    assert outcome.status == 2
    assert outcome.error.startswith("root: empty has no images, in it or below it")


def test_a_layer_that_does_not_exist(coiba):
    outcome = coiba("--model.method.layers", "[blocks.9.norm1]")
    assert outcome.status == 2
    assert outcome.error.startswith("vit_tiny_patch16_224 has no layer 'blocks.9.norm1': did you mean blocks.1.norm1")


def test_a_layer_without_a_grid(coiba):
    outcome = coiba("--model.method.layers", "[head]")
    assert outcome.status == 2
    assert outcome.error.startswith("layer 'head' of vit_tiny_patch16_224 has no spatial grid")
    assert "choose blocks.0.norm1" in outcome.error


@pytest.mark.parametrize("key", ["--model.backbone.checkpoint", "--model.weights"])
def test_weights_of_another_model(explain, photos, key):
    torch.save({"conv.weight": torch.zeros(3)}, "other.pth")
    outcome = explain("--data.root", str(photos), "--store", "x", key, "other.pth")
    assert outcome.status == 2
    assert outcome.error.startswith("other.pth does not fit VisionTransformer: missing: cls_token")


@pytest.mark.parametrize(("target", "status"), [("3", 2), ("-1", 2), ("2", 0)])
def test_a_class_outside_the_range(explain, photos, target, status):
    outcome = explain("--data.root", str(photos), "--store", "x", f"--model.targets={target}")
    assert outcome.status == status
    if status:
        assert outcome.error == f"targets: class {target} is outside the model's range 0 to 2"


def raw_pickle(file: str) -> None:
    with open(file, "wb") as stream:
        pickle.dump({"state_dict": Malicious()}, stream, protocol=2)


def zipped_pickle(file: str) -> None:
    torch.save({"state_dict": Malicious(), "hyper_parameters": {}}, file)


@pytest.mark.parametrize("save", [raw_pickle, zipped_pickle])
def test_a_malicious_pickle_does_not_run(command, explain, photos, save):
    save("evil.ckpt")
    data = ["--data.root", str(photos)]
    outcomes = [
        explain(*data, "--store", "x", "--model.backbone.checkpoint", "evil.ckpt"),
        explain(*data, "--store", "x", "--model.weights", "evil.ckpt"),
        command("test", *data, "--ckpt_path", "evil.ckpt"),
        command("fit", *data, *TINY, *CALM, "--ckpt_path=evil.ckpt", "--trainer.max_epochs", "1"),
    ]
    for outcome in outcomes:
        assert outcome.status == 2
        assert "evil.ckpt" in outcome.error
        assert "it was refused" in outcome.error
    assert not Path("pwned").exists()
    with suppress(RuntimeError):  # a raw pickle is no file of torch's, which it finds out too late
        torch.load("evil.ckpt", weights_only=False)  # the trap is a real one
    assert Path("pwned").exists()


def test_a_store_of_another_identity(coiba):
    assert coiba().status == 0
    outcome = coiba("--model.method.copies", "3", "--model.targets", "1")
    assert outcome.status == 2
    assert outcome.error == (
        'store x was made with other arguments (old -> new): method.copies 2 -> 3, targets "predicted" -> "1"; '
        "choose another folder, or repeat the original arguments"
    )
    assert coiba().status == 0


def test_pretrained_weights_offline(explain, photos):
    outcome = explain("--data.root", str(photos), "--store", "x", "--model.backbone.pretrained", "true")
    assert outcome.status == 2
    assert outcome.error.startswith("the pretrained weights of vit_tiny_patch16_224 cannot be downloaded (")
    assert outcome.error.endswith("give a local file as checkpoint, or set pretrained: false")


def test_a_store_where_none_can_be(explain, photos, tmp_path):
    (tmp_path / "file").write_text("in the way")
    outcome = explain("--data.root", str(photos), "--store", "file/x")
    assert outcome.status == 2
    assert "file" in outcome.error
    assert "is a file, not a folder" in outcome.error


def test_a_dataset_that_is_not_complete_is_drawn(command, tmp_path):
    (tmp_path / "birds").mkdir()
    words = ["--model.backbone.name", "resnet18", "--data", "CUB200", "--data.root", "birds", "--store", "x"]
    outcome = command("explain", *words)
    assert outcome.status == 2
    assert "root: birds is not CUB-200-2011" in outcome.error
    drawn = [line for line in outcome.err.splitlines() if line.startswith("|-- ")]
    assert any(line.startswith("|-- images.txt ") and "MISSING" in line for line in drawn)
    assert len(drawn) >= 6
