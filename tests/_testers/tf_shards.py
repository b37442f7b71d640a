"""Writes TFRecord files of ``tf.train.Example``, bit by bit and byte by byte."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
from PIL import Image


def checksum(content: bytes) -> int:
    """Masked CRC-32C, by long division of polynomials."""
    register = 0xFFFFFFFF
    for byte in content:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    register ^= 0xFFFFFFFF
    return ((register >> 15 | register << 17) + 0xA282EAD8) & 0xFFFFFFFF


def record(content: bytes) -> bytes:
    length = struct.pack("<Q", len(content))
    return length + struct.pack("<I", checksum(length)) + content + struct.pack("<I", checksum(content))


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    found = bytearray()
    while number >= 0x80:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def message(field: int, content: bytes) -> bytes:
    """A field with a length: a text, or a message."""
    return varint(field << 3 | 2) + varint(len(content)) + content


def whole(number: int, packed: bool = True) -> bytes:
    """A feature with one whole number."""
    return message(3, message(1, varint(number)) if packed else varint(1 << 3) + varint(number))


def text(content: bytes) -> bytes:
    """A feature with one text."""
    return message(1, message(1, content))


def decimals(*numbers: float) -> bytes:
    """A feature with decimal numbers."""
    return message(2, message(1, struct.pack(f"<{len(numbers)}f", *numbers)))


def example(**features: bytes) -> bytes:
    entries = [message(1, name.encode()) + message(2, feature) for name, feature in features.items()]
    return message(1, b"".join(message(1, entry) for entry in entries))


def jpeg(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=98)
    return stream.getvalue()


def sample(number: int, size: int = 16) -> tuple[np.ndarray, np.ndarray, int]:
    """Smooth picture ``(H, W, 3)``, smooth map ``(H, W)``, label."""
    rows, columns = np.mgrid[:size, :size]
    picture = np.stack([8 * rows, 8 * columns, 0 * rows + 10 * number], -1).astype(np.uint8)
    map = np.clip(255 - 12 * (abs(rows - 4 - number) + abs(columns - 6)), 0, 255).astype(np.uint8)
    return picture, map, number % 3


def click_me(root: Path) -> Path:
    """Two shards for training, two for validation, of three samples each; the last one of each has no map."""
    folder = root / "click-me"
    for part in ("train", "val"):
        (folder / part).mkdir(parents=True)
        for shard in range(2):
            content = b""
            for k in range(3):
                picture, map, label = sample(3 * shard + k)
                parts = {"heatmap": text(jpeg(map) if k < 2 else b"")}
                content += record(example(image=text(jpeg(picture)), label=whole(label), **parts))
            (folder / part / f"{part}-{shard}.tfrecords").write_bytes(content)
    return folder
