"""Classes are compared by name (`reliability.md`, section 3): trained on cat and dog, and validated on ant and cat."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from benchmarks.staleness import World, trainer
from lit_coiba.attribution import Saliency
from lit_coiba.callbacks import ExportWeights
from lit_coiba.core.errors import InputError
from lit_coiba.data import ImageFolder
from lit_coiba.data.class_order import class_order
from lit_coiba.modules.explainer import Explainer
from lit_coiba.training.classifier import Classifier

pytestmark = pytest.mark.filterwarnings("ignore:.*smaller than the logging interval")


def folder(path, *names):
    for number, name in enumerate(names):
        (path / name).mkdir(parents=True)
        for k in range(2):
            shade = 60 * number + k
            Image.new("RGB", (32, 32), (shade, 255 - shade, 80)).save(path / name / f"{k}.png")
    return ImageFolder(str(path), batch_size=2, num_workers=0)


def model():
    return World(None, None, None).model()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A checkpoint of a classifier of ant, cat and dog; what it is validated on comes in another order."""
    path = tmp_path_factory.mktemp("fit")
    classifier = Classifier(model().train(), lr=0.01)
    fitting = trainer(max_epochs=1, limit_val_batches=0, callbacks=[ExportWeights(str(path / "w.safetensors"), "fit")])
    fitting.fit(classifier, datamodule=folder(path / "data", "cat", "dog", "eel"))
    fitting.save_checkpoint(path / "w.ckpt")
    return path


def accuracy(trained, data):
    classifier = Classifier.load_from_checkpoint(trained / "w.ckpt")
    return trainer().validate(classifier, data, verbose=False)[0]["val/loss"]


def test_names_go_into_the_checkpoint_and_exported_weights(trained):
    names = ["cat", "dog", "eel"]
    assert torch.load(trained / "w.ckpt", weights_only=True)["hyper_parameters"]["class_names"] == names
    assert Classifier.load_from_checkpoint(trained / "w.ckpt").class_names == names
    assert '"class_names": ["cat", "dog", "eel"]' in (trained / "w.safetensors").read_bytes()[:4000].decode(
        "latin-1"
    ).replace("\\", "")


def test_some_of_the_classes_are_found_by_name(trained, tmp_path):
    some = folder(tmp_path / "some", "dog", "eel")
    images, labels = next(iter(_batches(some)))
    classifier = Classifier.load_from_checkpoint(trained / "w.ckpt").eval()
    with torch.no_grad():
        expected = torch.nn.functional.cross_entropy(classifier(images), labels + 1)
    assert accuracy(trained, some) == pytest.approx(float(expected), rel=1e-5)


def _batches(data):
    data.preprocessing = model().preprocessing
    dataset = data.examples("val")
    yield dataset.__getitems__(list(range(len(dataset))))
    data.preprocessing = None


@pytest.mark.parametrize("names", [("ant", "cat"), ("ant", "cat", "dog"), ("bee", "cat", "dog", "eel")])
def test_a_class_that_the_model_does_not_have_is_refused(trained, tmp_path, names):
    with pytest.raises(
        InputError, match=rf"the data have classes \({names[0]}\) that are none of the model's \(cat, dog"
    ):
        accuracy(trained, folder(tmp_path / "other", *names))


def test_other_names_for_as_many_classes_go_by_their_order(trained, tmp_path):
    assert accuracy(trained, folder(tmp_path / "wordnet", "n01", "n02", "n03")) > 0


def test_a_label_without_a_name_that_is_too_large_is_refused(trained, tmp_path):
    data = folder(tmp_path / "all", "x", "y")
    (tmp_path / "t.csv").write_text("file,label\nx/0.png,0\nx/1.png,1\ny/0.png,7\ny/1.png,2\n")
    data = ImageFolder(str(tmp_path / "all"), str(tmp_path / "t.csv"), batch_size=2, num_workers=0)
    with pytest.raises(InputError, match=r"sample y/0\.png has label 7, but the model has 3 classes, 0 to 2"):
        accuracy(trained, data)


def test_a_fit_with_names_of_its_own_finds_the_labels_by_them(tmp_path):
    data = folder(tmp_path / "d", "cat", "dog", "eel")
    classifier = Classifier(model().train(), class_names=["eel", "dog", "cat"])
    trainer(max_epochs=1, limit_val_batches=0).fit(classifier, datamodule=data)
    assert classifier.in_own_order(torch.tensor([0, 1, 2])).tolist() == [2, 1, 0]
    soft = torch.tensor([[0.5, 0.5, 0.0]])
    assert classifier.in_own_order(soft).tolist() == [[0.0, 0.5, 0.5]]
    with pytest.raises(InputError, match="class_names has 2 names, but the model has 3 classes"):
        Classifier(model(), class_names=["cat", "dog"])


class TestExplain:
    def named(self):
        backbone = model()
        backbone.class_names = ["cat", "dog", "eel"]
        return backbone

    def explain(self, data, store, targets="predicted"):
        explainer = Explainer(self.named(), Saliency(), targets)
        return trainer().explain(explainer, data, str(store), pictures=False)

    def test_labels_are_those_of_the_model(self, tmp_path):
        store = self.explain(folder(tmp_path / "d", "dog", "eel"), tmp_path / "s", "label")
        assert {row.id[:3]: (row.label, row.target) for row in store} == {"dog": (1, 1), "eel": (2, 2)}

    def test_a_class_that_it_does_not_have_is_told_or_refused(self, tmp_path):
        data = folder(tmp_path / "d", "ant", "cat")
        with pytest.warns(UserWarning, match=r"classes \(ant\) that are none of the model's .* without a label"):
            store = self.explain(data, tmp_path / "s")
        assert {row.id[:3]: row.label for row in store} == {"ant": -1, "cat": 0}
        with pytest.raises(InputError, match=r"targets is label, but the data have classes \(ant\)"):
            self.explain(data, tmp_path / "t", "label")


def test_two_classes_of_one_name_are_compared_by_number():
    assert class_order(["crane", "crane"], ["crane", "crane"]) is None
