"""Suites: those that come with the package, files of the user's, and what is refused in one sentence."""

import pytest

from lit_coiba.core.errors import InputError
from lit_coiba.metrics import SRG, Insertion
from lit_coiba.metrics.metric import Metric
from lit_coiba.metrics.suites import load_suite, suite_names


@pytest.mark.parametrize("name", suite_names())
def test_every_suite_is_of_metrics(name):
    found = load_suite(name)
    assert found
    assert all(isinstance(metric, Metric) for metric in found.values())


def test_suites_that_come_with_the_package():
    assert {"quick", "faithfulness", "localisation", "in_distribution"} <= set(suite_names())
    assert load_suite("in_distribution")["srg"].settings()["baseline"] == "auto"


def write(folder, text, name="mine.yaml"):
    (folder / name).write_text(text)
    return str(folder / name)


def test_a_file_and_several_suites(tmp_path):
    path = write(tmp_path, "model: {metrics: {short: Insertion, long: {class_path: SRG, init_args: {grid_size: 3}}}}")
    found = load_suite(path)
    assert (type(found["short"]), type(found["long"]), found["long"].grid_size) == (Insertion, SRG, 3)
    assert list(load_suite(f"localisation+{path}")) == [*load_suite("localisation"), "short", "long"]
    assert list(load_suite("quick+quick")) == list(load_suite("quick"))
    assert list(load_suite(write(tmp_path, "model: {metrics: {one: SRG}}", "a+b.yaml"))) == ["one"]


def test_of_suites_that_call_different_metrics_alike_the_last_decides(tmp_path):
    path = write(tmp_path, "model: {metrics: {srg: {class_path: SRG, init_args: {grid_size: 3}}}}")
    assert load_suite(f"quick+{path}")["srg"].grid_size == 3
    assert load_suite(f"{path}+quick")["srg"].grid_size is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("model: {metrics: {one: os.system}}", "one is os.system, which is no metric of lit-coiba"),
        ("model: {metrics: {one: user.Insertoin}}", "one is user.Insertoin, which is no metric of lit-coiba"),
        ("model: {metrics: {one: {class_path: Insertion, init_args: {stesp: 3}}}}", "one: .*stesp"),
        ("model: {metrics: {one: {class_path: Metric}}}", "one is Metric, which is no metric|one: .*abstract"),
        ("model: {metrics: {one: {class_path: Insertion, init_args: {steps: 0}}}}", "steps is 0: give 1 or more"),
        ("model: [", "not a file of metrics|YAML"),
        ("metrics: {}", "is not a file of metrics by their columns"),
        ("model: {metrics: [SRG]}", "is not a file of metrics by their columns"),
        ("model: {metrics: {one: 3}}", "is not a file of metrics by their columns"),
    ],
)
def test_files_that_are_refused(tmp_path, text, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        load_suite(write(tmp_path, text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("quik", "suite quik does not exist: did you mean quick?"),
        ("unheard", "suite unheard does not exist: give alignment, cells"),
        ("quick+", "does not exist"),
        ("none.yaml", "none.yaml"),
    ],
)
def test_names_that_are_refused(name, sentence):
    with pytest.raises(InputError) as caught:
        load_suite(name)
    assert sentence in str(caught.value)
