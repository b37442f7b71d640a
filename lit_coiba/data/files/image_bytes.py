"""Whether the bytes of an image file are all there and undamaged, as far as its format tells; decoders often do not.

Only what a format needs is read, in pieces: what follows the end of a picture is not.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import BinaryIO

_PIECE = 1 << 20  # bytes that are read at a time
_MOST = 1 << 27  # bytes; no header of a picture is larger, and no part that is not pixels
_TRUNCATED = "image file is truncated"


def check_whole(file: BinaryIO) -> None:
    """Refuse a picture that is cut off or damaged; the file is then where it was, at its start.

    PNG has checksums and a mark of its end; JPEG, GIF and JPEG 2000 have marks of their end; of WebP and AVIF,
    `extent` knows the length. Of other formats, the decoder sees what is missing.

    Raises:
        ValueError: It is; the message says why in one clause.
    """
    start = file.read(16)
    file.seek(0)
    for magic, check in _CHECKS.items():
        if start.startswith(magic):
            check(file)
    file.seek(0)


def _png(file: BinaryIO) -> None:
    """Chunks with checksums, of which the last is IEND."""
    file.seek(8)
    while True:
        length, kind = int.from_bytes(_exactly(file, 4), "big"), _exactly(file, 4)
        if length > _MOST:
            raise ValueError(f"a part of it says that it has {length} bytes")
        checksum = zlib.crc32(kind)
        while length:
            piece = _exactly(file, min(length, _PIECE))
            checksum = zlib.crc32(piece, checksum)
            length -= len(piece)
        if checksum != int.from_bytes(_exactly(file, 4), "big"):
            raise ValueError(f"its data are damaged (wrong checksum in {kind.decode('latin-1')!r})")
        if kind == b"IEND":
            return


def _jpeg(file: BinaryIO) -> None:
    """Segments with lengths up to the first scan, and somewhere after it the mark of the end.

    A download broken off in a file of the full length ends in zeros, and the decoder takes these for gray pixels.
    """
    file.seek(2)
    while True:
        mark, kind = _exactly(file, 2, "no end of image")
        if mark != 0xFF:
            break  # not what a segment begins with: left to the decoder
        if kind == 0xFF:  # filled
            file.seek(-1, 1)
            continue
        if kind == 0xDA:
            break
        length = int.from_bytes(_exactly(file, 2, "no end of image"), "big")
        file.seek(max(length - 2, 0), 1)
    _find(file, b"\xff\xd9")


def _jpeg2000(file: BinaryIO) -> None:
    """The mark of the end, somewhere after the header."""
    _find(file, b"\xff\xd9")


def _gif(file: BinaryIO) -> None:
    """Blocks with lengths, of which the last is the trailer."""
    file.seek(6)
    _skip_colors(file, _exactly(file, 7)[4])
    while (kind := _exactly(file, 1)) != b"\x3b":
        if kind == b"\x2c":
            _skip_colors(file, _exactly(file, 9)[8])
            _exactly(file, 1)
        elif kind == b"\x21":
            _exactly(file, 1)
        elif kind != b"\x00":
            raise ValueError("its data are damaged (an unknown kind of block)")
        while kind != b"\x00" and (length := _exactly(file, 1)[0]):
            _exactly(file, length)


def _skip_colors(file: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        _exactly(file, 3 << ((flags & 7) + 1))


def extent(file: BinaryIO) -> int | None:
    """Where a WebP or AVIF says that it ends, whose decoders read whole files; None of other formats.

    The file is then at its start.

    Raises:
        ValueError: The file is shorter.
    """
    start, size = file.read(12), file.seek(0, 2)
    end = None
    if start[:4] == b"RIFF" and start[8:] == b"WEBP":
        end = 8 + int.from_bytes(start[4:8], "little")
    elif start[4:8] == b"ftyp":
        end = _end_of_boxes(file, size)
    if end is not None and end > size:
        raise ValueError(_TRUNCATED)
    file.seek(0)
    return end


def _end_of_boxes(file: BinaryIO, size: int) -> int:
    """Each begins with its length; a length of 0 stands for the rest of the file, or is zeros behind the picture."""
    at = 0
    while at < size:
        file.seek(at)
        length, kind = int.from_bytes(_exactly(file, 4), "big"), _exactly(file, 4)
        if length == 1:
            length = int.from_bytes(_exactly(file, 8), "big")
        if length < 8:
            return size if kind.strip(b"\0") else at
        at += length
    return at


def _exactly(file: BinaryIO, count: int, why: str = "no end of image") -> bytes:
    content = file.read(count)
    if len(content) < count:
        raise ValueError(f"{_TRUNCATED} ({why})")
    return content


def _find(file: BinaryIO, mark: bytes) -> None:
    kept = b""
    for _ in range(_MOST // _PIECE):
        piece = file.read(_PIECE)
        if mark in kept + piece:
            return
        if not piece:
            break
        kept = piece[-len(mark) + 1 :]
    raise ValueError(f"{_TRUNCATED} (no end of image)")


_CHECKS: dict[bytes, Callable[[BinaryIO], None]] = {
    b"\x89PNG\r\n\x1a\n": _png,
    b"\xff\xd8": _jpeg,
    b"GIF8": _gif,
    b"\x00\x00\x00\x0cjP": _jpeg2000,
    b"\xff\x4f\xff\x51": _jpeg2000,
}


class Bounded:
    """A file of which a decoder may read so many bytes and no more, whatever lengths the file claims.

    Args:
        file: The file.
        end: Where it ends for the decoder; None = where it ends.
        budget: Number of bytes; may be raised.
    """

    def __init__(self, file: BinaryIO, end: int | None = None, budget: int = _MOST) -> None:
        self.file = file
        self.end = end
        self.budget = budget

    def read(self, count: int | None = -1) -> bytes:
        """The next bytes.

        Raises:
            ValueError: They are more than may be read.
        """
        asked = self.budget + 1 if count is None or count < 0 else count
        if self.end is not None:
            asked = min(asked, max(self.end - self.file.tell(), 0))
        if asked > self.budget + 1:
            raise ValueError(f"it asks for {asked} bytes at once")
        content = self.file.read(asked)
        self.budget -= len(content)
        if self.budget < 0:
            raise ValueError("it has more bytes than such a picture needs")
        return content

    def readline(self, limit: int = -1) -> bytes:
        """The next line, at most a million bytes of it."""
        return self.file.readline(_PIECE if limit < 0 else min(limit, _PIECE))

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place."""
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        """The place."""
        return self.file.tell()

    def fileno(self) -> int:
        """The descriptor, which the decoder of TIFF uses itself."""
        return self.file.fileno()

    def flush(self) -> None:
        """Nothing is written."""

    def close(self) -> None:
        """The file is closed by who opened it."""
