"""Files, folders, classes and stores with nasty names, through every verb on an ascii terminal: nothing is raw."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

NAMES = [
    *(b"\x1b]0;pwned\x07a", b"good\rEVIL", b"a\nlit-coiba: error: forged", "a\u202egnp".encode(), b"caf\xff"),
    *(b"=1+1", b"<script>", b"a|b", "\u2066x".encode(), "\U0001f600".encode()),
]
TINY = [
    *("--model.backbone.name", "vit_tiny_patch16_224", "--model.backbone.image_size", "32"),
    *("--model.backbone.num_classes", str(len(NAMES))),
    *("--model.backbone.timm_kwargs", "{depth: 1, embed_dim: 12, num_heads: 2, patch_size: 16}"),
    *("--trainer.accelerator", "cpu", "--data.num_workers", "0", "--data.root", "im"),
]
STORE = "st\x1b[2J\u202e|<b>\U0001f600"


@pytest.mark.slow
def test_every_verb(tmp_path):
    """`$'\\e]0;pwned\\a.png'`: raw on the terminal, 28 cases; PYTHONIOENCODING=ascii: UnicodeEncodeError."""
    random = np.random.default_rng(0)
    for number, name in enumerate(NAMES):
        folder = os.path.join(os.fsencode(tmp_path), b"im", name)
        os.makedirs(folder)
        stream = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(stream, "PNG")
        content = stream.getvalue() if number % 2 else stream.getvalue()[:60]
        with open(os.path.join(folder, name + b".png"), "wb") as file:
            file.write(content)
    commands = {
        3: (
            ["explain", *TINY, "--model.method", "Saliency", "--store", STORE],
            ["predict", *TINY, "--output", "p\x1b.csv"],
        ),
        0: (
            ["benchmark", *TINY, "--stores", STORE, "--output", "be\x1b"],
            ["export", STORE, "--format", "png", "--output", "ex\x1b"],
            ["merge", "me\x1b", STORE],
        ),
        2: (
            ["fit", *TINY, "--trainer.max_epochs", "1", "--trainer.default_root_dir", "lo\x1b"],
            ["explain", *TINY, "--model.method", "Saliency", "--store", STORE, "--model.targets", "a\x1b[2J"],
            ["validate", *TINY, "--ckpt_path", "ch\x1b.ckpt"],
        ),
    }
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": os.pathsep.join([*sys.path])}
    for status, several in commands.items():
        for words in several:
            call = [sys.executable, "-m", "lit_coiba", *words]
            done = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, timeout=300)
            told = done.stdout + done.stderr
            assert done.returncode == status, told
            assert b"Traceback" not in told
            assert [byte for byte in told if (byte < 32 and byte != 10) or byte > 126] == []
            assert not [line for line in told.splitlines() if line.startswith(b"lit-coiba: error: forged")]
    for file in ("be\x1b/leaderboard.md", "ex\x1b/explanations.csv", "p\x1b.csv"):
        text = (tmp_path / file).read_text(encoding="utf-8")
        assert all(line.isprintable() for line in text.splitlines())
    assert "<b>" not in (tmp_path / "be\x1b/leaderboard.md").read_text(encoding="utf-8")
