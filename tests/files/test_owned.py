"""A folder that other processes of the same run fill meanwhile is still ours."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lit_coiba.core.errors import InputError
from lit_coiba.files.owned import check_own_folder
from lit_coiba.store import ExplanationStore
from tests.store.synthetic import blocks, manifest

MARKER = "marker.json"


def test_a_marker_that_comes_between_two_looks_is_seen(tmp_path):
    def made(folder: Path) -> bool:
        """Another process writes the marker just after this one has looked for it."""
        there = (folder / MARKER).exists()
        (folder / MARKER).write_text("{}")
        return there

    check_own_folder(tmp_path, "store", made)
    assert (tmp_path / MARKER).exists()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_an_entry_that_goes_between_two_looks_is_nobodys(tmp_path, kind):
    entry = tmp_path / "short-lived"
    if kind == "folder":
        entry.mkdir()
        (entry / "part").write_text("x")
    else:
        entry.write_text("x")

    def known(found: Path) -> bool:
        """Another process removes it just before."""
        shutil.rmtree(found) if found.is_dir() else os.remove(found)
        return False

    check_own_folder(tmp_path, "store", lambda folder: False, known)
    assert not entry.exists()


def test_files_of_others_are_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match=r"other files, such as thesis\.tex"):
        check_own_folder(tmp_path, "store", lambda folder: False)


def test_many_open_a_new_store_at_once(tmp_path):
    def opens(folder: Path) -> int:
        store = ExplanationStore.open(folder, manifest())
        store.write(blocks(1)[0])
        return len(store)

    with ThreadPoolExecutor(8) as pool:
        for number in range(20):
            assert min(pool.map(opens, [tmp_path / str(number)] * 8)) == 4
