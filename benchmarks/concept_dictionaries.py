"""Concept dictionaries of one layer side by side: a sparse autoencoder, Semi-NMF and NMF, one and one for each class.

EfficientNet-Lite0 on Caltech-101, the places of its last layer on a grid. All see the training images; the table
is of the validation images. Needs the project's assets and scikit-learn::

    python -m benchmarks.concept_dictionaries --output runs/concepts.safetensors --epochs 10
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from benchmarks._models import ASSETS, efficientnet_lite0
from lit_coiba import ImageFolder, Trainer
from lit_coiba.backbones import Backbone
from lit_coiba.callbacks.log_progress import LogProgress
from lit_coiba.concepts import NMF, DictionaryScore, SemiNMF, dictionary_score, dictionary_table
from lit_coiba.concepts.rows import activation_rows
from lit_coiba.core.frozen import frozen
from lit_coiba.data.transforms import Transform
from lit_coiba.training.concept_autoencoder import ConceptAutoencoder

FEW = 10_000  # rows that one dictionary of all classes is factorized from


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default="runs/concepts.safetensors")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--concepts", type=int, default=512)
    parser.add_argument("--k", type=int, default=16)
    parser.add_argument("--classes", type=int, default=101, help="classes, evenly spaced over the 101")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--of-class", type=int, default=10, help="concepts of each class")
    arguments = parser.parse_args()
    model = efficientnet_lite0().eval()
    data = caltech(arguments.classes, arguments.batch_size)
    module = ConceptAutoencoder(model, n_concepts=arguments.concepts, k=arguments.k, lr=arguments.lr)
    trainer = Trainer(
        max_epochs=arguments.epochs,
        accelerator="cpu",
        devices=1,
        logger=False,
        limit_val_batches=0,
        enable_checkpointing=False,
        enable_model_summary=False,
        callbacks=[LogProgress()],
    )
    print(f"layer {module.layer}, {module.autoencoder.in_channels} channels", flush=True)
    learned = timed("autoencoder", lambda: trainer.dictionary(module, data, arguments.output))
    (rows, classes), (fresh, of) = (rows_of(model, data, module.layer, split) for split in ("train", "val"))
    print(f"{len(rows):,} rows to fit, {len(fresh):,} rows to measure", flush=True)
    scores = [dictionary_score(f"sparse autoencoder, k = {arguments.k}", (fresh, learned))]
    some = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:FEW]]
    for kind in (NMF, SemiNMF):
        name = f"{kind.__name__}, all classes"
        found = timed(name, lambda kind=kind: kind(arguments.k).fit(some, module.layer))
        scores.append(dictionary_score(name, (fresh, found)))
        print(dictionary_table(scores), flush=True)
    for kind in (NMF, SemiNMF):
        scores.append(by_class(kind, arguments.of_class, (rows, classes), (fresh, of)))
        print(dictionary_table(scores), flush=True)


def caltech(classes: int, batch_size: int) -> ImageFolder:
    """Some classes of Caltech-101."""
    root = ASSETS / "caltech101"
    names = sorted(folder.name for folder in (root / "train").iterdir())
    chosen = [names[k * len(names) // classes] for k in range(classes)]
    table = Path(tempfile.mkdtemp()) / "images.csv"
    lines = ["file,label,split"]
    for split in ("train", "val"):
        for name in chosen:
            files = sorted((root / split / name).iterdir())
            lines += [f"{split}/{name}/{file.name},{name},{split}" for file in files]
    table.write_text("\n".join(lines) + "\n")
    return ImageFolder(str(root), csv=str(table), batch_size=batch_size, num_workers=0)


def by_class(
    kind: type[NMF] | type[SemiNMF], count: int, train: tuple[Tensor, Tensor], val: tuple[Tensor, Tensor]
) -> DictionaryScore:
    """A dictionary for each class, measured on the rows of this class."""
    parts = []
    begin = time.perf_counter()
    for label in train[1].unique().tolist():
        found = kind(count).fit(train[0][train[1] == label])
        parts.append((val[0][val[1] == label], found))
    print(f"{kind.__name__} by class: {time.perf_counter() - begin:.0f} s", flush=True)
    return dictionary_score(f"{kind.__name__}, one for each class", *parts)


def rows_of(model: Backbone, data: ImageFolder, layer: str, split: str) -> tuple[Tensor, Tensor]:
    """Activations ``(N, c)`` of all places of all images of a split, and the class of each."""
    dataset, split_model = data.dataset(split), model.split([layer])  # type: ignore[arg-type]
    transform = Transform(model.preprocessing)
    found, labels = [], []
    with frozen(model), torch.no_grad():
        for start in range(0, len(dataset.ids), 32):
            chosen = range(start, min(start + 32, len(dataset.ids)))
            rows = activation_rows(split_model, torch.stack([transform(dataset.image(index)) for index in chosen]))
            found.append(rows.flatten(0, 1))
            labels.append(torch.tensor([dataset.labels[index] for index in chosen]).repeat_interleave(rows.shape[1]))
    return torch.cat(found), torch.cat(labels)


def timed(name: str, work: Callable) -> object:
    """What some work gives, and how long it took."""
    begin = time.perf_counter()
    found = work()
    print(f"{name}: {time.perf_counter() - begin:.0f} s", flush=True)
    return found


if __name__ == "__main__":
    main()
