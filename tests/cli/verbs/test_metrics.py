"""The list of metrics, their pages, and that the committed pages are what the docstrings say."""

from __future__ import annotations

from pathlib import Path

import pytest

from lit_coiba.cli import main
from lit_coiba.cli.pages.metric_cards import pages

DOCS = Path(__file__).parents[3] / "docs" / "metrics"


def test_every_metric_has_two_lines(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["metrics"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for page in pages():
        (place,) = (i for i, line in enumerate(lines) if line.split("  ")[0] == page.name)
        assert f"{page.card.family}; {page.card.paper or 'a definition of our own'}" in lines[place]
        assert page.card.range in lines[place + 1]
        assert page.card.cost in lines[place + 1]


def test_the_families_stand_together():
    families = [page.card.family for page in pages()]
    assert families == sorted(families)
    assert set(families) >= {"faithfulness", "localisation", "prototypes"}


def test_one_metric_is_told_at_length(capsys):
    assert main(["metrics", "pointinggame"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for told in (
        "PointingGame",
        "arXiv 1608.00507",
        "better higher",
        "0 or 1",
        "region is empty",
        "tolerance 0.0 Pixels",
    ):
        assert told in text


def test_what_cannot_be_listed_is_told_in_one_line(capsys):
    assert main(["metrics", "insertoin"]) == 2
    assert "unknown metric 'insertoin': did you mean Insertion" in capsys.readouterr().err
    assert main(["metrics", "--colour", "red"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_help_teaches(capsys):
    assert main(["metrics", "--help"]) == 0
    text = capsys.readouterr().out
    assert "lit-coiba metrics Insertion" in text
    assert "--output" in text


def test_the_pages_in_docs_are_those_of_the_docstrings(tmp_path, capsys):
    assert main(["metrics", "--output", str(tmp_path / "pages")]) == 0
    made = {file.name: file.read_text() for file in (tmp_path / "pages").iterdir()}
    kept = {file.name: file.read_text() for file in DOCS.iterdir()}
    assert made == kept, "run lit-coiba metrics --output docs/metrics"


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_a_page_is_complete(page):
    assert page.summary.endswith(".")
    assert all(meaning for _, _, meaning in page.arguments), "an argument has no docstring"
    assert all([page.card.range, page.card.cost, page.card.undefined])
    assert page.kind.higher_is_better is page.card.higher_is_better
