import hashlib
import json
import re
from functools import partial

import pytest
import torch
from lightning import LightningDataModule
from PIL import Image
from safetensors.torch import load_file
from torch.utils.data import DataLoader, TensorDataset

from lit_coiba.backbones import Backbone
from lit_coiba.backbones.weights import load_weights
from lit_coiba.callbacks import ExportWeights
from lit_coiba.callbacks.export_weights import Accuracy, accuracy, card, save_half
from lit_coiba.core.errors import InputError
from lit_coiba.data import ImageFolder
from lit_coiba.heads import InfoDisentHead, LinearHead
from lit_coiba.heads.description import build
from lit_coiba.trainer import Trainer
from lit_coiba.training.classifier import Classifier

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers")

KWARGS = {"channels": [8, 8, 8, 8], "stem_width": 8}


def network(size=16, **arguments):
    return Backbone("resnet10t", num_classes=3, image_size=size, timm_kwargs=KWARGS, **arguments)


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


def fit(file, named=True, data=None, head=None, cache=None):
    torch.manual_seed(0)
    model = Classifier(network(16 if head is None else 64), head, frozen=head is not None)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=2,
        callbacks=[ExportWeights(str(file), "make it")],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, datamodule=data or Noise(named), cache=cache)
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


class Folder(ImageFolder):
    """A folder, without words on Lightning's part."""

    def __init__(self, root):
        super().__init__(str(root), batch_size=2, num_workers=0)


def pictures(root, *splits):
    """Two pictures of each of three classes in each split, one more in each than in the one before."""
    shade = 0
    for more, split in enumerate(splits):
        for name in "abc":
            (root / split / name).mkdir(parents=True)
            for number in range(2 + more):
                shade += 13
                Image.new("RGB", (16, 16), (shade % 256, 255 - shade % 256, 40)).save(
                    root / split / name / f"{number}.png"
                )
    return root


def measured(file):
    """Rows of accuracy: name -> right, of."""
    rows = re.findall(r"\| accuracy, (.+?) \| [\d.]+% \((\d+) of (\d+)\) \|", file.with_suffix(".md").read_text())
    return {name: (int(right), int(samples)) for name, right, samples in rows}


def right_in(file, folder):
    """Right answers of the weights in a file on the pictures of a split, read by hand."""
    model, right = network(checkpoint=str(file)).eval(), 0
    for path in folder.rglob("*.png"):
        pixels = torch.tensor(list(Image.open(path).get_flattened_data()), dtype=torch.float32)
        image = model.normalize(pixels.T.view(1, 3, 16, 16) / 255)
        right += "abc"[model(image).argmax().item()] == path.parent.name
    return right


@pytest.mark.parametrize(
    ("splits", "name", "part", "samples"),
    [
        (("train", "val", "test"), "test", "test", 12),
        (("train", "val"), "val", "val", 9),
        (("train", "test"), "test", "test", 9),
        (("",), "train", "", 6),  # all pictures are trained on, and no other name would be true
    ],
    ids=["all three", "no test", "no validation", "no splits"],
)
def test_accuracy_is_named_by_the_split_it_is_measured_on(tmp_path, splits, name, part, samples):
    root = pictures(tmp_path / "photos", *splits)
    file = tmp_path / "a.safetensors"
    fit(file, data=Folder(root))
    assert measured(file) == {name: (right_in(file, root / part), samples)}


def test_without_test_and_validation_the_card_tells_no_accuracy(tmp_path):
    fit(tmp_path / "a.safetensors", data=Folder(pictures(tmp_path / "photos", "train")))
    text = (tmp_path / "a.md").read_text()
    assert "accuracy," not in text
    assert text.startswith("# a\n\nNo accuracy was measured.\n")
    assert "| made by | `make it` |" in text


def test_validation_loaders_by_name_keep_their_names(tmp_path):
    class Named(Noise):
        """No test loader, which Lightning tells by another error, and two of validation."""

        test_dataloader = LightningDataModule.test_dataloader

        def val_dataloader(self):
            return {"one": self.loader(torch.arange(10) % 3), "two": self.loader(torch.arange(10) % 2)}

    fit(tmp_path / "a.safetensors", data=Named(False))
    assert {name: of for name, (_, of) in measured(tmp_path / "a.safetensors").items()} == {
        "val, one": 10,
        "val, two": 10,
    }


def test_after_a_fit_on_kept_features_images_are_measured_and_the_head_is_told(tmp_path):
    root = pictures(tmp_path / "photos", "train", "val")
    file = tmp_path / "a.safetensors"
    model = fit(file, data=Folder(root), head=partial(InfoDisentHead, pooling="hard"), cache=str(tmp_path / "cache"))
    assert measured(file)["val"][1] == 9
    told = re.search(r"\| head \| `(.*)` \|", file.with_suffix(".md").read_text())[1]
    again = network(64)
    again.attach(build(json.loads(told)))
    load_weights(again.model, str(file))
    images = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(again.eval()(images), model.network.eval()(images), rtol=1e-2, atol=1e-2)
    assert isinstance(again.head, InfoDisentHead)


def test_a_network_without_a_head_has_no_row_of_it(tmp_path):
    plain, headed = network(64), network(64)
    headed.attach(LinearHead(headed.feature_channels, 3))
    for number, model in enumerate((plain, headed)):
        file = tmp_path / f"{number}.safetensors"
        save_half(model.model, file)
        assert ("| head |" in card(file, model, "", "", "", {})) == (number == 1)


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
