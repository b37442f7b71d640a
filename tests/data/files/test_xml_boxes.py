import pytest

from lit_coiba.core.errors import InputError
from lit_coiba.data.files.file_table import Box
from lit_coiba.data.files.xml_boxes import XmlBoxes, read_boxes
from tests._testers.releases import annotation

LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>'


def test_boxes_of_objects_and_of_nothing_else(tmp_path):
    annotation(tmp_path / "x.xml", (1, 2, 3, 4), ("5.7", " 6 ", 7, 8))
    assert read_boxes(tmp_path / "x.xml") == [Box(1, 2, 3, 4), Box(5, 6, 7, 8)]


def test_annotations_lie_as_the_images_do(tmp_path):
    annotation(tmp_path / "n01" / "x.1.xml", (1, 2, 3, 4))
    annotation(tmp_path / "n01" / "none.xml")
    annotation(tmp_path / "x", (5, 5, 5, 5))
    two, one = XmlBoxes(tmp_path, depth=2), XmlBoxes(tmp_path, depth=1, suffix="")
    assert two.get("train/n01/x.1.JPEG") == [Box(1, 2, 3, 4)]
    assert one.get("train/n01/x.JPEG") == [Box(5, 5, 5, 5)]
    assert two.get("train/n01/none.JPEG") is None  # no object
    assert two.get("train/n01/gone.JPEG") is None
    assert two.get("train/x/gone.JPEG") is None  # x is a file


@pytest.mark.parametrize("head", [LAUGHS, OUTSIDE, "<!DOCTYPE x>"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_type_is_refused_before_any_entity(head, encoding, tmp_path):
    path = tmp_path / "x.xml"
    annotation(path, ("&a;", 2, 3, 4), head=head)
    path.write_bytes(path.read_text().encode(encoding))
    with pytest.raises(InputError, match=r"annotation .*x.xml declares a document type, .* refused"):
        read_boxes(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<annotation><object>", r"x.xml is not XML \(no element found"),
        ("", r"x.xml is not XML \(no element found"),
        ("\0\1\2", r"x.xml is not XML \("),
        ("<a>&b;</a>", r"x.xml is not XML \(undefined entity"),
        ("<annotation>" + " " * (1 << 20), "is larger than 1 MiB"),
    ],
)
def test_what_is_no_annotation_is_refused(content, message, tmp_path):
    (tmp_path / "x.xml").write_text(content)
    with pytest.raises(InputError, match=message):
        XmlBoxes(tmp_path, 1).get("x.jpg")


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((1, 2, "x", 4), "the box 1, 2, x, 4 is not four numbers"),
        ((1, 2, 3, "inf"), "the box 1, 2, 3, inf is not four numbers"),
        ((1, 2, 3, ""), "the box 1, 2, 3,  is not four numbers"),
        ((5, 2, 3, 4), "the box 5, 2, 3, 4 ends before it begins"),
    ],
)
def test_boxes_that_make_no_sense_are_refused(box, message, tmp_path):
    annotation(tmp_path / "x.xml", box)
    with pytest.raises(InputError, match=message):
        read_boxes(tmp_path / "x.xml")
