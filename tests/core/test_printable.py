"""What may be shown of a name from a file."""

from lit_coiba.core.printable import printable


def test_control_characters_are_escaped_and_letters_stay() -> None:
    assert printable("Ä猫 a") == "Ä猫 a"
    assert printable("a\r\n\0\x1b[2J\u202egnp\udcff") == "a\\r\\n\\x00\\x1b[2J\\u202egnp\\udcff"


def test_long_text_is_cut() -> None:
    assert printable("x" * 100, limit=10) == "xxxxxxx..."
