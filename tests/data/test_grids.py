"""Grids as data: drawn for a model, each cell a sample, explained and scored by the ordinary verbs."""

import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
import yaml
from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image

from lit_coiba.attribution import GradCAM, InputXGradient
from lit_coiba.backbones import Backbone, di_full
from lit_coiba.cli import main
from lit_coiba.core.errors import InputError
from lit_coiba.data import BlockDataModule, Grids, ImageDataset, SyntheticParts
from lit_coiba.data.confidences import confidences
from lit_coiba.data.grid_cells import drawn_grids
from lit_coiba.data.transforms import Transform
from lit_coiba.functional import oracle_ceiling
from lit_coiba.metrics import GridPointing
from lit_coiba.resources import resource
from lit_coiba.store import ExplanationStore
from tests._testers import tiny
from tests._testers.runs import NoisePictures, explain


def shipped(name="synthetic_parts_cnn", **arguments):
    own = yaml.safe_load(resource(f"configs/experiment/{name}.yaml").read_text())["model"]["backbone"]
    return Backbone(**{**own, **arguments}, checkpoint=str(resource(f"checkpoints/{name}.safetensors"))).eval()


@pytest.fixture(scope="module")
def cnn():
    """Built for two by two."""
    return shipped(image_size=128)


@pytest.fixture
def source():
    return SyntheticParts(limit=60)


