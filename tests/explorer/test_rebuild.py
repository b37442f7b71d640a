"""The same runs give the same bytes; what is there is not made again; what is gone goes, and nothing else."""

import hashlib
import json
import multiprocessing
import os
import shutil
import signal

import pytest

from lit_coiba.explorer import build, building
from lit_coiba.explorer.media import Media
from lit_coiba.explorer.rendering import Renderer
from lit_coiba.explorer.site_folder import PartFiles
from tests._testers.explorer_concepts import write_concepts
from tests._testers.explorer_runs import World, write_runs


def content(site):
    """Address -> digest of every file."""
    files = sorted(file for file in site.rglob("*") if file.is_file())
    return {str(file.relative_to(site)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def nothing(*_, **__):
    raise AssertionError("nothing is to be made")


def test_a_second_site_of_the_same_runs_has_the_same_bytes(rebuild, site, tmp_path):
    assert content(rebuild(tmp_path / "again").path) == content(site)


def test_a_second_build_makes_nothing(rebuild, copied, monkeypatch):
    before = {file: file.stat().st_mtime_ns for file in copied.rglob("*") if file.is_file()}
    for where, name in ((Media, "picture"), (Media, "overlay"), (Renderer, "html"), (PartFiles, "write")):
        monkeypatch.setattr(where, name, nothing)
    again = rebuild(copied)
    assert (again.made, again.removed) == ([], [])
    assert {file: file.stat().st_mtime_ns for file in copied.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize("how", ["removed", "changed", "truncated"])
def test_a_file_that_is_not_what_it_was_is_made_again(rebuild, site, copied, how):
    file = copied / "media/00001/image-0003.webp"
    if how == "removed":
        file.unlink()
    else:
        whole = file.read_bytes()
        file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]) if how == "changed" else whole[:20])
    assert rebuild(copied).made == ["00001"]
    assert content(copied) == content(site)


def test_only_the_class_that_changed_is_made_again(tmp_path):
    write_concepts(tmp_path / "concepts", World(4, 4))
    build([tmp_path / "concepts"], tmp_path / "site")
    (tmp_path / "names.json").write_text(json.dumps({"3": {"1": "stripes & dots"}}))
    again = build([tmp_path / "concepts"], tmp_path / "site", names=tmp_path / "names.json")
    similar = {"00002", "00003"}  # concept 0 of one is like that of the other
    assert "00003" in again.made
    assert set(again.made) <= similar | {"site"}
    assert "stripes &amp; dots" in (tmp_path / "site/classes/00003.html").read_text()


def _killed_at(count, rebuild, site):
    write, calls = PartFiles.write, []

    def counted(self, *told):
        calls.append(told)
        if len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        write(self, *told)

    PartFiles.write = counted
    rebuild(site)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the process is forked")
@pytest.mark.parametrize("count", [1, 30, 177, 420, 600])
def test_a_build_that_is_killed_goes_on(count, rebuild, site, tmp_path):
    process = multiprocessing.get_context("fork").Process(target=_killed_at, args=(count, rebuild, tmp_path / "site"))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    done = {file.stem for file in (tmp_path / "site/made").glob("*.json")}
    again = rebuild(tmp_path / "site")
    assert not done & set(again.made)
    assert content(tmp_path / "site") == content(site)


def test_pages_of_classes_that_are_gone_are_removed_and_nothing_else(tmp_path):
    large, small = World(5, 3), World(2, 3)
    site = build(write_runs(tmp_path / "large", large), tmp_path / "site").path
    mine = [site / "notes.txt", site / "classes/notes.txt", site / "media/00004/holiday.webp", site / "concepts/a.html"]
    for file in mine:
        file.write_text("mine")
    built = build(write_runs(tmp_path / "small", small), site)
    assert "classes/00004.html" in built.removed
    fresh = build(write_runs(tmp_path / "small2", small), tmp_path / "fresh").path
    found = content(site)
    for file in mine:
        assert file.read_text() == "mine"
        del found[str(file.relative_to(site))]
    assert found == content(fresh)


def test_what_a_killed_build_left_of_other_classes_is_removed(tmp_path, monkeypatch):
    runs = write_runs(tmp_path / "runs", World(4, 3))
    site = tmp_path / "site"

    def stopped(self, done, *rest):
        if done == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(building, "progress_bar", lambda *_: _Bar(stopped))
    with pytest.raises(KeyboardInterrupt):
        build(runs, site)
    (site / "made/00002.json").unlink()  # as if it had been killed before the last file
    monkeypatch.undo()
    shutil.rmtree(tmp_path / "runs")
    build(write_runs(tmp_path / "small", World(2, 3)), site)
    left = [
        file
        for folder in ("classes", "concepts", "gallery", "data", "media")
        for file in site.glob(f"{folder}/*00002*")
    ]
    assert left == [site / "media/unit-00002"]


class _Bar:
    def __init__(self, tell):
        self.tell = tell

    def __enter__(self):
        return lambda *told: self.tell(self, *told)

    def __exit__(self, *_):
        return None
