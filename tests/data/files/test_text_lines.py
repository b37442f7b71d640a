import time

import pytest

from lit_coiba.core.errors import InputError
from lit_coiba.data.files.text_lines import flag, number, read_keyed, read_lines

FORM = {"image_id": int, "name": str}


@pytest.fixture
def file(tmp_path):
    def write(text):
        (tmp_path / "list.txt").write_text(text, encoding="utf-8")
        return tmp_path / "list.txt"

    return write


def test_the_last_field_keeps_its_blanks_and_empty_lines_do_not_matter(file):
    path = file("\ufeff# image name\n1 left eye\n\n  2\tback  \r\n")
    assert read_lines(path, FORM) == {2: (1, "left eye"), 4: (2, "back")}
    assert read_keyed(path, FORM) == {1: ("left eye",), 2: ("back",)}


def test_numbers_and_flags(file):
    form = {"x": number, "visible": flag}
    assert list(read_lines(file("1.5 1\n-2 0\n"), form).values()) == [(1.5, True), (-2.0, False)]


@pytest.mark.parametrize(
    ("text", "form", "message"),
    [
        ("1 a\n2\n", FORM, r"^root: line 2 of .*list.txt is '2', but must be: image_id name$"),
        ("1 a\nx b\n", FORM, r"line 2 of .* is 'x b', but must be: image_id name"),
        ("1 2 3\n", {"a": int, "b": int}, r"line 1 of .* is '1 2 3', but must be: a b"),
        ("nan\n", {"x": number}, "line 1 of .* is 'nan', but must be: x"),
        ("yes\n", {"visible": flag}, "line 1 of .* is 'yes', but must be: visible"),
        ("\n \n", FORM, "list.txt is empty; it should have lines of: image_id name"),
    ],
)
def test_a_line_of_another_form_is_named(text, form, message, file):
    with pytest.raises(InputError, match=message):
        read_lines(file(text), form)


def test_what_comes_twice_is_named(file):
    with pytest.raises(InputError, match=r"^root: line 3 of .*list.txt has image_id 1, like an earlier line$"):
        read_keyed(file("1 a\n2 b\n1 c\n"), FORM)


def test_a_file_that_cannot_be_read_is_named(tmp_path, file):
    with pytest.raises(InputError, match=r"none.txt cannot be read"):
        read_lines(tmp_path / "none.txt", FORM)
    path = file("")
    path.write_bytes(b"1 \xff\n")
    with pytest.raises(InputError, match=r"list.txt is not UTF-8"):
        read_lines(path, FORM)


def test_a_hundred_and_twenty_thousand_lines_are_read_at_once(file):
    path = file("".join(f"{k} 00{k % 10}.Some_Class/picture_{k}.jpg\n" for k in range(120_000)))
    start = time.process_time()
    assert len(read_keyed(path, FORM)) == 120_000
    assert time.process_time() - start < 5  # some 0.2 s on an idle core
