"""A tiny model, a folder of photographs, and `main` run in this process."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import lightning  # noqa: F401 - its logger keeps the stderr it finds when it is imported: not one of a test
import numpy as np
import pytest
from PIL import Image

from lit_coiba.cli import main

# A ViT with a grid of 4 x 4 tokens, and three classes.
TINY = [
    *("--model.backbone.name", "vit_tiny_patch16_224"),
    *("--model.backbone.image_size", "32"),
    *("--model.backbone.num_classes", "3"),
    *("--model.backbone.timm_kwargs", "{depth: 2, embed_dim: 12, num_heads: 2, patch_size: 8}"),
]
CALM = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", "--data.num_workers", "0"]


class Outcome(NamedTuple):
    """What one command left."""

    status: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that it ended with."""
        lines = [line for line in self.err.splitlines() if "lit-coiba: error" in line]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        return lines[0].removeprefix("lit-coiba: error: ")


Command = Callable[..., Outcome]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """Runs `main` on some words, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    interrupt = signal.getsignal(signal.SIGINT)  # Lightning changes it when it is interrupted

    def run(*words: str) -> Outcome:
        capsys.readouterr()
        status = main(list(words))
        return Outcome(status, *capsys.readouterr())

    yield run
    signal.signal(signal.SIGINT, interrupt)


@pytest.fixture
def explain(command: Command) -> Command:
    """Runs ``lit-coiba explain`` on the tiny model, by gradient saliency unless the words say otherwise."""
    return lambda *words: command("explain", "--model.method", "Saliency", *TINY, *CALM, *words)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of three pictures each."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for name in ("apple", "bear"):
        (folder / name).mkdir()
        for index in range(3):
            pixels = random.integers(0, 256, (40, 48, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index}.jpg")
    return folder


@pytest.fixture
def broken_photos(photos: Path, tmp_path: Path) -> Path:
    """The same, the second apple cut off in the middle."""
    folder = tmp_path / "broken"
    for file in photos.rglob("*.jpg"):
        target = folder / file.relative_to(photos)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    file = folder / "apple" / "1.jpg"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    return folder
