"""When a fit has ended: small weights that can be shipped, and a card that says what they are worth."""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from safetensors.torch import save
from torch import Tensor, nn

from lit_coiba.backbones import Backbone
from lit_coiba.backbones.missing_parts import KEY
from lit_coiba.backbones.probe import like
from lit_coiba.backbones.weights import load_weights
from lit_coiba.backbones.weights_file import DESCRIPTION
from lit_coiba.callbacks.export_place import check_export_place, safetensors_path
from lit_coiba.core.errors import InputError, check_choice
from lit_coiba.data.module import BlockDataModule, Split
from lit_coiba.files.atomic import atomically
from lit_coiba.heads.description import describe
from lit_coiba.heads.head import Head
from lit_coiba.training.feature_cache import CachedFeatures
from lit_coiba.training.hits import hits
from lit_coiba.training.removing import missing_accuracy

# How a card begins, by which it is told from others' files.
_MEASURED, _UNMEASURED = "Accuracies are those of the weights in the file.", "No accuracy was measured."


FilePrecision = Literal["half", "single"]


class Accuracy(NamedTuple):
    """How many predictions of so many were right."""

    right: int
    samples: int

    def __str__(self) -> str:
        return f"{self.right / max(self.samples, 1):.1%} ({self.right:,} of {self.samples:,})"


class ExportWeights(Callback):
    """Write the network's weights, and beside them a card, the same name with ``.md``.

    The card reports the command, the digest and the size of the file, the head, and the accuracy on each test loader of
    the data module, measured on the weights as the file holds them. Where the data have no test split the accuracy is
    that on ``val``, and called so, as it is called ``train`` where nothing is held out; where there is neither, the
    card reports none. Where parts of training images were removed, it is measured without them too, and the file says
    what that costs on the first loader, for metrics that depend on it.

    Args:
        file: File to write, ``NAME.safetensors``; one that is there is replaced.
        command: Command that creates the file again; None = the command line of this process.
        precision: Precision of the weights: ``half``, or ``single`` where rounding them would cost what they promise,
            as it does for certificates.

    Raises:
        InputError: `file` is not named ``.safetensors``, or there is no such precision.
    """

    def __init__(self, file: str, command: str | None = None, precision: FilePrecision = "half") -> None:
        self.file = safetensors_path(file, "weights are exported")
        self.command = command or shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
        self.precision: FilePrecision = check_choice(precision, FilePrecision, "precision")

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Look at the place of the file and its card before anything is trained.

        Raises:
            InputError: They cannot be written, or something else has their names.
        """
        if stage != "fit" or not trainer.is_global_zero:
            return
        check_export_place(self.file, DESCRIPTION, _MEASURED, _UNMEASURED)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Export and measure, on the first process."""
        if not trainer.is_global_zero:
            return
        network: Backbone = deepcopy(pl_module.network)  # type: ignore[assignment]
        head = describe(network.head) if isinstance(network.head, Head) else None
        arguments = {"backbone": network.arguments, "head": head, **_names(pl_module)}
        digest = save_weights(network.model, self.file, arguments, self.precision)
        load_weights(network.model, str(self.file))
        own = getattr(pl_module, "in_own_order", lambda targets: targets)
        loaders = _loaders(trainer)
        found = {name: accuracy(network, loader, own) for name, loader in loaders.items()}
        rows: dict[str, object] = {**found}
        if (removing := getattr(pl_module, "removing", None)) is not None and loaders:
            parts = {name: missing_accuracy(network, loader, removing, own) for name, loader in loaders.items()}
            told = {**arguments, KEY: next(iter(parts.values()))._asdict()}
            digest = save_weights(network.model, self.file, told, self.precision)
            rows |= {f"{name}, {removing.name.replace('_', ' ')}": f"{one.missing:.1%}" for name, one in parts.items()}
        trained = f"{trainer.current_epoch} epochs, {trainer.global_step:,} steps, precision {trainer.precision}"
        with atomically(self.file.with_suffix(".md")) as out:
            out.write(card(self.file, network, digest, self.command, trained, rows, self.precision).encode())


def save_half(model: nn.Module, file: Path, arguments: dict[str, Any] | None = None) -> str:
    """`save_weights` in half precision."""
    return save_weights(model, file, arguments, "half")


