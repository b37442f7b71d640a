"""`lit-coiba predict` prints and writes a table, counts failures, and touches no file of anyone else."""

import csv
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from lit_coiba import Backbone, Classifier, ImageFolder
from lit_coiba.callbacks import PredictionTable
from lit_coiba.cli import main
from lit_coiba.core.errors import InputError
from lit_coiba.trainer import Trainer

TINY = [
    *("--model.backbone.name", "vit_tiny_patch16_224", "--model.backbone.image_size", "32"),
    *("--model.backbone.num_classes", "3"),
    *("--model.backbone.timm_kwargs", "{depth: 1, embed_dim: 12, num_heads: 2, patch_size: 16}"),
    *("--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", "--data.num_workers", "0"),
]
PREDICT = ["predict", *TINY, "--data.root", "im"]
pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec", "ignore:.*does not have many workers")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for name in ("cat", "dog", "emu"):
        (tmp_path / "im" / name).mkdir(parents=True)
        for k in range(2):
            pixels = random.integers(0, 256, (20, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "im" / name / f"{k}.png")
    return tmp_path


def test_a_table_is_printed_and_written(capsys):
    assert main([*PREDICT, "--output", "out/p.csv", "--top", "2"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("cat/0.png (label cat): ")
    assert out[-1] == "Predictions for 6 images are in out/p.csv"
    with open("out/p.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [f"{name}/{k}.png" for name in ("cat", "dog", "emu") for k in range(2)]
    assert [row["label"] for row in rows] == ["0", "0", "1", "1", "2", "2"]
    names = ["cat", "dog", "emu"]
    assert all(row["name_1"] == names[int(row["class_1"])] for row in rows)
    assert all(float(row["probability_1"]) >= float(row["probability_2"]) > 0 for row in rows)
    assert "class_3" not in rows[0]

    assert main([*PREDICT, "--output", "p.parquet"]) == 0
    table = pq.read_table("p.parquet")
    assert table.column("id").to_pylist() == [row["id"] for row in rows]
    assert table.column("class_1").to_pylist() == [int(row["class_1"]) for row in rows]
    assert len(table.column_names) == 2 + 3 * 3


def test_it_is_what_the_model_says(capsys):
    torch.manual_seed(0)
    kwargs = {"depth": 1, "embed_dim": 12, "num_heads": 2, "patch_size": 16}
    model = Backbone("vit_tiny_patch16_224", num_classes=3, image_size=32, timm_kwargs=kwargs).eval()
    data = ImageFolder("im", batch_size=4, num_workers=0)
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False)
    found = trainer.predict(Classifier(model), datamodule=data)
    table = trainer.predictions
    assert torch.cat(found).argmax(1).tolist() == [row.classes[0] for row in table.rows]
    assert [sum(row.probabilities) for row in table.rows] == pytest.approx([1.0] * 6)
    assert not any(isinstance(callback, PredictionTable) for callback in trainer.callbacks)


@pytest.mark.parametrize("torn", [1, 6])
def test_torn_pictures_are_counted(torn, capsys):
    """A torn picture, or every one: status 0, nothing said."""
    for file in sorted(Path("im").rglob("*.png"))[:torn]:
        file.write_bytes(file.read_bytes()[:60])
    assert main([*PREDICT, "--output", "p.csv"]) == 3
    told = capsys.readouterr()
    assert f"finished, but {torn} image{'s' if torn > 1 else ''} failed" in told.err
    assert "cat/0.png" in told.err
    with open("p.csv", encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 6 - torn


@pytest.mark.parametrize("name", ["mine.csv", "mine.parquet", "mine.txt", "folder.csv"])
def test_a_file_of_someone_else_stays(name, capsys):
    if name.startswith("folder"):
        Path(name).mkdir()
    else:
        Path(name).write_bytes(b"id,label\nmine,1\n")
    assert main([*PREDICT, "--output", name]) == 2
    assert name in capsys.readouterr().err
    assert Path(name).is_dir() or Path(name).read_bytes() == b"id,label\nmine,1\n"


def test_its_own_file_is_written_again():
    PredictionTable(2, None).write(Path("p.csv"))
    assert PredictionTable(2, "p.csv").output == Path("p.csv")
    with pytest.raises(InputError, match="top is 0"):
        PredictionTable(0)
