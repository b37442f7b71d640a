"""Explanations as files for other programs."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lit_coiba.core.errors import InputError
from lit_coiba.store import BlockRecord, ExplanationStore, export
from lit_coiba.store.export import file_name
from tests.store.synthetic import blocks, filled, manifest, sample_id

AWKWARD = [
    "",
    "/",
    "a//b",
    "a/%/b",
    "%",
    ".",
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "a\nb\0c",
    "日本/🦜.png",
    "x" * 5000,
]
AWKWARD += ["x" * 5001, "a.npz/b", "a%2Enpz/b", "a", "A/b c", "C:\\x", "nul\0", "-rf"]


def one(sample: str, values: torch.Tensor, label: int = -1) -> BlockRecord:
    number = torch.tensor([3])
    return BlockRecord(0, (sample,), number, torch.tensor([label]), number / 4, values[None], {})


def test_npz_holds_all_numbers(tmp_path: Path) -> None:
    (made,) = blocks(1, top=2)
    folder = filled(tmp_path / "store", [made]).export("npz", tmp_path / "out")
    assert folder == tmp_path / "out"
    with np.load(folder / "class" / "00002.png.target12.npz") as found:
        assert set(found) == {"map", "id", "label", "target", "probability", "bits", "per_layer", "step"}
        assert (found["id"], found["target"], found["label"]) == (sample_id(2), 12, 1)
        assert found["map"].tolist() == made.maps[5].tolist()
        assert found["per_layer"].tolist() == made.extras["per_layer"][5].tolist()
        assert found["probability"] == made.probabilities[5].item()


def test_the_table_lists_every_file(tmp_path: Path) -> None:
    store = filled(tmp_path / "store", blocks(3))
    folder = store.export("npz")
    assert folder == store.path / "npz"
    with open(folder / "explanations.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["id"], int(row["target"])) for row in rows] == store.keys()
    assert [row["label"] for row in rows[:3]] == ["", "0", "1"]
    assert sorted(row["file"] for row in rows) == sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*.npz")
    )
    assert ExplanationStore(store.path).digest() == store.digest()


def test_png_shows_shares_of_the_full_scale_in_colours(tmp_path: Path) -> None:
    values = torch.tensor([[-1.0, 0.0], [1.0, 2.0], [4.0, -2.0]])
    folder = filled(tmp_path / "store", [one("x", values)]).export("png", tmp_path / "out")
    with Image.open(folder / "x.target3.png") as picture:
        assert picture.size == (149, 224)
        indices = np.asarray(picture)
        colours = np.asarray(picture.convert("RGB")).astype(int)
    corners = indices[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners.tolist() == [0, 0, 255, 0]
    assert abs(int(indices[112, 0]) - 64) <= 1
    assert colours[-1, 0].sum() > 600  # bright
    assert colours[0, 0].sum() < 10


def test_a_few_outliers_do_not_leave_a_map_of_pixels_black(tmp_path: Path) -> None:
    values = torch.full((300, 300), 1.0)
    values[0, :5] = 1000.0
    folder = filled(tmp_path / "store", [one("x", values)]).export("png", tmp_path / "out")
    with Image.open(folder / "x.target3.png") as picture:
        assert picture.size == (300, 300)
        assert np.asarray(picture).min() == 255


@pytest.mark.parametrize("values", [torch.zeros(2, 2), torch.full((2, 2), -1.0)])
def test_a_map_of_nothing_is_dark(tmp_path: Path, values: torch.Tensor) -> None:
    folder = filled(tmp_path / "store", [one("x", values)]).export("png", tmp_path / "out")
    with Image.open(folder / "x.target3.png") as picture:
        assert np.asarray(picture).max() == 0


def test_any_id_has_a_file_of_its_own_within_the_folder(tmp_path: Path) -> None:
    names = [file_name(sample, target, "npz") for sample in AWKWARD for target in (1, 11)]
    assert len(set(names)) == len(names)
    for name in names:
        parts = Path(name).parts
        assert not Path(name).is_absolute()
        assert ".." not in parts
        assert "." not in parts
        assert all(0 < len(part) < 200 for part in name.split("/"))
        assert name.isascii()
    records = [one(sample, torch.ones(1, 1))._replace(block=k) for k, sample in enumerate(AWKWARD)]
    folder = filled(tmp_path / "deep" / "store", records).export("npz", tmp_path / "deep" / "out")
    found = {str(np.load(path)["id"]) for path in folder.rglob("*.npz")}
    assert found == {sample.rstrip("\0") for sample in AWKWARD}  # numpy drops these
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["out", "store"]


def test_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, real, calls = filled(tmp_path / "store", blocks(3)), np.savez_compressed, []

    def stops(file, **arrays):
        calls.append(arrays["id"])
        if len(calls) == 6:
            raise KeyboardInterrupt
        return real(file, **arrays)

    monkeypatch.setattr(export.np, "savez_compressed", stops)
    with pytest.raises(KeyboardInterrupt):
        store.export("npz", tmp_path / "out")
    assert len(list((tmp_path / "out").rglob("*.npz"))) == 5
    assert not (tmp_path / "out" / "explanations.csv").exists()
    store.export("npz", tmp_path / "out")
    assert len(calls) == 6 + 12 - 5
    assert len(list((tmp_path / "out").rglob("*.npz"))) == 12
    assert not list((tmp_path / "out").rglob("*.tmp"))


def test_something_else_in_the_folder_is_refused(tmp_path: Path) -> None:
    store = filled(tmp_path / "store", blocks(1))
    store.export("npz", tmp_path / "out")
    other = ExplanationStore.open(tmp_path / "other", manifest(seed=9))
    for again in (lambda: store.export("png", tmp_path / "out"), lambda: other.export("npz", tmp_path / "out")):
        with pytest.raises(InputError, match="has the export of another store or format: choose another folder"):
            again()
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "export.json").write_text("{")
    with pytest.raises(InputError, match="has the export of another store"):
        store.export("npz", tmp_path / "torn")
    with pytest.raises(InputError, match="format is 'jpg': choose npz, png, overlay, fiftyone"):
        store.export("jpg", tmp_path / "out")


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    store = filled(tmp_path / "store", blocks(1))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"output .*/file cannot be written \(.+\); fix the cause and"):
        store.export("npz", tmp_path / "file")


def test_a_bar_only_where_it_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = filled(tmp_path / "store", blocks(1))
    store.export("npz", tmp_path / "quiet")
    assert capsys.readouterr() == ("", "")
    store.export("npz", tmp_path / "told", progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "4/4" in err
    assert json.loads((tmp_path / "told" / "export.json").read_text())["format"] == "npz"
