import errno
import os
import re
import stat
import subprocess
import time
from pathlib import Path

import pytest

from lit_coiba.files.atomic import atomically, remove_leftovers


def write(path: Path, content: bytes, exclusive: bool = False) -> None:
    with atomically(path, exclusive) as file:
        file.write(content)


def killed(*_: object) -> None:
    raise OSError("killed")


def leftover(folder: Path, monkeypatch: pytest.MonkeyPatch, pid: int) -> Path:
    """What a writer with this process number leaves behind if it dies before the file has its name."""
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: pid)
        patch.setattr(os, "replace", killed)
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        with pytest.raises(OSError, match="killed"):
            write(folder / "file", b"half")
    (path,) = folder.iterdir()
    return path


def dead_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_replaces_in_one_piece(tmp_path: Path) -> None:
    write(tmp_path / "file", b"old")
    with atomically(tmp_path / "file") as file:
        file.write(b"new")
        file.flush()
        assert (tmp_path / "file").read_bytes() == b"old"
    assert (tmp_path / "file").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_leaves_nothing_behind_when_interrupted(tmp_path: Path, error: type[BaseException]) -> None:
    def interrupted() -> None:
        with atomically(tmp_path / "file") as file:
            file.write(b"ne")
            raise error

    write(tmp_path / "file", b"old")
    with pytest.raises(error):
        interrupted()
    assert (tmp_path / "file").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_syncs_the_bytes_before_the_name_and_the_name_before_it_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = []
    fsync, replace = os.fsync, os.replace

    def sync(descriptor: int) -> None:
        order.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def rename(*paths: Path) -> None:
        order.append("replace")
        replace(*paths)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", rename)
    write(tmp_path / "file", b"new")
    assert order == ["file", "replace", "folder"]


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "no hard links"])
def test_exclusive_keeps_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(errno.EPERM, "not supported")))
    write(tmp_path / "file", b"first", exclusive=True)
    with pytest.raises(FileExistsError):
        write(tmp_path / "file", b"second", exclusive=True)
    assert (tmp_path / "file").read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["file"]


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    living = leftover(tmp_path, monkeypatch, os.getpid())
    remove_leftovers(tmp_path)
    assert living.exists()
    living.unlink()
    dead = leftover(tmp_path, monkeypatch, dead_pid())
    remove_leftovers(tmp_path)
    assert not dead.exists()


def test_leftovers_of_another_machine_go_when_they_are_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = leftover(tmp_path, monkeypatch, dead_pid())
    theirs = ours.rename(ours.with_name(re.sub(r"[0-9a-f]{8}-", "00000000-", ours.name)))
    remove_leftovers(tmp_path)
    assert theirs.exists()  # its process number means nothing here
    os.utime(theirs, (time.time() - 7200,) * 2)
    remove_leftovers(tmp_path)
    assert not theirs.exists()


def test_only_temporary_files_are_leftovers(tmp_path: Path) -> None:
    for name in ("000000.parquet", "notes.tmp", ".hidden", ".000000.parquet.tmp"):
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (0, 0))
    remove_leftovers(tmp_path)
    assert len(os.listdir(tmp_path)) == 4
