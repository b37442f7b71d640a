import io
import os
import random
from contextlib import suppress

import pytest

from lit_coiba.data.files.tf_example import Span, features_of
from lit_coiba.data.files.tf_record import list_records, read_record
from tests._testers.tf_shards import decimals, example, message, record, text, varint, whole

CONTENTS = [b"", b"one", bytes(range(256)) * 5]


@pytest.fixture
def shard(tmp_path):
    path = tmp_path / "a.tfrecords"
    path.write_bytes(b"".join(map(record, CONTENTS)))
    return path


def test_records_are_found_and_read_one_by_one(shard):
    records = list_records(shard)
    assert [one.length for one in records] == [0, 3, 1280]
    assert [read_record(shard, one) for one in reversed(records)] == CONTENTS[::-1]


def test_tensorboards_writer_writes_the_same(tmp_path):
    writers = pytest.importorskip("tensorboard.summary.writer.record_writer")
    stream = io.BytesIO()
    writer = writers.RecordWriter(stream)
    for content in CONTENTS:
        writer.write(content)
    assert stream.getvalue() == b"".join(map(record, CONTENTS))


def test_a_file_that_is_cut_off_anywhere_says_after_how_many_records(shard):
    whole_file = shard.read_bytes()
    ends = [0, 16, 35, len(whole_file)]
    for size in [*range(1, 40), 1000, len(whole_file) - 1]:
        if size in ends:
            continue
        shard.write_bytes(whole_file[:size])
        records = sum(end <= size for end in ends[1:])
        message = f"a.tfrecords is cut off after {records} whole records, in its {size:,} bytes: copy it again"
        with pytest.raises(OSError, match=message):
            list_records(shard)


def read_all(shard):
    return [read_record(shard, one) for one in list_records(shard)]


def test_every_flipped_bit_is_noticed(shard):
    good = shard.read_bytes()
    for at in [*range(16, 35), 47, 300]:  # of the second record, and in the third
        bad = bytearray(good)
        bad[at] ^= 4
        shard.write_bytes(bad)
        with pytest.raises(OSError, match="is damaged"):
            read_all(shard)


def test_what_is_none_is_refused(tmp_path):
    (tmp_path / "x").write_bytes(b"\x89PNG\r\n\x1a\n" * 10)
    with pytest.raises(OSError, match=r"x is no TFRecord file: copy it again"):
        list_records(tmp_path / "x")
    with pytest.raises(OSError, match=r"none cannot be read: no such file"):
        list_records(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match=r"pipe cannot be read: a named pipe, not a regular file"):
        list_records(tmp_path / "pipe")


def features(content, wanted=("a", "b", "c", "label")):
    return features_of(lambda start, length: content[start : start + length], Span(0, len(content)), wanted)


@pytest.mark.parametrize("number", [0, 1, 127, 128, 999, 2**40, -1, -(2**62)])
@pytest.mark.parametrize("packed", [True, False])
def test_whole_numbers_and_texts(number, packed):
    content = example(a=text(b"some bytes"), label=whole(number, packed), b=decimals(1.5, 2.5), c=text(b""))
    found = features(content)
    assert set(found) == {"a", "label", "b", "c"}
    assert found["label"].number == number
    assert content[slice(*found["a"].content)] == b"some bytes"
    assert content[slice(*found["c"].content)] == b""
    assert found["b"] == (None, None)
    assert set(features(content, ["b", "other"])) == {"b"}
    assert features(b"") == {}


def test_fields_that_are_not_known_are_passed_over():
    extra = (
        varint(7 << 3 | 5)
        + b"four"
        + varint(8 << 3 | 1)
        + b"eight..."
        + varint(9 << 3)
        + varint(300)
        + message(9, b"x")
    )
    assert features(extra + example(label=whole(5)) + extra)["label"].number == 5


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"\x0a\x7fshort", "longer than its message"),
        (b"\x80" * 20, "does not end"),
        (b"\x0b", "unknown wire type 3"),
        (varint(1 << 3) + varint(5), "field 1 at byte 0 is no message"),
        (example(label=whole(5))[:-1], "longer than its message"),
    ],
)
def test_what_is_no_example_is_refused(content, error):
    with pytest.raises(ValueError, match=error):
        features(content)


def test_random_bytes_end_in_values_or_one_error():
    draw = random.Random(0)
    for _ in range(2000):
        content = draw.randbytes(draw.randrange(60))
        with suppress(ValueError):
            features(content)
