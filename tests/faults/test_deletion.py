"""Strangers' files stay, byte for byte, or the verb refuses before any work (reliability.md, section 2)."""

import os
import signal
from pathlib import Path

import pytest

from benchmarks.deletion import COMMANDS, STRANGER, contents, copied, plant, ready, run, tried

# In each a stranger's file under every name is tried by `python -m benchmarks.deletion`.
FEW = {"explain": 3, "statistics": 2, "merge": 2, "export, npz": 2, "methods": 2, "benchmark": 2, "prototypes": 3}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    interrupt = signal.getsignal(signal.SIGINT)
    folder = tmp_path_factory.mktemp("base").resolve()
    ready(folder)
    yield folder
    signal.signal(signal.SIGINT, interrupt)


@pytest.mark.parametrize("verb", FEW)
def test_some_names(base, verb):
    assert tried(base, COMMANDS[verb], FEW[verb]).lost == []


@pytest.mark.slow
@pytest.mark.parametrize("verb", COMMANDS)
def test_every_name(base, verb):
    assert tried(base, COMMANDS[verb]).lost == []


def test_a_folder_classes_of_the_users_is_not_removed(base):
    """`mkdir -p p/classes; touch p/classes/thesis.tex; PROTO --output p`: it was gone."""
    with copied(base) as folder:
        plant(folder / "out", "classes/thesis.tex")
        before = contents(folder)
        assert run(folder, COMMANDS["prototypes"].words) == 2
        assert contents(folder) == before


@pytest.mark.parametrize("name", ["out/s.safetensors.mine.parts/x", "out/s.safetensors.0123456789ab.parts/thesis.tex"])
def test_a_folder_named_like_parts_of_statistics_is_not_removed(base, name):
    """`mkdir stat.safetensors.mine.parts` with a file in it: it was gone."""
    with copied(base) as folder:
        plant(folder, name)
        assert run(folder, COMMANDS["statistics"].words) == 0
        assert (folder / name).read_bytes() == STRANGER
        assert (folder / "out" / "s.safetensors").is_file()


@pytest.mark.parametrize("place", ["im", "im/below", "."])
@pytest.mark.parametrize("verb", ["explain", "benchmark", "prototypes", "fit with cache"])
def test_a_folder_of_images_is_no_place_for_results(base, verb, place):
    """use.md, G: `--store` = image folder was accepted, and its contact sheet became an image of the dataset."""
    with copied(base) as folder:
        root = "im" if "im" in COMMANDS[verb].words else "cl"
        words = [place.replace("im", root) if word == "out" else word for word in COMMANDS[verb].words]
        before = contents(folder)
        assert run(folder, words) == 2
        assert contents(folder) == before


def test_an_empty_file_of_an_export_is_done_again(base):
    """What a power cut left stayed for ever, as did a file of zeros and half a file."""
    with copied(base) as folder:
        words = COMMANDS["export, npz"].words
        assert run(folder, words) == 0
        files = sorted((folder / "out").rglob("*.npz"))
        whole = {file: file.read_bytes() for file in files}
        files[0].write_bytes(b"")
        files[1].write_bytes(bytes(len(whole[files[1]])))
        files[2].write_bytes(whole[files[2]][:-40])
        assert run(folder, words) == 0
        assert all(len(file.read_bytes()) == len(content) for file, content in whole.items())


@pytest.mark.parametrize("verb", ["export, npz", "methods", "merge", "explain", "fit with cache", "statistics"])
def test_what_a_killed_run_left_is_cleared_up(base, verb):
    """`.NAME.MACHINE-PID-N.tmp` stayed for ever beside exports and caches."""
    from lit_coiba.files.atomic import _machine

    command = COMMANDS[verb]
    with copied(base) as folder:
        assert run(folder, command.words) == 0
        place = folder / command.folder
        left = place / f".x.npz.{_machine()}-{2**22 + 1}-7.tmp"  # no process has this number
        if command.single:  # beside a file of statistics everything is anybody's, but what is named for it
            left = place / f".s.safetensors.{_machine()}-{2**22 + 1}-7.tmp"
        left.write_bytes(b"half")
        for marked in place.glob("*.npy"):
            marked.unlink()
        assert run(folder, command.words) == 0
        assert not left.exists()


def test_a_temporary_file_is_never_one_that_is_there(tmp_path, monkeypatch):
    """Names are random, and opened exclusively: a link in the way is not followed."""
    from lit_coiba.files.atomic import atomically

    with atomically(tmp_path / "x") as out:
        (first,) = tmp_path.iterdir()
        out.write(b"1")
    (tmp_path / "precious").write_bytes(STRANGER)
    token = first.name.rpartition("-")[2].removesuffix(".tmp")
    os.symlink(tmp_path / "precious", first)
    monkeypatch.setattr("secrets.token_hex", lambda _: token)
    with pytest.raises(FileExistsError), atomically(tmp_path / "x"):
        pass
    assert (tmp_path / "precious").read_bytes() == STRANGER


EMPTY = [["--store", ""], ["--store="], ["--data.root", ""], ["--model.backbone.checkpoint", ""]]


@pytest.mark.parametrize("words", EMPTY)
def test_an_unset_variable_is_no_path(tmp_path, monkeypatch, capsys, words):
    """`--store "$UNSET"` wrote into the working folder."""
    from lit_coiba.cli import main

    monkeypatch.chdir(tmp_path)
    assert main(["explain", "--model.backbone.name", "resnet18", *words]) == 2
    assert "is empty" in capsys.readouterr().err
    assert list(Path().iterdir()) == []
