"""Memory depends on the largest class, not on how many there are; and what is missing or running is said."""

import sys

import pytest

from benchmarks.explorer_memory import made_up, measured
from lit_coiba.core.errors import InputError
from lit_coiba.explorer import build
from lit_coiba.files.held import held
from tests._testers.explorer_concepts import write_concepts
from tests._testers.explorer_runs import World
from tests._testers.explorer_units import write_item, write_visualizations


@pytest.mark.slow
def test_a_thousand_classes_take_hardly_more_memory_than_a_hundred(tmp_path):
    few, many = (
        measured(tmp_path / f"site-{count}", made_up(tmp_path / f"runs-{count}", count, 20)) for count in (100, 1000)
    )
    assert (few["classes"], many["classes"]) == (100, 1000)
    assert many["MB"] < 1.2 * few["MB"]


@pytest.mark.parametrize(("package", "remedy"), [("jinja2", "needs jinja2"), ("plotly.offline", "needs plotly")])
def test_a_missing_package_is_named(tmp_path, monkeypatch, package, remedy):
    run = write_concepts(tmp_path / "concepts", World(1, 3))
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"the explorer {remedy}: pip install 'lit-coiba\[explorer\]'"):
        build([run], tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_two_builds_do_not_write_one_site(tmp_path):
    run = write_concepts(tmp_path / "concepts", World(1, 3))
    build([run], tmp_path / "site")
    with held(tmp_path / "site", "out", "explorer"), pytest.raises(InputError, match="another explorer is writing to"):
        build([run], tmp_path / "site")


def test_the_first_page_counts_what_was_added(tmp_path):
    world = World(1, 3, r=2)
    runs = [write_concepts(tmp_path / "concepts", world), write_visualizations(tmp_path / "images", world)]
    site = build(runs, tmp_path / "site").path
    assert "4 optimized images" in (site / "index.html").read_text()
    write_item(tmp_path / "images", world, "channel-00003", kind="channel", unit=3, layer="blocks.1")
    assert build(runs, site).made == ["site"]
    assert "5 optimized images" in (site / "index.html").read_text()
