import os

import pytest

from lit_coiba.core.errors import InputError
from lit_coiba.data.files import listed_files
from lit_coiba.data.files.listed_files import check_listed, check_numbered, names_by_label


@pytest.fixture
def folder(tmp_path):
    for name in ("a/1.jpg", "a/2.jpg", "b/1.jpg", "3.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_a_list_of_what_is_there_passes_with_one_look_at_each_folder(folder, monkeypatch):
    looked = []
    monkeypatch.setattr(
        listed_files.os, "listdir", lambda path, look=os.listdir: looked.append(path.name) or look(path)
    )
    check_listed(folder, ["a/1.jpg", "b/1.jpg", "a/2.jpg", "3.jpg"], folder / "list.txt")
    assert looked == ["a", "b", folder.name]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["a/1.jpg", "a/9.jpg", "c/1.jpg"],
            r"2 of the 3 images that .*list.txt lists are not in .*: a/9.jpg, c/1.jpg; un",
        ),
        (
            [f"{k}.jpg" for k in range(9)],
            r"8 of the 9 images .*: 0.jpg, 1.jpg, 2.jpg and 5 more; unpack the images again",
        ),
        (["a/1.jpg", "3.jpg", "a/1.jpg"], r"list.txt lists a/1.jpg more than once"),
        (["../x.jpg"], r"list.txt lists ../x.jpg, which is outside"),
        (["/etc/x.jpg"], r"list.txt lists /etc/x.jpg, which is outside"),
    ],
)
def test_refusals(names, message, folder):
    with pytest.raises(InputError, match=message):
        check_listed(folder, names, folder / "list.txt")


def test_numbers_of_classes(tmp_path):
    assert check_numbered({2: "b", 1: "a"}, tmp_path) == ["a", "b"]
    for numbers in ({1: "a", 3: "c"}, {0: "a", 1: "b"}):
        with pytest.raises(InputError, match=r"the 2 numbers in .* are not 1 to 2"):
            check_numbered(numbers, tmp_path)


@pytest.mark.parametrize(
    ("names", "numbers", "message"),
    [
        (["a", "b"], [1, 1], r"one name and number per class: a \(1\), b \(1\)"),
        (["a", "a", "b"], [1, 2, 3], r"one name and number per class: a \(1\), a \(2\)$"),
        (["a", "b"], [1, 3], "are not 1 to 2"),
    ],
)
def test_names_and_numbers_must_agree(names, numbers, message, tmp_path):
    with pytest.raises(InputError, match=message):
        names_by_label(names, numbers, tmp_path)
