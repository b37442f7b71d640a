import io
import zlib

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from lit_coiba.data.files.mat_reader import read_variables


def encoded(compressed, **variables):
    stream = io.BytesIO()
    savemat(stream, variables, do_compression=compressed)
    return stream.getvalue()


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    "value",
    [
        np.arange(6),
        np.array([[1.5, -2.0, np.nan]]),
        np.array([[True, False]]),
        np.array([[7]], dtype=np.uint8),
        np.array([[-(2**40)]], dtype=np.int64),
        np.arange(6, dtype=np.int16).reshape(2, 3),
    ],
)
def test_numbers_are_those_that_scipy_reads(value, compressed):
    content = encoded(compressed, x=value, other=np.ones(3))
    found = read_variables(content, ["x"])["x"]
    theirs = loadmat(io.BytesIO(content))["x"]
    np.testing.assert_array_equal(np.atleast_1d(found), theirs.flatten(order="F"))


@pytest.mark.parametrize("compressed", [False, True])
def test_texts_cells_and_structs(compressed):
    records = np.empty((1, 2), dtype=[("name", object), ("number", object)])
    records[0, 0], records[0, 1] = ("Käfer 2000", 1), ("日本", 2.5)
    cells = np.array([["a b", "", 3]], dtype=object)
    found = read_variables(encoded(compressed, t="one text", c=cells, s=records), ["t", "c", "s"])
    assert found["t"] == "one text"
    assert [found["c"][0], found["c"][2]] == ["a b", 3]
    assert found["s"] == [{"name": "Käfer 2000", "number": 1}, {"name": "日本", "number": 2.5}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no MATLAB file of version 5 to 7"),
        (b"MATLAB 7.3 MAT-file" + bytes(200), "save it with -v7"),
        (encoded(False, x=np.arange(9))[:-20], "longer than what holds it"),
        (encoded(True, x=np.arange(900))[:-20], "longer than what holds it"),
    ],
)
def test_other_files_are_refused(content, message):
    with pytest.raises(ValueError, match=message):
        read_variables(content, ["x"])


def test_a_variable_that_inflates_to_gigabytes_is_refused():
    bomb = zlib.compress(bytes(1 << 28), 9)
    header = encoded(False, x=1)[:128]
    content = header + (15).to_bytes(4, "little") + len(bomb).to_bytes(4, "little") + bomb
    with pytest.raises(ValueError, match="more than 64 MB"):
        read_variables(content, ["x"])
