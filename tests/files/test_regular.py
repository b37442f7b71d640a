"""Files of others: what is no regular file is never opened, and what is too large is not read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lit_coiba.core.errors import InputError
from lit_coiba.files.regular import is_regular, open_regular, read_bytes, read_text

REASONS = "symbolic links|No such file|not a regular file|too long|cannot be one"


def test_a_regular_file_and_a_link_to_one_are_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfcat")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert read_bytes(tmp_path / "b") == b"\xef\xbb\xbfcat"
    assert read_text(tmp_path / "b", "classes") == "cat"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    with pytest.raises(OSError, match="named pipe"):
        open_regular(tmp_path / "link")


@pytest.mark.parametrize("name", ["loop", "missing", "folder", "x" * 300, "nul\0", "/dev/zero"])
def test_what_is_no_file_is_one_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=REASONS):
        read_bytes(tmp_path / name)
    with pytest.raises(InputError, match=r"csv: .* cannot be read: "):
        read_text(tmp_path / name, "csv")
    assert not is_regular(tmp_path / name)


def test_the_limit_holds_and_the_file_is_named(tmp_path: Path) -> None:
    with open(tmp_path / "large", "wb") as file:
        file.truncate(3 * 2**30)  # sparse
    with pytest.raises(InputError, match=r"large cannot be read: the file has more than 64 MB"):
        read_text(tmp_path / "large", "classes")


def test_text_of_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes("café".encode("latin-1"))
    with pytest.raises(InputError, match=r"is not UTF-8 text \(byte 3\)"):
        read_text(tmp_path / "a", "classes")
