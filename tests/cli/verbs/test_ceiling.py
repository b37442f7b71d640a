import pytest

from lit_coiba.benchmark import alignment_ceiling
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data import ImageFolder
from tests._testers.people import save_maps_of_people


@pytest.fixture
def folder(tmp_path):
    return save_maps_of_people(tmp_path)


def test_the_verb_prints_it(folder, command):
    done = command("ceiling", str(folder / "images"), str(folder / "maps"), "--size", "32", "--splits", "12")
    data = ImageFolder(str(folder / "images"), importance=str(folder / "maps"))
    found = alignment_ceiling(data.dataset("predict"), Preprocessing((32, 32), 1.0), 12)
    assert done.status == 0
    assert " ".join(done.out.split()) == str(found)


def test_data_of_one_map_each_have_no_ceiling(folder, command):
    for name in ("a", "b"):
        for person in (1, 2):
            (folder / f"maps/{name}/{person}.npy").unlink()
    done = command("ceiling", str(folder / "images"), str(folder / "maps"))
    assert done.status == 2
    assert "none of 2 images has importance maps of two participants" in " ".join(done.error.split())
