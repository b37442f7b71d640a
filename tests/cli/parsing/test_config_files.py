"""Config files before they are parsed: where they are found, what is wrong with them, what of them still holds."""

from __future__ import annotations

import pytest
import yaml

from lit_coiba.cli.parsing.config_files import read_configs
from lit_coiba.core.errors import InputError

DEFAULTS = {"data": {"class_path": "ImageFolder"}}


def contents(words: list[str]) -> list[object]:
    return [yaml.safe_load(word.removeprefix("--config=")) for word in words if word.startswith("--config=")]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(name: str, text: str) -> str:
    with open(name, "w", encoding="utf-8") as file:
        file.write(text)
    return name


def test_order_and_other_words_stay():
    first, second = write("a.yaml", "limit: 1"), write("b.yaml", "limit: 2")
    words, configs, _ = read_configs(["--x", "1", "-c", first, "--y=2", f"--config={second}"], DEFAULTS)
    assert [word for word in words if not word.startswith("--config=")] == ["--x", "1", "--y=2"]
    assert contents(words) == [DEFAULTS, {"limit": 1}, {"limit": 2}]
    assert [config.name for config in configs[1:]] == ["a.yaml", "b.yaml"]


def test_shipped_files_are_found_from_everywhere():
    _, configs, classes = read_configs(["-c", "configs/method/iba.yaml"], DEFAULTS)
    assert configs[-1].find("model.method.beta") == 10.0
    assert classes == {"data": "ImageFolder", "model.method": "IBA"}


def test_a_file_of_ones_own_comes_first(tmp_path):
    (tmp_path / "configs" / "method").mkdir(parents=True)
    write("configs/method/iba.yaml", "limit: 7")
    assert contents(read_configs(["-c", "configs/method/iba.yaml"], DEFAULTS)[0])[-1] == {"limit": 7}


def test_numbers_as_people_write_them():
    write("a.yaml", "model: {lr: 1e-3, name: 'yes', more: [.inf, null]}")
    words, _, _ = read_configs(["-c", "a.yaml"], DEFAULTS)
    assert contents(words)[-1] == {"model": {"lr": 0.001, "name": "yes", "more": [float("inf"), None]}}


def test_sections_whose_keys_are_all_commented_out():
    write("a.yaml", "trainer:\n  # max_epochs: 3\nlimit: null\n")
    assert contents(read_configs(["-c", "a.yaml"], DEFAULTS)[0])[-1] == {"limit": None}


COIBA = {"model": {"method": {"class_path": "CoIBA", "init_args": {"beta": 2.0}}, "targets": "label"}}
LEFT = {"model": {"targets": "label"}}


@pytest.mark.parametrize(
    ("later", "left"),
    [
        (["--model.method", "IBA"], LEFT),
        (["--model.method=lit_coiba.attribution.IBA"], LEFT),
        (["--model.method.class_path", "IBA"], LEFT),
        (["-c", "{model: {method: {class_path: IBA}}}"], LEFT),
        (["-c", "{model: {method: IBA}}"], LEFT),
        (["-c", "{model: {method: {init_args: {copies: 3}}}}", "--model.method", "IBA"], LEFT),
        (["--model.method", "IBA", "--model.method", "CoIBA"], COIBA),
        (["--model.method", "lit_coiba.attribution.CoIBA"], COIBA),
        (["--model.method.beta", "3"], COIBA),
        (["--model.targets", "IBA"], COIBA),
    ],
)
def test_arguments_of_a_class_that_was_replaced_are_forgotten(later, left):
    write("coiba.yaml", yaml.safe_dump(COIBA))
    assert contents(read_configs(["-c", "coiba.yaml", *later], DEFAULTS)[0])[1] == left


def test_the_defaults_get_the_class_that_is_chosen():
    words, _, classes = read_configs(["--data.size", "32", "--data", "SyntheticParts"], DEFAULTS)
    assert contents(words) == [{"data": {"class_path": "SyntheticParts"}}]
    assert classes == {"data": "SyntheticParts"}
    assert DEFAULTS == {"data": {"class_path": "ImageFolder"}}


@pytest.mark.parametrize("later", [["--data", "CUB200"], ["-c", "{data: {class_path: CUB200}}"]])
def test_a_file_that_names_no_class_says_its_arguments_of_whatever_class_is_chosen(later):
    write("experiment.yaml", "data: {init_args: {batch_size: 32}}")
    words, _, classes = read_configs(["-c", "experiment.yaml", *later], DEFAULTS)
    assert contents(words)[:2] == [{"data": {"class_path": "CUB200"}}, {"data": {"init_args": {"batch_size": 32}}}]
    assert classes == {"data": "CUB200"}
    write("folder.yaml", "data: ImageFolder")
    words, _, _ = read_configs(["-c", "folder.yaml", "-c", "experiment.yaml", *later], DEFAULTS)
    assert contents(words)[1:3] == [{}, {}]  # what was said of one class is not said of another


@pytest.mark.parametrize("file", ["data.yaml", "{class_path: SyntheticParts}"])
def test_a_file_for_a_section_is_no_class(file):
    assert read_configs(["--data", file], DEFAULTS)[2] == {"data": "ImageFolder"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-c", "nosuch.yaml"], "config file nosuch.yaml does not exist"),
        (
            ["-c", "configs/method/coibaa.yaml"],
            "config file configs/method/coibaa.yaml does not exist: did you mean configs/method/coiba.yaml or "
            "configs/method/iba.yaml?",
        ),
        (
            ["-c", "method/saliency.yaml"],
            "config file method/saliency.yaml does not exist: did you mean configs/method/saliency",
        ),
        (["-c"], "-c needs a file, such as -c configs/method/coiba.yaml"),
        (["-c", "."], "config file . cannot be read: a folder, not a regular file"),
        (["-c", "binary"], "config file binary cannot be read: 'utf-8' codec can't decode"),
        (["-c", "open.yaml"], "config file open.yaml, line 3: did not find expected"),
        (["-c", "tab.yaml"], "config file tab.yaml, line 2: found character that cannot start any token"),
        (["-c", "tag.yaml"], "config file tag.yaml, line 1: could not determine a constructor for the tag"),
        (["-c", "{a: [}"], "the configuration on the command line, line 1: "),
        (["-c", "number.yaml"], "config file number.yaml is not a mapping of keys to values"),
        (["-c", "empty.yaml"], "config file empty.yaml is not a mapping of keys to values"),
        (["-c", "section.yaml"], "trainer in config file section.yaml is 3, but must be a mapping of keys to values"),
    ],
)
def test_what_is_wrong_with_a_file(words, said):
    write("open.yaml", "model:\n  x: [\n")
    write("tab.yaml", "model:\n\tx: 3\n")
    write("tag.yaml", "model: !!python/object/apply:os.system ['touch pwned']\n")
    write("number.yaml", "3\n")
    write("empty.yaml", "# nothing\n")
    write("section.yaml", "trainer: 3\n")
    with open("binary", "wb") as file:
        file.write(b"\xff\xfe\x00")
    with pytest.raises(InputError) as raised:
        read_configs(words, DEFAULTS)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
