"""What may have happened to a file, or been done to it; a generator draws each, so that it can be repeated."""

from __future__ import annotations

import functools
import json
import os
import random
import re
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

Mutation = Callable[[Path, random.Random], None]

ESCAPES = "\x1b]0;owned\x07"
TEXTS = [
    *(
        "",
        " ",
        "x" * 1_000_000,
        ESCAPES,
        "a\nb\rc",
        "\u202egnp.x",
        "caf\u0065\u0301",
        "-1",
        "1e999",
        "nan",
        "4294967297",
    ),
    *(
        "9" * 5000,
        "../../precious",
        "/etc/passwd",
        "~nosuchuser/x",
        "a\0b",
        "${oc.env:HOME}",
        "!!python/name:os.system",
    ),
    *("os.system", "http://127.0.0.1:9/x", "[" * 3000, "&a {x: *a}", "\ud800", "null", "true", "=1+1", "<script>"),
]
VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 2**31, 2**63, 10**30, 0.5, -0.0, 1e308, float("nan"), float("inf")),
    *(
        [],
        {},
        [[]],
        {"a": {"b": []}},
        [None] * 1000,
        {"class_path": "os.system", "init_args": {"command": "touch pwned"}},
    ),
    *TEXTS,
]


def bits(file: Path, random: random.Random) -> None:
    """A few bits are other ones."""
    content = bytearray(file.read_bytes())
    for _ in range(random.choice((1, 1, 1, 2, 8))):
        if content:
            content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    file.write_bytes(content)


def stretch(file: Path, random: random.Random) -> None:
    """Some bytes in a row are zeros, ones, or chance."""
    content = bytearray(file.read_bytes())
    start = random.randrange(len(content) + 1)
    length = min(random.choice((1, 4, 8, 64, 1000)), len(content) - start)
    content[start : start + length] = random.choice(
        (bytes(length), b"\xff" * length, b"\x7f" * length, random.randbytes(length))
    )
    file.write_bytes(content)


def cut(file: Path, random: random.Random) -> None:
    """It ends early, or lacks a piece."""
    content = file.read_bytes()
    start = random.choice((0, 1, random.randrange(len(content) + 1), max(0, len(content) - random.randrange(1, 64))))
    end = random.choice((len(content), len(content), start + random.randrange(1, 100)))
    file.write_bytes(content[:start] + content[end:])


def extend(file: Path, random: random.Random) -> None:
    """Something follows, or stands in the middle."""
    content = file.read_bytes()
    more = random.choice((b"\0" * 5000, content, b"PK\x03\x04" * 50, random.randbytes(300), b"[" * 100_000, b"\n\n"))
    at = random.choice((len(content), 0, random.randrange(len(content) + 1)))
    file.write_bytes(content[:at] + more + content[at:])


def other_content(file: Path, random: random.Random) -> None:
    """It is a file of something else."""
    deep = b"[" * 100_000
    contents = (b"", b"\0", deep, deep.replace(b"[", b'{"a":'), b"\x80\x02}.", b"PK\x03\x04", b"PK\x05\x06" + bytes(18))
    texts = (
        b"hello\n",
        b"{}",
        b"[1]",
        b"null",
        b"\x93NUMPY\x01\x00",
        b"PAR1" + bytes(20) + b"PAR1",
        b"\xff\xd8\xff\xd9",
    )
    file.write_bytes(random.choice((*contents, *texts, struct.pack("<Q", 2**60) + b"{}", random.randbytes(500))))


def kind_of_entry(file: Path, random: random.Random) -> None:
    """It is no regular file, or far too large."""
    file.unlink()
    choice = random.randrange(6)
    if choice == 0:
        os.mkfifo(file)
    elif choice == 1:
        file.mkdir()
    elif choice == 2:
        file.symlink_to(file.name)
    elif choice == 3:
        file.symlink_to("/dev/zero")
    elif choice == 4:
        with file.open("wb") as out:
            out.truncate(3 * 2**30)


