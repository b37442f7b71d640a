"""Trainings of a classifier that know nothing of this package, in a second."""

import lightning
import torch
from lightning import LightningModule
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from lit_coiba.functional import noise

IMAGES, CLASSES, SIZE = 24, 3, 16


class Plain(LightningModule):
    """A training that knows nothing of this package: batch norm, dropout, and momentum in its optimizer."""

    def __init__(self, outputs=CLASSES, lr=0.1):
        super().__init__()
        self.lr = lr
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2))
        self.body = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.last = nn.Linear(8, outputs)

    def forward(self, images):
        return self.last(self.body(self.stem(images)).mean((-2, -1)))

    def training_step(self, batch, batch_idx):
        return cross_entropy(self(batch[0]), batch[1])

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", cross_entropy(self(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), self.lr, momentum=0.9)


class Grid(Plain):
    """Returns a grid of features, no logits."""

    def forward(self, images):
        return self.body(self.stem(images))

    def training_step(self, batch, batch_idx):
        return self(batch[0]).square().mean()

    validation_step = None


def pictures(count=IMAGES):
    return noise(0, 0, 0, (count, 3, SIZE, SIZE)), torch.arange(count) % CLASSES


def loader(count=IMAGES, shuffle=False):
    return DataLoader(TensorDataset(*pictures(count)), 4, shuffle=shuffle)


def fit(module, *callbacks, epochs=3, val=True, logger=False, checkpoint=None, **arguments):
    lightning.seed_everything(1)
    trainer = lightning.Trainer(
        max_epochs=epochs, accelerator="cpu", callbacks=list(callbacks), logger=logger, enable_checkpointing=False,
        log_every_n_steps=1,
        enable_progress_bar=False, enable_model_summary=False, **arguments,
    )  # fmt: skip
    trainer.fit(module, loader(shuffle=True), loader(8) if val else None, ckpt_path=checkpoint)
    return trainer


def made(build, *arguments, **named):
    torch.manual_seed(0)
    return build(*arguments, **named)
