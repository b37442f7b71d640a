import numpy as np
import pytest

from lit_coiba.files.crc32c import crc32c, masked_crc32c
from tests._testers.tf_shards import checksum

# RFC 3720, appendix B.4
KNOWN = {
    bytes(32): 0x8A9136AA,
    b"\xff" * 32: 0x62A8AB43,
    bytes(range(32)): 0x46DD794E,
    bytes(range(31, -1, -1)): 0x113FDB5C,
    b"123456789": 0xE3069283,
    b"": 0,
}


@pytest.mark.parametrize("content", KNOWN)
def test_published_values(content):
    assert crc32c(content) == KNOWN[content]


@pytest.mark.parametrize("length", [1, 127, 128, 129, 255, 256, 1000, 4096])
def test_any_length_by_long_division(length):
    content = np.random.default_rng(length).integers(0, 256, length, dtype=np.uint8).tobytes()
    assert masked_crc32c(content) == checksum(content)


def test_tensorboards_own():
    stub = pytest.importorskip("tensorboard.compat.tensorflow_stub.pywrap_tensorflow")
    content = np.random.default_rng(0).integers(0, 256, 5000, dtype=np.uint8).tobytes()
    assert masked_crc32c(content) == stub.masked_crc32c(content)