def huge_tail(file: Path, random: random.Random) -> None:
    """Gigabytes of nothing follow."""
    os.truncate(file, 3 * 2**30)


def words(file: Path, random: random.Random) -> None:
    """A number or a word in a text is something else."""
    text = file.read_bytes().decode("utf-8", "surrogateescape")
    found = list(re.finditer(r"-?\d+(?:\.\d+)?|[A-Za-z_][\w./]*", text))
    if not found:
        return bits(file, random)
    match = random.choice(found)
    new = random.choice(TEXTS)
    content = text[: match.start()] + new + text[match.end() :]
    file.write_bytes(content.encode("utf-8", "surrogatepass" if "\ud800" in new else "surrogateescape"))


def lines(file: Path, random: random.Random) -> None:
    """Lines of a text are gone, there twice, in another order, or end otherwise."""
    content = file.read_bytes().split(b"\n")
    choice = random.randrange(5)
    at = random.randrange(len(content))
    if choice == 0:
        del content[at]
    elif choice == 1:
        content.insert(at, content[random.randrange(len(content))])
    elif choice == 2:
        random.shuffle(content)
    elif choice == 3:
        content[at] = content[at] + b",x;y\tz"
    file.write_bytes((b"\r\n" if choice == 4 else b"\n").join(content))


def values(file: Path, random: random.Random) -> None:
    """A value in a JSON file is another one, is gone, or has company."""
    told = replaced(json.loads(file.read_bytes()), random)
    file.write_text(json.dumps(told), encoding="utf-8", errors="surrogatepass")


def replaced(value: Any, random: random.Random, pool: list[Any] | None = None) -> Any:
    """Plain values with one of them, wherever it is, another one."""
    pool = VALUES if pool is None else pool
    if isinstance(value, dict) and value and random.random() < 0.85:
        key = random.choice(list(value))
        choice = random.random()
        if choice < 0.1:
            return {k: v for k, v in value.items() if k != key}
        if choice < 0.2:
            return {**value, random.choice(TEXTS[:12]): random.choice(pool)}
        if choice < 0.25:
            return {(random.choice(TEXTS) if k == key else k): v for k, v in value.items()}
        return {**value, key: replaced(value[key], random, pool)}
    if isinstance(value, list) and value and random.random() < 0.85:
        at = random.randrange(len(value))
        choice = random.random()
        if choice < 0.1:
            return value[:at] + value[at + 1 :]
        if choice < 0.2:
            return [*value, random.choice(pool)]
        return [*value[:at], replaced(value[at], random, pool), *value[at + 1 :]]
    return random.choice(pool)


def odd_tensors(tensor: torch.Tensor, random: random.Random) -> Any:
    """A tensor as it may be after some program or other."""
    real = tensor if tensor.is_floating_point() else tensor.float()
    with_nan = real.clone()
    if with_nan.numel():
        with_nan.view(-1)[0] = random.choice((float("nan"), float("inf")))
    makers: list[Callable[[], Any]] = [
        lambda: (real * 100).to(torch.uint8),
        lambda: tensor.to(torch.int64),
        lambda: with_nan,
        lambda: tensor[..., None],
        lambda: tensor.flatten()[:1],
        lambda: torch.zeros(0),
        lambda: tensor.to_sparse(),
        lambda: torch.quantize_per_tensor(real.float(), 0.1, 0, torch.qint8),
        lambda: torch.empty(tensor.shape, device="meta"),
        lambda: torch.zeros(1).expand(10**6, 10**6),
        lambda: real.to(torch.complex64),
        lambda: tensor.bool(),
        lambda: -real,
        lambda: real.half(),
        lambda: torch.nn.Parameter(real),
        lambda: {"tensor": tensor},
        lambda: [1, 2],
    ]
    return random.choice(makers)()


