"""What a classifier predicts for each image of a dataset, as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import torch
import torch.distributed
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from lit_coiba.core.batch import Batch, Failure
from lit_coiba.core.errors import InputError, check_count
from lit_coiba.core.printable import a_kind, csv_cell
from lit_coiba.files.atomic import atomically
from lit_coiba.files.regular import open_regular
from lit_coiba.lipschitz.certificate import Certificate
from lit_coiba.lipschitz.certifying import RADIUS, certificate_of, precise_logits
from lit_coiba.lipschitz.decisions import CertifiedDecisions, certified_decisions

_MARK = b"lit_coiba.predictions"  # metadata of our Parquet files
_SUFFIXES = (".csv", ".parquet")


class Prediction(NamedTuple):
    """The most probable classes of one image, the likeliest first."""

    id: str
    label: int | None
    classes: tuple[int, ...]
    probabilities: tuple[float, ...]
    radius: float | None = None  # certified, of the first class, in L2 of pixels in [0, 1]; None = no certificate


class PredictionTable(Callback):
    """Collects the most probable classes of each image during `predict`; at the end it has a row per image.

    Of a 1-Lipschitz model whose layers' constants are known each row has the certified radius of the decision too: no
    change of the pixels of a smaller L2 norm, pixels from 0 to 1, makes the model predict another class.

    Args:
        top: Number of classes of each image.
        output: File to write the table to, ``.csv`` or ``.parquet``; None = no file.

    Attributes:
        rows: The predictions, sorted by id; there on every process when the run has ended.
        failures: Images that could not be read.
        names: Class names; empty where they are not known.

    Raises:
        InputError: The file is of another format, or is one that this has not written.
    """

    def __init__(self, top: int = 5, output: str | None = None) -> None:
        check_count(top=top)
        self.top = top
        self.output = None if output is None else Path(output).expanduser()
        self.rows: list[Prediction] = []
        self.failures: list[Failure] = []
        self.names: Sequence[str] = ()
        self.certificate: Certificate | None = None
        self._comparable = True  # whether labels are classes of the model
        if self.output is not None:
            _check_file(self.output)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Learn the class names, the model's own or those of the data where there are as many, and the certificate."""
        network: Any = getattr(pl_module, "network", None)
        images: Any = getattr(getattr(trainer, "datamodule", None), "explained", None)
        listed: Sequence[str] = getattr(images, "classes", ())
        of_model: Sequence[str] | None = getattr(network, "class_names", None)
        count = getattr(network, "num_classes", None)
        self.names = of_model or (listed if len(listed) == count else ())
        self._comparable = len(listed) in (0, count)
        self.certificate = None if network is None else certificate_of(network)

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the predictions of one block."""
        if not isinstance(batch, Batch):
            raise InputError(f"the data give {a_kind(batch)} for a batch: use a data module of lit-coiba")
        self.failures += batch.failures
        if not len(batch.ids):
            return
        found = _probabilities(outputs).topk(min(self.top, outputs.shape[1]), 1)
        radii = self._radii(pl_module, batch.images, found.indices[:, 0])
        rows = zip(batch.ids, batch.labels.tolist(), found.indices.tolist(), found.values.tolist(), radii)
        self.rows += [Prediction(i, label if label >= 0 else None, tuple(c), tuple(p), r) for i, label, c, p, r in rows]

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Bring the rows of all processes together, and write them."""
        if trainer.world_size > 1:
            parts: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(parts, (self.rows, self.failures))
            self.rows = [row for rows, _ in parts for row in rows]
            self.failures = [failure for _, failures in parts for failure in failures]
        self.rows = list({row.id: row for row in sorted(self.rows, key=lambda row: row.id)}.values())
        self.failures = list({failure.id: failure for failure in self.failures}.values())
        if self.output is not None and trainer.is_global_zero:
            self.write(self.output)

    def certified(self) -> CertifiedDecisions | None:
        """What is certified of the decisions; None without a certificate."""
        known = [(row, row.radius) for row in self.rows if row.radius is not None]
        right = [None if row.label is None else row.label == row.classes[0] for row, _ in known]
        return certified_decisions([r for _, r in known], right if self._comparable else [None] * len(known))

    def columns(self) -> list[str]:
        """The head of the table."""
        count = max((len(row.classes) for row in self.rows), default=self.top)
        numbers = range(1, count + 1)
        columns = ["id", "label", *(f"{what}_{k}" for k in numbers for what in ("class", "name", "probability"))]
        return columns if self.certificate is None else [*columns, RADIUS]

    def values(self, row: Prediction) -> list[Any]:
        """A line of the table."""
        found = [(c, self.name(c), p) for c, p in zip(row.classes, row.probabilities)]
        values = [row.id, row.label, *(value for entry in found for value in entry)]
        return values if self.certificate is None else [*values, row.radius]

    def name(self, number: int) -> str:
        """Name of a class; empty where it is not known."""
        return self.names[number] if number < len(self.names) else ""

    def write(self, file: Path) -> None:
        """Write the table to a file, whole or not at all.

        Raises:
            InputError: It cannot be written.
        """
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with atomically(file) as out:
                if file.suffix == ".csv":
                    out.write(self._csv())
                else:
                    pq.write_table(self._arrow(), out)
        except OSError as error:
            raise InputError(
                f"output {file} cannot be written ({error.strerror or error}): choose another file"
            ) from error

    def _radii(self, module: LightningModule, images: Tensor, predicted: Tensor) -> list[float | None]:
        """The certified radius of each decision; 0 where the model in full precision decides otherwise."""
        if self.certificate is None:
            return [None] * len(images)
        network: Any = module.network
        logits = precise_logits(network, images)
        radii = self.certificate.radius(logits)
        return torch.where(logits.argmax(1) == predicted, radii, torch.zeros_like(radii)).tolist()

    def _csv(self) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(self.columns())
        for row in self.rows:
            writer.writerow([csv_cell(value) if isinstance(value, str) else value for value in self.values(row)])
        return text.getvalue().encode()

    def _arrow(self) -> pa.Table:
        columns = self.columns()
        lines = [self.values(row) for row in self.rows]
        kinds = {"id": pa.string(), "name": pa.string(), "probability": pa.float32(), RADIUS: pa.float32()}
        fields = [pa.field(name, kinds.get(name.partition("_")[0], pa.int32())) for name in columns]
        arrays = [pa.array([_text(line[k]) for line in lines], field.type) for k, field in enumerate(fields)]
        return pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata={_MARK: b"1"}))


def _probabilities(outputs: Any) -> Tensor:
    """What `Classifier.predict_step` returns, ``(B, K)``.

    Raises:
        InputError: The module returns something else.
    """
    if not isinstance(outputs, Tensor) or outputs.dim() != 2:
        raise InputError(f"predict_step returns {a_kind(outputs)}: return probabilities (B, K)")
    return outputs


def _text(value: Any) -> Any:
    """Text that UTF-8 can hold: names of files may have bytes that are no text."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _check_file(file: Path) -> None:
    """Refuse a file that was not written by this.

    Raises:
        InputError: It was not, or its ending is of no format that can be written.
    """
    if file.suffix not in _SUFFIXES:
        raise InputError(f"output {file} has no known format: give a file that ends in .csv or .parquet")
    if not file.exists() and not file.is_symlink():
        return
    try:
        with open_regular(file) as stream:
            if file.suffix == ".csv":
                ours = stream.read(64).startswith(b"id,label,class_1,name_1,probability_1")
            else:
                ours = _MARK in (pq.read_schema(stream).metadata or {})
    except (OSError, pa.ArrowException):
        ours = False
    if not ours:
        raise InputError(f"output {file} exists and was not written by lit-coiba predict: choose another file")
