"""What cannot be shown is refused in a sentence, and a site that is there stays as it is."""

import json
import shutil
from contextlib import suppress

import pytest

from lit_coiba.core.errors import InputError
from lit_coiba.explorer import build
from lit_coiba.files.owned import MARKER
from lit_coiba.store import ExplanationStore, Manifest
from tests._testers.explorer_concepts import write_concepts
from tests._testers.explorer_runs import World, write_benchmark, write_runs, write_store
from tests._testers.explorer_units import write_prototypes, write_visualizations

WORLD = World(3, 3)
OTHER = World(3, 3, model="another")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Folders of runs by a name."""
    folder = tmp_path_factory.mktemp("refused")
    write_runs(folder, WORLD)
    write_concepts(folder / "concepts2", WORLD)
    write_concepts(folder / "deeper", WORLD, layer="blocks.3")
    write_prototypes(folder / "prototypes2", WORLD)
    write_concepts(folder / "other concepts", OTHER)
    write_store(folder / "other store", OTHER, "Saliency")
    write_prototypes(folder / "other prototypes", OTHER)
    write_visualizations(folder / "other visualizations", OTHER)
    write_benchmark(folder / "other table", OTHER, ("Saliency",))
    write_concepts(folder / "renamed", World(3, 3, names=("a", "b", "c")))
    write_concepts(folder / "fewer", World(2, 3, model="another"))
    write_store(folder / "relabelled", World(3, 3, wrong_every=3), "Saliency")
    folder.joinpath("empty").mkdir()
    shutil.copytree(folder / "Saliency", folder / "other data")
    manifest = json.loads((folder / "other data/manifest.json").read_text())
    manifest["identity"]["data"] = {"class": "CUB200", "dataset": "CUB200"}
    (folder / "other data/manifest.json").write_text(json.dumps(manifest))
    return folder


REFUSED = {
    "runs of two models": (["concepts", "other store"], "of another model or other weights"),
    "prototypes of another model": (["concepts", "other prototypes"], "of another model or other weights"),
    "pictures of another model": (["concepts", "other visualizations"], "of another model or other weights"),
    "scores of another model": (["concepts", "other table"], "of another model or other weights"),
    "runs of two datasets": (["concepts", "other data"], "of other data"),
    "runs with other labels": (["concepts", "relabelled"], "has the label 0 in one of the runs and 1 in another"),
    "runs with other class names": (["Saliency", "renamed"], "of other classes"),
    "two concept runs of a layer": (["concepts", "concepts2"], "both have concepts of the layer blocks.2"),
    "two heads": (["prototypes", "prototypes2"], "are both of prototypes"),
    "a folder twice": (["concepts", "./concepts"], "names a folder twice"),
    "no folder": (["concepts", "missing"], "missing is not a folder"),
    "a folder of no kind": (["empty"], "has nothing that is known"),
    "a folder of runs": (["."], r"has nothing that is known: give folders in it, such as .*InputXGradient"),
    "scores without their table": (["table/Saliency"], "give the folder of the benchmark above it"),
    "nothing": ([], "give at least one folder"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_runs_that_do_not_go_together_are_refused(case, base, tmp_path):
    runs, message = REFUSED[case]
    with pytest.raises(InputError, match=message):
        build([base / run for run in runs], tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_two_layers_of_a_model_are_shown(base, tmp_path):
    site = build([base / "concepts", base / "deeper"], tmp_path / "site").path
    page = json.loads((site / "classes/00000.json").read_text())
    assert [layer["layer"] for layer in page["layers"]] == ["blocks.2", "blocks.3"]
    assert (site / "concepts/00000-01-1.html").is_file()


@pytest.mark.parametrize("other", ["fewer", "renamed"])
def test_another_model_has_the_same_classes(base, tmp_path, other):
    with pytest.raises(InputError, match=r"has other classes than .*concepts"):
        build([base / "concepts"], tmp_path / "site", other=[base / other])


def test_runs_of_the_other_model_agree_too(base, tmp_path):
    with pytest.raises(InputError, match=r"^other: .* is of another model"):
        build([base / "concepts"], tmp_path / "site", other=[base / "other concepts", base / "Saliency"])


def test_a_store_without_explanations_has_nothing_to_show(tmp_path):
    about = WORLD.identity(method={"class": "Saliency"}, targets="predicted")
    ExplanationStore.open(tmp_path / "store", Manifest(about, WORLD.recorded()))
    with pytest.raises(InputError, match="there is nothing to show"):
        build([tmp_path / "store"], tmp_path / "site")


def test_a_folder_of_others_is_refused(base, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site/thesis.tex").write_text("mine")
    with pytest.raises(InputError, match=r"is not a folder of this verb, and has other files, such as thesis\.tex"):
        build([base / "concepts"], tmp_path / "site")
    assert [file.name for file in (tmp_path / "site").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("place", ["concepts", "concepts/site"])
def test_a_site_does_not_lie_in_a_run(base, place):
    with pytest.raises(InputError, match="lies in the folder of the run"):
        build([base / "concepts"], base / place)


def test_a_site_is_no_run(site, tmp_path):
    with pytest.raises(InputError, match="is a site that the explorer made"):
        build([site], tmp_path / "site")


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("concepts/classes/00001/class.json", "00001/class.json is damaged"),
        ("concepts/predictions.parquet", "is damaged"),
        ("concepts/classes/00001/points.parquet", "class 1 in .* is damaged"),
        ("concepts/classes/00001/concepts.safetensors", "00001"),
        ("concepts/manifest.json", "is damaged"),
        ("table/leaderboard.csv", "benchmark: .* is damaged"),
        ("prototypes/prototypes.json", "cannot be read"),
        ("visualizations/run.json", "damaged"),
    ],
)
def test_a_damaged_run_is_refused_and_a_site_stays(base, tmp_path, file, message):
    runs = [
        shutil.copytree(base / name, tmp_path / name) for name in ("concepts", "table", "prototypes", "visualizations")
    ]
    site = build(runs, tmp_path / "site").path
    before = {file: file.read_bytes() for file in site.rglob("*.html")}
    (tmp_path / file).write_bytes((tmp_path / file).read_bytes()[:-40] + b"?" * 20)
    with pytest.raises(InputError, match=message):
        build(runs, tmp_path / "another")
    with suppress(InputError):  # a table of a class is only read where the class is made anew
        build(runs, site)
    assert {file: file.read_bytes() for file in site.rglob("*.html")} == before


def test_a_run_that_did_not_come_to_its_end_is_refused(base, tmp_path):
    run = shutil.copytree(base / "concepts", tmp_path / "concepts")
    (run / "predictions.parquet").unlink()
    with pytest.raises(InputError, match="run lit-coiba concepts to its end"):
        build([run], tmp_path / "site")


def test_a_benchmark_without_a_table_is_refused(tmp_path):
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / MARKER).write_text('{"made by": "benchmark"}')
    with pytest.raises(InputError, match="has no table: run lit-coiba benchmark to its end"):
        build([tmp_path / "table"], tmp_path / "site")


@pytest.mark.parametrize(
    ("name", "text"),
    [("names.json", '{"a": {"0": "b"}}'), ("names.json", "[1]"), ("names.yaml", "a: ["), ("names.yaml", "3: 4")],
)
def test_names_that_are_none_are_refused(base, tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=r"names: .* (does not have names|is damaged)"):
        build([base / "concepts"], tmp_path / "site", names=tmp_path / name)


def test_images_that_are_no_folder_are_refused(base, tmp_path):
    with pytest.raises(InputError, match=r"images: .* is not a folder"):
        build([base / "concepts"], tmp_path / "site", images=tmp_path / "missing")