def parts(file: Path, random: random.Random) -> None:
    """A part of a file of ``torch.save`` is of another kind, gone, endless, or in other company."""
    content = torch.load(file, weights_only=True)
    endless: list[Any] = []
    endless.append(endless)
    bomb: Any = ["x"]
    for _ in range(40):
        bomb = [bomb, bomb]
    pool = [*VALUES, endless, bomb, torch.ones(3), torch.Size([2]), (1, 2), {1: 2}, b"bytes", 3j, torch.float32]
    content = _part(content, random, pool)
    torch.save(content, file, _use_new_zipfile_serialization=random.random() < 0.9)


def _part(value: Any, random: random.Random, pool: list[Any]) -> Any:
    if isinstance(value, torch.Tensor):
        return odd_tensors(value, random) if random.random() < 0.8 else random.choice(pool)
    if isinstance(value, dict) and value and random.random() < 0.92:
        key = random.choice(list(value))
        choice = random.random()
        if choice < 0.08:
            return {k: v for k, v in value.items() if k != key}
        if choice < 0.16:
            return {**value, random.choice([*TEXTS[:16], "ema", "teacher", 3]): random.choice([*pool, value[key]])}
        if choice < 0.2:
            return {(random.choice(TEXTS) if k == key else k): v for k, v in value.items()}
        return {**value, key: _part(value[key], random, pool)}
    if isinstance(value, (list, tuple)) and value and random.random() < 0.9:
        at = random.randrange(len(value))
        return [*value[:at], _part(value[at], random, pool), *value[at + 1 :]]
    return random.choice(pool)


def tensors(file: Path, random: random.Random) -> None:
    """A tensor or a word of the metadata of a safetensors file is another one."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(file, framework="pt") as opened:
        metadata = dict(opened.metadata() or {})
        content = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
    name = random.choice(sorted(content))
    choice = random.random()
    if metadata and choice < 0.5:
        key = random.choice(sorted(metadata))
        try:
            metadata[key] = json.dumps(replaced(json.loads(metadata[key]), random))
        except ValueError:
            metadata[key] = random.choice(TEXTS[:16])
        metadata[key] = metadata[key].encode("utf-8", "replace").decode()
    elif choice < 0.6:
        del content[name]
    elif choice < 0.7:
        content[random.choice(("x", "a\x1bb", f"{name}.x", ""))] = content.pop(name)
    else:
        odd = odd_tensors(content[name], random)
        dense = isinstance(odd, torch.Tensor) and odd.layout == torch.strided and odd.device.type == "cpu"
        if dense and not odd.is_quantized and odd.numel() < 10**6:
            content[name] = odd.detach().contiguous().clone()
    file.unlink()
    save_file(content, file, metadata)


INFLATED = 1200  # megabytes


@functools.cache
def _zeros() -> tuple[bytes, int]:
    """So many megabytes of zeros, as raw DEFLATE with their checksum: made once, since it takes seconds."""
    squeezer = zlib.compressobj(9, wbits=-15)
    megabyte = bytes(2**20)
    repeated = squeezer.compress(megabyte) + squeezer.flush(zlib.Z_FULL_FLUSH)
    checksum = 0
    for _ in range(INFLATED):
        checksum = zlib.crc32(megabyte, checksum)
    return repeated * INFLATED + squeezer.flush(), checksum


def inflated(file: Path, random: random.Random) -> None:
    """A small archive that becomes gigabytes."""
    content: dict[str, bytes] = {"archive/data.pkl": b""}
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as old:
            content = {name: old.read(name) for name in old.namelist()}
    large = random.choice([name for name in content if "/data" in name])
    with zipfile.ZipFile(file, "w") as out:
        for name, value in content.items():
            if name != large:
                out.writestr(name, value)
        entry = zipfile.ZipInfo(large)
        entry.compress_type, entry.file_size = zipfile.ZIP_DEFLATED, INFLATED * 2**20
        squeezed, entry.CRC = _zeros()
        entry.compress_size, entry.header_offset = len(squeezed), out.start_dir
        assert out.fp is not None
        out.fp.seek(out.start_dir)
        out.fp.write(entry.FileHeader() + squeezed)
        out.filelist.append(entry)
        out.start_dir, out._didModify = out.fp.tell(), True  # type: ignore[attr-defined]


def cells(file: Path, random: random.Random) -> None:
    """A cell, a column or the metadata of a Parquet file is another one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(file)
    name = random.choice(table.column_names)
    at = table.column_names.index(name)
    choice = random.randrange(6)
    if choice == 0:
        table = table.drop_columns([name])
    elif choice == 1:
        table = table.set_column(at, table.field(at), pa.nulls(len(table), table.field(at).type))
    elif choice == 2:
        metadata = dict(table.schema.metadata or {})
        if metadata:
            key = random.choice(sorted(metadata))
            metadata[key] = random.choice((b"[]", b"[-1]", b"[" * 100_000, b"x", b"[99]", b"[1, 1]", b'"a"', b""))
        table = table.replace_schema_metadata(metadata)
    elif choice == 3:
        table = table.slice(0, random.randrange(len(table) + 1))
    elif choice == 4:
        table = pa.concat_tables([table, table])
    else:
        values = table[name].to_pylist()
        if values:
            values[random.randrange(len(values))] = random.choice(
                (None, -1, -5, 2**31 - 1, float("nan"), "x\x1b", [1.0])
            )
        try:
            table = table.set_column(at, table.field(at), pa.array(values, table.field(at).type))
        except (pa.ArrowException, TypeError, OverflowError, ValueError):
            table = table.rename_columns([("other" if other == name else other) for other in table.column_names])
    pq.write_table(table, file, write_page_checksum=random.random() < 0.5)


