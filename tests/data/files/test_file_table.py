import pytest

from lit_coiba.core.errors import InputError
from lit_coiba.data.files.file_table import Box, Row, read_table


def table(tmp_path, text, columns=None):
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    return read_table(tmp_path / "t.csv", columns)


def test_columns_are_found_by_their_usual_names_in_any_case(tmp_path):
    rows = table(
        tmp_path, "\ufeffFileName,xmin,ymin,xmax,ymax,Class,Split\na/b.jpg,1,2.7,3,4,cat,val\nc.jpg,,,,,,train\n"
    )
    assert rows == [
        Row(2, "a/b.jpg", "cat", "val", Box(1, 2, 3, 4)),
        Row(3, "c.jpg", "", "train", None),
    ]


def test_columns_can_be_named(tmp_path):
    rows = table(tmp_path, "x,label,species\na.jpg,9,cat\n", {"file": "x", "label": "species"})
    assert rows == [Row(2, "a.jpg", "cat", None, None)]


def test_label_is_none_where_there_is_no_column(tmp_path):
    assert table(tmp_path, "file\n./a//b/../c.jpg\n") == [Row(2, "a/c.jpg", None, None, None)]


def test_the_columns_of_tiny_imagenet_boxes(assets):
    rows = read_table(assets / "tiny-imagenet-boxes" / "boxes.csv")
    assert len(rows) == 2000
    assert rows[0] == Row(2, "val_0.JPEG", "573", None, Box(0, 32, 44, 62))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column has the file names; .* is empty"),
        ("file,label\n", "has a header but no rows"),
        ("name,label\na.jpg,1\n", "no column has the file names; .* has the columns name, label"),
        ("file,x_min,y_min\na.jpg,1,2\n", "boxes need four columns, and x_max, y_max is missing"),
        ("file,label\na.jpg\n", "line 2 of .* does not have as many fields as the header"),
        ("file,label\na.jpg,great, white\n", "line 2 of .* does not have as many fields as the header"),
        ("file\na.jpg\n../b.jpg\n", r"line 3 of .*: '\.\./b\.jpg' is outside the root"),
        ("file\na/../../b.jpg\n", "is outside the root"),
        ("file\n..\n", "is outside the root"),
        ("file\n/etc/passwd\n", "is outside the root"),
        ("file,label\n,3\n", "line 2 of .* has no file name"),
        ("file,x1,y1,x2,y2\na.jpg,1,2,3,\n", "the box 1, 2, 3,  is not four numbers"),
        ("file,x1,y1,x2,y2\na.jpg,1,2,nan,4\n", "is not four numbers"),
        ("file,x1,y1,x2,y2\na.jpg,5,2,4,4\n", "the box 5, 2, 4, 4 ends before it begins"),
    ],
)
def test_what_makes_no_sense_is_refused(text, message, tmp_path):
    with pytest.raises(InputError, match=message):
        table(tmp_path, text)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"file": "nothing"}, "no column 'nothing' for file; .* has the columns file, label"),
        ({"fil": "file"}, "'fil' is not one of file, label, split, x_min"),
    ],
)
def test_columns_that_are_not_there_are_refused(columns, message, tmp_path):
    with pytest.raises(InputError, match=message):
        table(tmp_path, "file,label\na.jpg,1\n", columns)


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"csv: cannot read .*none.csv"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"file\n\xff\xfe\n")
    with pytest.raises(InputError, match=r"csv: cannot read .*binary.csv"):
        read_table(tmp_path / "binary.csv")


def test_a_name_that_only_looks_like_a_way_out_is_a_name(tmp_path):
    assert [row.file for row in table(tmp_path, "file\n..a.jpg\n.../b.jpg\n")] == ["..a.jpg", ".../b.jpg"]
