"""Checkpoints that are whole or not there, and a removal that takes nothing but checkpoints."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from lit_coiba.files.atomic import atomically
from lit_coiba.files.owned import begins

_is_checkpoint = begins(b"PK", b"\x80")  # as torch.save writes them, now and in its old format


class CheckpointFiles(TorchCheckpointIO):
    """Lightning's checkpoint files, on this machine: synced, under their name only when they are whole.

    Lightning's own takes no notice where it may not write, and removes whatever a path in a checkpoint points to.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Args:
            checkpoint: Its content.
            path: The file; what is no path of this machine is left to Lightning.
            storage_options: See Lightning.

        Raises:
            OSError: The disk is full, the folder read-only, ...
        """
        if not _is_local(path) or storage_options is not None:
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()  # torch raises errors of its own where a file cannot be written
        torch.save(checkpoint, content)
        with atomically(file) as out:
            out.write(content.getbuffer())

    def remove_checkpoint(self, path: Any) -> None:
        """Remove a checkpoint; a folder, a link or any other file stays."""
        if not _is_local(path):
            super().remove_checkpoint(path)
        elif not os.path.islink(path) and os.path.isfile(path) and _is_checkpoint(Path(path)):
            os.unlink(path)


def own_checkpoint_files(trainer: lightning.Trainer) -> None:
    """Put our files in the place of Lightning's, unless the user has chosen others."""
    strategy: Any = trainer.strategy
    if type(strategy.checkpoint_io) is TorchCheckpointIO:
        strategy.checkpoint_io = CheckpointFiles()


def _is_local(path: Any) -> bool:
    return "://" not in os.fspath(path)