def array(file: Path, random: random.Random) -> None:
    """A NumPy file has another shape, another type, or lies about both."""
    old = np.load(file)
    makers: list[Callable[[], Any]] = [
        lambda: old.astype(np.float64),
        lambda: old[:, :-1],
        lambda: old.reshape(-1),
        lambda: old.astype(str),
        lambda: np.zeros(0),
        lambda: np.array(3),
        lambda: np.array([{"a": 1}], dtype=object),
        lambda: old + 1,
    ]
    if random.random() < 0.3:
        content = file.read_bytes()
        lies = (b"(1000000000, 1000000)", b"(-1, 4)", b"('a', 4)", b"(1, 1" + b", 1" * 100 + b")")
        file.write_bytes(re.sub(rb"\(\d+[^)]*\)", random.choice(lies), content, count=1))
        return
    with file.open("wb") as out:
        np.save(out, random.choice(makers)(), allow_pickle=True)


def matlab(file: Path, random: random.Random) -> None:
    """A variable of a MATLAB file is of another kind, or gone."""
    from scipy.io import loadmat, savemat

    content = {name: value for name, value in loadmat(file).items() if not name.startswith("__")}
    name = random.choice(sorted(content))
    makers: list[Any] = [
        3,
        "x",
        np.zeros(0),
        np.ones((2, 2)),
        {"a": 1},
        np.array([["a"]], dtype=object),
        np.array([[-1]]),
    ]
    choice = random.random()
    if choice < 0.2:
        content[random.choice(("other", "x" * 31))] = content.pop(name)
    else:
        content[name] = random.choice(makers)
    savemat(file, content)


def restored(source: Path, target: Path) -> None:
    """A fresh copy of a folder."""
    if target.exists():
        shutil.rmtree(target)
    shutil.copytree(source, target, symlinks=True)


ANY: list[Mutation] = [bits, bits, bits, stretch, stretch, cut, cut, extend, other_content, kind_of_entry, huge_tail]
TEXT: list[Mutation] = [words, words, words, words, lines, lines]
