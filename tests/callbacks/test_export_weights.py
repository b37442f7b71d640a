import hashlib
import re

import pytest
import torch
from lightning import LightningDataModule, Trainer
from safetensors.torch import load_file
from torch.utils.data import DataLoader, TensorDataset

from lit_coiba.backbones import Backbone
from lit_coiba.callbacks import ExportWeights
from lit_coiba.callbacks.export_weights import Accuracy, accuracy, card, save_half
from lit_coiba.contracts import InputError
from lit_coiba.modules.classifier import Classifier

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers")

KWARGS = {"channels": [8, 8, 8, 8], "stem_width": 8}


def network(**arguments):
    return Backbone("resnet10t", num_classes=3, image_size=16, timm_kwargs=KWARGS, **arguments)


class Noise(LightningDataModule):
    """Images of noise; the classes of half of them are what a network says."""

    def __init__(self, named):
        super().__init__()
        self.named = named
        self.images = torch.randn(10, 3, 16, 16, generator=torch.Generator().manual_seed(0))

    def loader(self, targets):
        return DataLoader(TensorDataset(self.images, targets), batch_size=4)

    def train_dataloader(self):
        return self.loader(torch.arange(10) % 3)

    val_dataloader = train_dataloader

    def test_dataloader(self):
        labels, soft = torch.arange(10) % 3, torch.tensor([0.5, 0.5, 0.0]).expand(10, 3)
        return {"hard": self.loader(labels), "soft": self.loader(soft)} if self.named else self.loader(labels)


def fit(file, named=True):
    torch.manual_seed(0)
    model = Classifier(network())
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=2,
        callbacks=[ExportWeights(str(file), "make it")],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, datamodule=Noise(named))
    return model


def test_a_fit_leaves_half_precision_weights_and_their_card(tmp_path):
    file = tmp_path / "new" / "small.safetensors"
    model = fit(file)
    weights = load_file(file)
    own = model.network.model.state_dict()
    assert weights.keys() == own.keys()
    assert {str(t.dtype) for t in weights.values()} == {"torch.float16", "torch.int64"}
    for name, tensor in weights.items():
        torch.testing.assert_close(tensor.double(), own[name].double(), rtol=2**-11, atol=2**-25)
    assert all(t.dtype == torch.float32 for t in own.values() if t.is_floating_point())

    images = Noise(True).images
    answers = network(checkpoint=str(file)).eval()(images).argmax(1)
    right, fitting = int((answers == torch.arange(10) % 3).sum()), int((answers < 2).sum())
    text = file.with_suffix(".md").read_text()
    assert text.startswith("# small\n")
    assert f"| accuracy, hard | {10 * right}.0% ({right} of 10) |" in text
    assert f"| accuracy, soft | {10 * fitting}.0% ({fitting} of 10) |" in text
    assert f"| SHA-256 | `{hashlib.sha256(file.read_bytes()).hexdigest()}` |" in text
    assert "| made by | `make it` |" in text
    assert "| trained | 2 epochs, 6 steps, precision 32-true |" in text


def test_a_single_loader_has_no_name(tmp_path):
    fit(tmp_path / "a.safetensors", named=False)
    assert re.search(r"\| accuracy, test \| \d+\.0% \(\d+ of 10\) \|", (tmp_path / "a.md").read_text())


def test_the_card_rebuilds_the_network(tmp_path):
    original = network(mean=(0.1, 0.2, 0.3))
    digest = save_half(original.model, tmp_path / "a.safetensors")
    text = card(tmp_path / "a.safetensors", original, digest, "make it", "", {})
    arguments = eval(re.search(r"\| network \| `(.*)` \|", text)[1])
    again = Backbone(**arguments, checkpoint=str(tmp_path / "a.safetensors"))
    assert again.preprocessing == original.preprocessing
    images = Noise(True).images
    torch.testing.assert_close(again.eval()(images), original.eval()(images), rtol=1e-2, atol=1e-2)
    assert f"| parameters | {sum(p.numel() for p in original.parameters()):,} |" in text


def test_accuracy_counts_every_sample_once():
    class Third(torch.nn.Linear):
        def forward(self, images):
            return images[:, :3, 0, 0]

    images = torch.zeros(5, 3, 2, 2)
    images[torch.arange(5), torch.tensor([0, 1, 2, 0, 1])] = 1
    labels = torch.tensor([0, 1, 2, 2, 2])
    batches = [(images[:4], labels[:4]), (images[4:], labels[4:])]
    found = accuracy(Third(1, 1), batches)
    assert found == Accuracy(right=3, samples=5)
    assert str(found) == "60.0% (3 of 5)"


def test_another_format_is_refused():
    with pytest.raises(InputError, match=r"file is weights\.pth"):
        ExportWeights("weights.pth")
