import os

import pytest

from lit_coiba.core.errors import InputError
from lit_coiba.data.files.expected_tree import Entry, Tree, locate

BIRDS = Tree(
    "Birds",
    "birds",
    (
        Entry("images/*.jpg", "pictures", ("images/",)),
        Entry("lists/all.txt", paths=("lists/all.txt", "all.txt")),
        Entry("classes.txt"),
        Entry("masks/*.png", paths=("masks/", "../masks/"), optional=True),
    ),
)
FOLDERS = Tree("Birds", "flock", (Entry("train/Wren/*.jpg", paths=("train/[A-Z]*/*.jpg",)),))
COMPLETE = ("images/", "all.txt", "classes.txt")


@pytest.fixture
def make(tmp_path):
    def build(*names):
        for name in names:
            path = tmp_path / name
            (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
            if not name.endswith("/"):
                path.touch()
        return tmp_path

    return build


def birds(below):
    return [f"{below}/{name}" for name in COMPLETE]


@pytest.mark.parametrize("given", ["x/birds", "x", ".", "x/birds/images", "x/birds/lists"])
def test_the_folder_one_above_two_above_and_those_in_it_will_do(given, make):
    root = make(*birds("x/birds"), "x/birds/lists/", "x/other/file", "y/")
    place = locate(str(root / given), [FOLDERS, BIRDS])
    assert place.tree is BIRDS
    assert place.folder == root / "x" / "birds"
    assert place.need("lists/all.txt") == root / "x" / "birds" / "all.txt"
    assert place.path("masks/*.png") is None


def test_a_relative_root_is_looked_at_from_above_too(make, monkeypatch):
    root = make(*birds("birds"))
    monkeypatch.chdir(root / "birds" / "images")
    assert locate(".", [BIRDS]).folder == root / "birds"
    monkeypatch.chdir(root / "birds")
    assert locate(".", [BIRDS]).need("classes.txt").samefile(root / "birds" / "classes.txt")


def test_the_first_path_there_is_counts_and_may_lie_beside(make):
    root = make(*birds("birds"), "birds/lists/all.txt", "masks/")
    place = locate(str(root / "birds"), [BIRDS])
    assert place.need("lists/all.txt") == root / "birds" / "lists" / "all.txt"
    assert place.path("masks/*.png").samefile(root / "masks")


def test_a_tree_can_be_known_by_what_its_folders_are_called(make):
    with pytest.raises(InputError, match="is not Birds"):
        locate(str(make("train/wren/1.jpg")), [FOLDERS])
    assert locate(str(make("train/Wren/1.jpg")), [BIRDS, FOLDERS]).tree is FOLDERS


def test_special_characters_in_the_way_are_no_pattern(make):
    root = make(*birds("a[1]*/birds"))
    assert locate(str(root / "a[1]*"), [BIRDS]).folder.name == "birds"


def test_two_that_fit_are_refused_unless_one_is_given(make):
    root = make(*birds("a"), *birds("b"))
    with pytest.raises(InputError, match=rf"^root: {root} contains Birds more than once: give {root}/a or {root}/b$"):
        locate(str(root), [BIRDS])
    assert locate(str(root / "b"), [BIRDS]).folder == root / "b"


def test_a_stranger_beside_the_folder_is_not_taken_for_a_part_of_it(make):
    root = make(*COMPLETE, "mine/1.jpg")
    with pytest.raises(InputError, match="none of its files are there"):
        locate(str(root / "mine"), [BIRDS])


def test_a_folder_of_classes_is_not_searched(make, monkeypatch):
    root = make(*birds("000"), *(f"{k:03}/1.jpg" for k in range(1, 40)))
    looked = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: looked.append(str(path)) or scandir(path))
    with pytest.raises(InputError, match="none of its files are there"):
        locate(str(root), [BIRDS])
    assert set(looked) == {str(root)}


def test_the_message_draws_the_tree_and_says_what_is_missing(make):
    root = make("images/", "classes.txt")
    with pytest.raises(InputError) as caught:
        locate(str(root), [FOLDERS, BIRDS])
    assert str(caught.value) == (
        f"root: {root} is not Birds: lists/all.txt is missing. Expected:\n"
        "birds/\n"
        "|-- images/*.jpg   pictures\n"
        "|-- lists/all.txt  MISSING\n"
        "|-- classes.txt\n"
        "|-- masks/*.png    optional\n"
        "or a folder with train/Wren/*.jpg"
    )


def test_the_message_names_the_folder_that_comes_nearest(make):
    root = make("x/a/classes.txt", "x/b/classes.txt", "x/b/images/")
    with pytest.raises(
        InputError, match=rf"{root} is not Birds: the closest match is {root}/x/b, where lists/all.txt is missing"
    ):
        locate(str(root), [BIRDS])


def test_where_nothing_fits_the_first_tree_is_drawn(make):
    root = make("y/")
    with pytest.raises(
        InputError, match=r"is not Birds: none of its files are there. Expected:\nbirds/\n(.*\n)*or a folder"
    ):
        locate(str(root), [BIRDS, FOLDERS])


def test_a_root_that_is_no_folder(make):
    root = make("file")
    with pytest.raises(InputError, match=r"^root: .*/none does not exist$"):
        locate(str(root / "none"), [BIRDS])
    with pytest.raises(InputError, match=r"^root: .*/file is not a folder$"):
        locate(str(root / "file"), [BIRDS])


def test_what_is_taken_away_later_is_named(make):
    root = make(*COMPLETE)
    place = locate(str(root), [BIRDS])
    (root / "classes.txt").unlink()
    with pytest.raises(InputError, match=r"root: classes.txt is not in"):
        place.need("classes.txt")
