import pytest

from lit_coiba.core.errors import InputError
from lit_coiba.data.files.class_names import ClassNames


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_a_text_file_has_one_name_a_line(tmp_path):
    classes = ClassNames.read(written(tmp_path / "classes.txt", "\ufeffcat\r\n great white shark \n\n"))
    assert classes.names == ["cat", "great white shark"]
    assert classes.index("great white shark") == 1


def test_a_csv_is_ordered_by_its_index_and_knows_other_names(tmp_path):
    text = 'index,wnid,name\n1,n02,"crane, bird"\n0,n01,tench\n2,n03,crane\n'
    classes = ClassNames.read(written(tmp_path / "classes.csv", text))
    assert classes.names == ["tench", "crane, bird", "crane"]
    assert [classes.index(name) for name in ("n02", "tench", "2", "-1", "", "1.0")] == [1, 0, 2, -1, -1, 1]


def test_a_name_of_two_classes_is_not_guessed():
    classes = ClassNames(["crane", "crane"], [("n01", 0), ("n02", 1)])
    assert (classes.index("n01"), classes.index("n02")) == (0, 1)
    with pytest.raises(InputError, match="'crane' is the name of several classes"):
        classes.index("crane")


def test_a_name_goes_before_a_number():
    assert ClassNames(["10", "2"]).index("2") == 1


@pytest.mark.parametrize(
    ("names", "numbers", "text", "message"),
    [
        (["cat", "dog"], True, "2", "class 2 is outside 0 to 1"),
        (["cat", "dog"], True, "cow", r"'cow' is none of the 2 classes \(cat, dog\)"),
        (["cat", "dog"], True, "-2", "'-2' is none of the 2 classes"),
        (["0", "1"], False, "2", "'2' is none of the 2 classes"),
        ([], True, "cow", "'cow' is not a class number: check it, or give a file with all class names"),
        (list("abcdefg"), True, "z", r"\(a, b, c, d, e, \.\.\.\)"),
    ],
)
def test_what_is_no_class_is_refused(names, numbers, text, message):
    with pytest.raises(InputError, match=message):
        ClassNames(names, numbers=numbers).index(text)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "\n", "is empty; it should have one class name per line"),
        ("a.csv", "index,name\n", "has no rows"),
        ("a.csv", "index,name\n0,a\n2,b\n", "the index column of .* does not have each of 0 to 1 once"),
        ("a.csv", "index,name\n0,great, white\n", "line 2 of .* does not have as many fields as the header"),
        ("a.csv", "index,name\n0\n", "line 2 of .* does not have as many fields as the header"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(name, text, message, tmp_path):
    with pytest.raises(InputError, match=message):
        ClassNames.read(written(tmp_path / name, text))


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"classes: .*none.txt cannot be read"):
        ClassNames.read(tmp_path / "none.txt")
    (tmp_path / "latin.txt").write_bytes("Kühe".encode("latin-1"))
    with pytest.raises(InputError, match=r"classes: .*latin.txt is not UTF-8 text"):
        ClassNames.read(tmp_path / "latin.txt")


def test_the_1000_imagenet_classes(assets):
    classes = ClassNames.read(assets / "imagenet-samples" / "classes.csv")
    assert len(classes.names) == 1000
    assert classes.index("n01440764") == classes.index("tench") == 0
    assert classes.names.count("crane") == 2  # so only its WordNet id or number will do
    with pytest.raises(InputError, match="'crane'"):
        classes.index("crane")