class Bright(torch.nn.Module):
    """Predicts what the pictures of `Patches` tell, with less confidence on the right."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, images):
        there = images[:, 2] > 0.25
        corner = (images * there[:, None]).sum((-2, -1)) / there.sum((-2, -1))[:, None]  # red: class; green: confidence
        right = ~there[:, :, : images.shape[-1] // 2].flatten(1).any(1)
        share = (corner[:, 1] - 0.1 * right).clamp(1e-3, 1 - 1e-3)
        chosen = torch.nn.functional.one_hot((corner[:, 0] * 3).round().long().clamp(0, 3), 4)
        return torch.where(chosen.bool(), share[:, None], (1 - share[:, None]) / 3).log() + self.weight


class Patches(ImageDataset):
    """Plain pictures that tell `Bright` what to say."""

    def __init__(self, sure):
        self.ids = [f"{index:03d}" for index in range(len(sure))]
        self.labels = [index % 4 for index in range(len(sure))]
        self.classes = []
        self.sure = sure

    def image(self, index):
        if self.sure[index] is None:
            raise OSError("the file is torn")
        color = torch.tensor([self.labels[index] / 3, self.sure[index], 0.5]).mul(255).round().to(torch.uint8)
        return to_pil_image(color.view(3, 1, 1).expand(3, 8, 8))


class Told(BlockDataModule):
    def __init__(self, sure, batch_size=3):
        super().__init__(batch_size, 0)
        self.pictures = Patches(sure)

    def dataset(self, split):
        return self.pictures


@pytest.fixture
def bright():
    recipe = tiny.resnet().preprocessing
    plain = type(recipe)(size=(16, 16), crop_pct=1.0, mean=(0, 0, 0), std=(1, 1, 1))
    return Backbone.wrap(Bright(), plain, look=False)


def test_g3_classes_of_a_grid_are_distinct_and_no_image_comes_twice(cnn, source):
    drawn = Grids(source, grids=9).draw(cnn)
    assert len(drawn) == 36
    assert drawn.ids[:5] == ["grid0000/0", "grid0000/1", "grid0000/2", "grid0000/3", "grid0001/0"]
    assert drawn.ids == sorted(set(drawn.ids))
    used = [number for grid in drawn.grids for number in grid]
    assert len(set(used)) == len(used) == 36
    labels = torch.tensor(drawn.labels).view(9, 4)
    assert all(len(set(row)) == 4 for row in labels.tolist())
    assert drawn.labels == [drawn.source.labels[number] for number in used]


def test_g3_each_cell_passes_the_threshold_as_it_is_shown(cnn, source):
    """Cut out of the finished grid."""
    drawn, transform = Grids(source, grids=5, threshold=0.9).draw(cnn), Transform(_whole(cnn))
    for index in range(len(drawn)):
        cell = transform(drawn.image(index))[:, drawn.region(index)].view(1, 3, 64, 64)
        with torch.no_grad():
            sure, predicted = cnn(cell).softmax(-1).max(-1)
        assert predicted.item() == drawn.labels[index]
        assert sure.item() >= 0.9 - 1e-5


def test_a_shrunk_cell_has_to_pass_at_every_place(bright):
    pictures = Patches([0.99, 0.7, 0.55, 0.2])
    assert confidences(bright, pictures, 2, "grow") == pytest.approx([0.99, 0.7, 0.55, 0], abs=0.004)
    assert confidences(bright, pictures, 2, "shrink") == pytest.approx([0.89, 0.6, 0.45, 0], abs=0.004)
    drawn = Grids(Told([0.7] * 4), cells="shrink", threshold=0.55).draw(bright)
    assert drawn.image(0).size == (16, 16)
    assert drawn.cell.preprocessing.size == (8, 8)


def _whole(model):
    return replace(model.preprocessing, crop_pct=1.0)


def test_a_grid_shows_its_images_and_a_region_is_its_cell(cnn, source):
    drawn = Grids(source, grids=2).draw(cnn)
    picture = pil_to_tensor(drawn.image(6))
    assert picture.shape == (3, 128, 128)
    for place, number in enumerate(drawn.grids[1]):
        cell = Transform(replace(cnn.preprocessing, size=(64, 64))).pixels(drawn.source.image(number))
        assert torch.equal(picture[:, drawn.region(4 + place)].view(3, 64, 64), cell)
    regions = torch.stack([drawn.region(4 + place) for place in range(4)])
    assert (regions.sum(0) == 1).all()
    assert len({drawn.region_version(4 + place) for place in range(4)}) == 4
    assert drawn.version(4) == "; ".join(drawn.source.ids[number] for number in drawn.grids[1])


def test_the_pool_and_its_threshold_are_printed_and_relaxed_only_where_it_is_needed(bright, capsys):
    sure = [0.995] * 8 + [0.95] * 4 + [0.6] * 4 + [0.3] * 4 + [None]
    for count, expected, passed in ((2, 0.99, 8), (3, 0.9, 12), (4, 0.5, 16), (9, 0.5, 16)):
        drawn = Grids(Told(sure), grids=count).draw(bright)
        assert len(drawn) == 4 * min(count, 4)
        told = capsys.readouterr().err
        assert f"{passed} of 21 images have their label predicted with {expected} or more" in told
        assert "seed 42" in told


def test_the_draw_depends_on_the_seed_and_not_on_the_number_of_grids():
    labels = [index % 7 for index in range(70)]
    first, more, other = (drawn_grids(labels, range(70), 4, *rest) for rest in ((3, 42), (17, 42), (3, 43)))
    assert more[:3] == first != other
    assert len(drawn_grids(labels, range(70), 4, 99, 42)) == 17  # 68 of 70 images
    uneven = [0] * 10 + [1] * 3 + [2] * 3
    assert len(drawn_grids(uneven, range(16), 2, 99, 0)) == 6  # every image of the small classes with one of the large


def test_the_first_and_the_last_cell_may_share_a_class():
    labels = [index % 5 for index in range(30)]
    found = drawn_grids(labels, range(30), 4, 99, 0, same_class=True)
    classes = [[labels[number] for number in grid] for grid in found]
    assert all(grid[0] == grid[3] and len(set(grid)) == 3 for grid in classes)
    assert len({number for grid in found for number in grid}) == 4 * len(found) >= 24
    assert drawn_grids([0, 1, 2], range(3), 4, 99, 0, same_class=True) == []
    assert len({grid[0] for grid in classes}) > 1


def test_confidences_are_those_of_the_label_where_it_is_predicted(bright):
    pictures = Patches([0.99, 0.7, 0.5, 0.2, None])
    pictures.labels = [0, 1, 2, 3, 0]
    found = confidences(bright, pictures, 2, "grow", batch_size=2)
    assert found == pytest.approx([0.99, 0.7, 0.5, 0, 0], abs=0.004)
    pictures.labels = [1, 1, 2, 3, 0]
    shown = Patches(pictures.sure)
    pictures.image = shown.image
    assert confidences(bright, pictures, 2, "grow")[0] == 0  # another class than its label


def test_a_pool_file_is_measured_once_and_has_to_be_passed_by_every_model_in_it(bright, tmp_path, monkeypatch):
    file = tmp_path / "sub" / "pool.json"
    sure = [0.995] * 16
    alone = Grids(Told(sure), grids=4, pool=str(file)).draw(bright)
    assert len(alone) == 16
    kept = json.loads(file.read_text())
    assert len(kept["models"]) == 1
    monkeypatch.setattr("lit_coiba.data.grids.confidences", lambda *_: pytest.fail("measured again"))
    assert Grids(Told(sure), grids=4, pool=str(file)).draw(bright).grids == alone.grids
    kept["models"]["another"] = [1.0] * 8 + [0.1] * 8
    file.write_text(json.dumps(kept))
    both = Grids(Told(sure), grids=4, pool=str(file)).draw(bright)
    assert {number for grid in both.grids for number in grid} == set(range(8))
    with pytest.raises(InputError, match=r"pool: .* is of other images"):
        Grids(Told(sure[:8]), pool=str(file)).draw(bright)
    file.write_text("{}")
    with pytest.raises(InputError, match=r"pool: .* is damaged"):
        Grids(Told(sure), pool=str(file)).draw(bright)


def test_g4_a_grid_that_would_split_a_patch_is_refused(source):
    vit = shipped("synthetic_parts_vit")  # 64 pixels in patches of 8
    patch = vit.model.patch_embed.patch_size[0]
    with pytest.raises(InputError, match=rf"n is 3, .* would share its patches of {patch} x {patch}: choose n 2, 4"):
        Grids(source, n=3, cells="shrink").draw(vit)
    with pytest.raises(InputError, match="are no whole pixels"):
        Grids(source, n=3).draw(shipped(image_size=128))
    with pytest.raises(InputError, match=r"cells is grow, but the model takes images of one size: .*dynamic_img_size"):
        Grids(source).draw(vit)


def test_a_model_of_its_own_size_does_not_grow(source):
    with pytest.raises(InputError, match=r"image_size is its own.*set image_size to 448"):
        Grids(source).draw(Backbone("resnet18", num_classes=20))


def test_too_few_images_or_classes_are_told(bright):
    with pytest.raises(InputError, match=r"2 x 2 needs images of 4 classes, but 3 of 4 images .* of 3 classes"):
        Grids(Told([0.99, 0.99, 0.99, 0.1])).draw(bright)
    with pytest.raises(InputError, match=r"0 of 4 images .* 0 classes: give more images, or a smaller n"):
        Grids(Told([0.1] * 4)).draw(bright)


def test_arguments_that_make_no_sense(source):
    for arguments, told in (
        ({"n": 1}, "n is 1"),
        ({"grids": 0}, "grids is 0"),
        ({"cells": "shrunk"}, "cells is 'shrunk'"),
        ({"threshold": 1.5}, "threshold is 1.5"),
    ):
        with pytest.raises(InputError, match=told):
            Grids(source, **arguments)
    with pytest.raises(InputError, match="source is of type NoisePictures"):
        Grids(NoisePictures(3))
    with pytest.raises(InputError, match="no split train"):
        Grids(source).dataset("train")
    with pytest.raises(InputError, match=r"drawn for a model: run explain or benchmark, or call draw"):
        Grids(source).dataset("predict")


def test_a_run_explains_each_cell_for_its_label_and_the_ceiling_holds(cnn, source, tmp_path):
    data = Grids(source, grids=4, batch_size=4)
    store = explain(cnn, tmp_path / "store", data, GradCAM(), "label")
    drawn = data.dataset("predict")
    rows = list(store)
    assert [row.id for row in rows] == drawn.ids
    assert [row.target for row in rows] == drawn.labels
    maps, regions = torch.stack([row.map for row in rows]), torch.stack([drawn.region(k) for k in range(16)])
    scores = GridPointing().score(maps, regions)
    ceiling = oracle_ceiling(regions, (maps.shape[1], maps.shape[2]))
    assert 0.5 < scores.mean() < ceiling.mean() < 0.95
    again = explain(cnn, tmp_path / "store", Grids(source, grids=4, batch_size=4), GradCAM(), "label")
    assert again.digest() == store.digest()
    with pytest.raises(InputError, match="seed"):
        explain(cnn, tmp_path / "store", Grids(source, grids=4, batch_size=4, seed=1), GradCAM(), "label")


def test_from_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [
        *("-c", "configs/model/synthetic_parts_cnn.yaml", "--model.backbone.image_size", "128", "--data", "Grids"),
        *("--data.source", "SyntheticParts", "--data.source.limit", "40", "--data.grids", "4", "--data.pool", "p.json"),
        *("--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", "--data.num_workers", "0"),
    ]
    explained = ["--model.method", "GradCAM", "--model.targets", "label", "--pictures", "false", "--store", "cam"]
    assert main(["explain", *words, *explained]) == 0
    assert re.search(r"Grids: 40 of 40 images .* 4 grids of 2 x 2, seed 42", capsys.readouterr().err)
    assert len(ExplanationStore("cam")) == 16
    scored = ["--model.metrics.gridpg", "GridPointing", "--stores", "cam", "--output", "table"]
    assert main(["benchmark", *words, *scored]) == 0
    table = (tmp_path / "table" / "leaderboard.md").read_text()
    assert all(name in table for name in ("| cam |", "| Oracle |", "gridpg"))


def test_the_network_that_sees_one_cell_explains_that_cell(source, tmp_path):
    """DiFull by the ordinary verbs, one network for each cell."""
    network = di_full(shipped(), n=2, cell=3)
    data = Grids(source, grids=3, places=[3], batch_size=2)
    store = explain(network, tmp_path / "store", data, InputXGradient(), "label")
    drawn = data.dataset("predict")
    assert drawn.ids == ["grid0000/3", "grid0001/3", "grid0002/3"]
    rows = list(store)
    assert [row.target for row in rows] == drawn.labels == [drawn.source.labels[grid[3]] for grid in drawn.grids]
    assert min(row.probability for row in rows) > 0.99
    maps, regions = torch.stack([row.map for row in rows]), torch.stack([drawn.region(k) for k in range(3)])
    assert GridPointing().score(maps, regions).tolist() == [1, 1, 1]
    with pytest.raises(InputError, match=r"places is \[4\]"):
        Grids(source, places=[4])


def test_two_processes_draw_the_same_grids(tmp_path, monkeypatch):
    """The first measures, also where it has something to say."""
    monkeypatch.chdir(tmp_path)
    words = [
        *("explain", "-c", "configs/model/synthetic_parts_cnn.yaml", "--model.backbone.image_size", "128"),
        *("--data", "Grids", "--data.source", "SyntheticParts", "--data.grids", "3", "--data.batch_size", "5"),
        *("--model.targets", "label", "--model.method", "GradCAM", "--trainer.accelerator", "cpu"),
        *("--data.num_workers", "0", "--pictures", "false"),
    ]
    assert main([*words, "--data.source.limit", "30", "--store", "one"]) == 0
    two = [sys.executable, "-m", "lit_coiba", *words, "--trainer.devices", "2"]
    done = subprocess.run([*two, "--data.source.limit", "30", "--store", "two"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Grids: 30 of 30 images") == 1
    assert ExplanationStore("one").digest() == ExplanationStore("two").digest()
    done = subprocess.run([*two, "--data.source.limit", "3", "--store", "none"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("lit-coiba: error: a grid of 2 x 2 needs images of 4 classes") == 1


def test_o1_the_oracle_beats_random_maps(cnn, source):
    drawn = Grids(source, grids=6).draw(cnn)
    regions = torch.stack([drawn.region(k) for k in range(len(drawn))])
    metric, random = GridPointing(), torch.rand(regions.shape, generator=torch.Generator().manual_seed(0))
    oracle, half, chance = (metric.score(maps, regions) for maps in (regions.float(), regions + random, random))
    error = (chance.var() / len(chance)).sqrt()
    assert oracle.mean() == 1
    assert oracle.mean() > half.mean() > chance.mean() + 3 * error
    assert abs(chance.mean() - 0.25) < 4 * error