def save_weights(
    model: nn.Module, file: Path, arguments: dict[str, Any] | None = None, precision: FilePrecision = "half"
) -> str:
    """Write a model's state as safetensors; SHA-256 of the file.

    Args:
        model: The model.
        file: File to write.
        arguments: Arguments of the backbone and the head, plain values, for whoever loads the file.
        precision: Precision of what is floating point: fp16, or fp32.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    metadata = None if arguments is None else {DESCRIPTION: json.dumps(arguments)}
    dtype = torch.float16 if precision == "half" else torch.float32
    content = save({name: t.to(dtype) if t.is_floating_point() else t for name, t in state.items()}, metadata)
    with atomically(file) as out:
        out.write(content)
    return hashlib.sha256(content).hexdigest()


@torch.no_grad()
def accuracy(
    network: nn.Module,
    loader: Iterable[tuple[Tensor, Tensor]],
    own: Callable[[Tensor], Tensor] = lambda targets: targets,
) -> Accuracy:
    """Right predictions of `network`, in evaluation mode, over batches of images and targets; see `hits`.

    Args:
        network: The network.
        loader: Batches.
        own: What puts targets into the order of the network's classes.
    """
    network.eval()
    device = like(network).device
    right = samples = 0
    for batch in loader:  # which may have more, such as importance maps
        images, targets = batch[0].to(device), own(batch[1]).to(device)
        right += int(hits(network(images), targets).sum())
        samples += len(images)
    return Accuracy(right, samples)


def card(
    file: Path,
    network: Backbone,
    digest: str,
    command: str,
    trained: str,
    accuracies: Mapping[str, object],
    precision: FilePrecision = "half",
) -> str:
    """What one should know about a file of weights, as Markdown."""
    source = ("checkpoint", "checkpoint_match", "new_head", "pretrained")
    arguments = {k: v for k, v in network.arguments.items() if v not in (None, False) and k not in source}
    inputs = network.preprocessing
    head = {"head": f"`{json.dumps(describe(network.head))}`"} if isinstance(network.head, Head) else {}
    rows = {
        "made by": f"`{command}`",
        "trained": trained,
        **{f"accuracy, {name}": str(value) for name, value in accuracies.items()},
        "network": f"`{json.dumps(arguments)}`",
        **head,
        "parameters": f"{sum(p.numel() for p in network.parameters()):,}",
        "input": f"{inputs.size[0]} x {inputs.size[1]} pixels, mean {inputs.mean}, std {inputs.std}",
        "file": f"{file.name}, {'fp16' if precision == 'half' else 'fp32'} safetensors, {file.stat().st_size:,} bytes",
        "SHA-256": f"`{digest}`",
        "versions": ", ".join(f"{package} {version(package)}" for package in ("torch", "timm", "lightning")),
    }
    table = "\n".join(f"| {key} | {value} |" for key, value in rows.items())
    about = _MEASURED if accuracies else _UNMEASURED
    return f"# {file.stem}\n\n{about}\n\n| | |\n|---|---|\n{table}\n"


def _names(module: Any) -> dict[str, list[str]]:
    """The names of the classes, where a module knows them, as an argument for whoever loads the file."""
    names = getattr(module, "class_names", None)
    return {"class_names": list(names)} if names else {}


def _loaders(trainer: Any) -> dict[str, Iterable[tuple[Tensor, Tensor]]]:
    """What accuracy is measured on, by the name it goes by: of the first of the splits test and val that is there."""
    data = trainer.datamodule
    if isinstance(data, CachedFeatures):  # its validation samples are features, and these weights are to see images
        data = data.data
        data.trainer = trainer
    if data is None:
        return {}
    split: Split
    for split, stage in (("test", "test"), ("val", "validate")):
        data.setup(stage)
        try:
            found = data.test_dataloader() if split == "test" else data.val_dataloader()
        except (InputError, MisconfigurationException):  # how our data modules, and Lightning's, say that there is none
            continue
        if not isinstance(found, (dict, list)):
            return {"train" if _trained_on(data, split) else split: found}
        if found:
            pairs = found.items() if isinstance(found, dict) else enumerate(found)
            return {str(name) if split == "test" else f"{split}, {name}": loader for name, loader in pairs}
    return {}


def _trained_on(data: Any, split: Split) -> bool:
    """Whether a split is that of training: a folder that is not divided is all of them."""
    return isinstance(data, BlockDataModule) and data.dataset(split).ids == data.dataset("train").ids
