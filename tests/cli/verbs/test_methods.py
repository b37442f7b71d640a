"""The list of methods, their pages, and that the committed pages are what the docstrings say."""

from __future__ import annotations

from pathlib import Path

import pytest

from lit_coiba.cli import main
from lit_coiba.cli.pages.method_cards import pages, write_pages
from lit_coiba.resources import resource

DOCS = Path(__file__).parents[3] / "docs" / "methods"


def test_every_method_has_two_lines(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["methods"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for page in pages():
        (place,) = (i for i, line in enumerate(lines) if line.split("  ")[0] == page.name)
        card = page.card
        assert (card.paper or "trivial baseline") in lines[place]
        assert card.cost in lines[place + 1]


def test_one_method_is_told_at_length(capsys):
    assert main(["methods", "gradcam"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for told in (
        "GradCAM",
        "arXiv 1610.02391",
        "configs/method/grad_cam.yaml",
        "relu true Whether to keep positive evidence only",
    ):
        assert told in text


def test_a_misspelt_method_is_told_in_one_line(capsys):
    assert main(["methods", "gradcma"]) == 2
    assert "unknown method 'gradcma': did you mean GradCAM" in capsys.readouterr().err
    assert main(["methods", "--colour", "red"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_help_teaches(capsys):
    assert main(["methods", "--help"]) == 0
    text = capsys.readouterr().out
    assert "lit-coiba methods CoIBA" in text
    assert "--output" in text


def test_the_pages_in_docs_are_those_of_the_docstrings(tmp_path, capsys):
    assert main(["methods", "--output", str(tmp_path / "pages")]) == 0
    made = {file.name: file.read_text() for file in (tmp_path / "pages").iterdir()}
    kept = {file.name: file.read_text() for file in DOCS.iterdir()}
    assert made == kept, "run lit-coiba methods --output docs/methods"


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_a_page_is_complete(page):
    assert page.summary.endswith(".")
    assert page.configs, "the method has no file in configs/method"
    assert all(meaning for _, _, meaning in page.arguments), "an argument has no docstring"
    assert page.card.paper or page.card.baseline


def test_every_config_is_of_a_method_that_is_offered():
    found = [config for page in pages() for config in page.configs]
    assert sorted(found) == sorted(f"configs/method/{file.name}" for file in resource("configs/method").glob("*.yaml"))


def test_pages_can_be_written_again(tmp_path):
    first = {file: file.read_text() for file in write_pages(tmp_path)}
    assert {file: file.read_text() for file in write_pages(tmp_path)} == first
