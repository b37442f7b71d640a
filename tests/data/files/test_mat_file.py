import numpy as np
import pytest
from scipy.io import savemat

from lit_coiba.core.errors import InputError
from lit_coiba.data.files.mat_file import read_mat, read_structs, whole
from tests._testers.releases import cells, structs


def test_variables_are_flat_arrays_also_of_one_element(tmp_path):
    savemat(tmp_path / "x.mat", {"names": cells(["a b", "c"]), "one": cells(["z"]), "n": np.array([[3], [4]])})
    names, one, numbers = read_mat(tmp_path / "x.mat", ["names", "one", "n"])
    assert (names, one, numbers) == (["a b", "c"], ["z"], [3, 4])


@pytest.mark.parametrize("count", [1, 3])
def test_structs_are_tuples_of_the_fields_asked_for(count, tmp_path):
    structs(tmp_path / "x.mat", "annos", ["a", "b", "name"], [(k, 9, f"{k}.jpg") for k in range(count)])
    assert read_structs(tmp_path / "x.mat", "annos", ["name", "a"]) == [(f"{k}.jpg", k) for k in range(count)]


def test_refusals(tmp_path):
    path = tmp_path / "x.mat"
    structs(path, "annos", ["a"], [(1,)])
    with pytest.raises(InputError, match=r"x.mat has no variable other, more: it is not the file that its name says"):
        read_mat(path, ["annos", "other", "more"])
    with pytest.raises(InputError, match=r"annos in .*x.mat has no field b"):
        read_structs(path, "annos", ["a", "b"])
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"cannot read .*x.mat as a MATLAB file: "):
        read_mat(path, ["annos"])
    with pytest.raises(InputError, match=r"cannot read .*none.mat as a MATLAB file: "):
        read_mat(tmp_path / "none.mat", ["annos"])


def test_whole_numbers_of_any_type():
    assert [whole(value, "it") for value in (3, 3.0, np.uint8(3))] == [3, 3, 3]
    for value in (3.5, "x", float("nan"), None):
        with pytest.raises(InputError, match=f"root: it is {value}, but must be a whole number"):
            whole(value, "it")
