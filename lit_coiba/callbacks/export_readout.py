"""When the fit of a readout has ended: one file that methods read, and a card that says what it is of."""

from __future__ import annotations

import shlex
import sys
from importlib.metadata import version
from pathlib import Path

from lightning import Callback, LightningModule, Trainer

from lit_coiba.bottlenecks.readout.trained_readout import HEADER, TrainedReadout
from lit_coiba.callbacks.export_place import check_export_place, safetensors_path
from lit_coiba.core.errors import InputError
from lit_coiba.files.atomic import atomically
from lit_coiba.training.readout import Readout

_ABOUT = "A readout: it belongs to one model and its preprocessing."  # by which a card is told from others' files


class ExportReadout(Callback):
    """Write a trained readout, and beside it a card, the same name with ``.md``.

    The weights are those at the end of the fit. The card says what the readout reads, of which model, what the leak
    test found, and the last losses on held-out images.

    Args:
        file: File to write, ``NAME.safetensors``; one that is there is replaced.
        command: Command that creates the file again; None = the command line of this process.

    Raises:
        InputError: `file` is not named ``.safetensors``.
    """

    def __init__(self, file: str, command: str | None = None) -> None:
        self.file = safetensors_path(file, "a readout is written")
        self.command = command or shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Look at the place of the file and its card before anything is trained.

        Raises:
            InputError: They cannot be written, or something else has their names; or it is no readout that is trained.
        """
        if stage != "fit":
            return
        if not isinstance(pl_module, Readout):
            raise InputError(
                f"ExportReadout exports readouts, and {type(pl_module).__name__} is none: take ExportWeights"
            )
        if not trainer.is_global_zero:
            return
        check_export_place(self.file, HEADER, _ABOUT)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Export, on the first process."""
        if not trainer.is_global_zero:
            return
        assert isinstance(pl_module, Readout)
        found = pl_module.trained()
        found.save(self.file)
        losses = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        with atomically(self.file.with_suffix(".md")) as out:
            out.write(readout_card(self.file, found, self.command, str(trainer.precision), losses).encode())


def readout_card(file: Path, readout: TrainedReadout, command: str, precision: str, losses: dict[str, float]) -> str:
    """What one should know about a file of a readout, as Markdown."""
    about, leak = readout.about, readout.statistics.leak
    rows = {
        "made by": f"`{command}`",
        "kind": about.kind,
        "trained": f"{about.steps:,} steps of {about.images:,} images, precision {precision}",
        **{name: f"{value:.4g}" for name, value in sorted(losses.items())},
        "bottleneck layers": ", ".join(about.layers),
        "layers that are read": ", ".join(about.read) + (", and the gradient" if about.gradient else ""),
        "leak test": "not run"
        if leak is None
        else f"{leak.kept[leak.layers[0]]:.1%} of predictions survive pure noise (chance {leak.chance:.1%})",
        "activation statistics": f"{readout.statistics.count:,} images",
        "model": f"digest {about.model}",
        "preprocessing": f"`{about.preprocessing}`",
        "parameters": f"{sum(part.numel() for part in readout.weights.values()):,}",
        "file": f"{file.name}, safetensors, {file.stat().st_size:,} bytes, digest {readout.digest()}",
        "versions": ", ".join(f"{package} {version(package)}" for package in ("torch", "timm", "lightning")),
    }
    table = "\n".join(f"| {key} | {value} |" for key, value in rows.items())
    return f"# {file.stem}\n\n{_ABOUT}\n\n| | |\n|---|---|\n{table}\n"
