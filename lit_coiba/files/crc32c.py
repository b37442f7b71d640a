"""The checksum of TFRecord files: CRC-32C (Castagnoli), computed for many pieces of a text at once."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

_POLYNOMIAL = 0x82F63B78  # of Castagnoli, bits reversed
_ALL = 0xFFFFFFFF
_PIECE = 128  # bytes of which one piece is made
_MASK = 0xA282EAD8  # which TFRecord adds

Words = NDArray[np.uint32]


def crc32c(content: bytes) -> int:
    """CRC-32C of some bytes.

    The register is a linear function of its state and of what it reads. So pieces of the content are read at once, each
    from 0, and then put together: the register moves on over a piece of zeros, and the piece's own is added.

    Example:
        >>> hex(crc32c(b"123456789"))
        '0xe3069283'
    """
    single, head, register = _single(), len(content) % _PIECE, _ALL
    for byte in content[:head]:
        register = single[(register ^ byte) & 0xFF] ^ (register >> 8)
    if head == len(content):
        return register ^ _ALL
    table = _table()
    pieces = np.frombuffer(content, np.uint8, offset=head).reshape(-1, _PIECE)
    own: Words = np.zeros(len(pieces), np.uint32)
    for column in range(_PIECE):
        own = table[(own ^ pieces[:, column]) & 0xFF] ^ (own >> 8)
    one, two, three, four = _moved()
    for piece in own.tolist():
        register = (
            one[register & 0xFF]
            ^ two[register >> 8 & 0xFF]
            ^ three[register >> 16 & 0xFF]
            ^ four[register >> 24]
            ^ piece
        )
    return register ^ _ALL


def masked_crc32c(content: bytes) -> int:
    """CRC-32C as TFRecord stores it: turned by 15 bits, plus a constant.

    Example:
        >>> hex(masked_crc32c(b""))
        '0xa282ead8'
    """
    found = crc32c(content)
    return ((found >> 15 | found << 17) + _MASK) & _ALL


@cache
def _table() -> Words:
    """What the register becomes of one byte."""
    words = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        words = np.where(words & 1, words >> 1 ^ _POLYNOMIAL, words >> 1).astype(np.uint32)
    return words


@cache
def _single() -> list[int]:
    """The same as plain numbers, which are faster one by one."""
    found: list[int] = _table().tolist()
    return found


@cache
def _moved() -> tuple[list[int], list[int], list[int], list[int]]:
    """What each byte of the register becomes over a piece of zeros."""
    table, found = _table(), []
    for place in range(4):
        words: Words = np.arange(256, dtype=np.uint32) << np.uint32(8 * place)
        for _ in range(_PIECE):
            words = table[words & 0xFF] ^ (words >> 8)
        found.append(words.tolist())
    return found[0], found[1], found[2], found[3]
