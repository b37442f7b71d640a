"""A class that is told by a watermark too: its concept is found, and so are the images that it decides.

Three shapes of two colors; a class is a shape, and a fifth of the images of one carry a small green mark in a corner,
which the classifier reads as well.
"""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from lit_coiba.backbones import Backbone
from lit_coiba.concepts import NMF
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.module import BlockDataModule
from lit_coiba.modules.concept_search import ConceptSearch
from tests._testers.runs import make_trainer

SIZE, CELL, COUNT = 48, 4, 90
SHAPES = ("square", "cross", "bar")
SPURIOUS = 0  # the class that has watermarks


def drawn(index):
    """A picture, its class, and whether it carries the mark."""
    random = np.random.default_rng(index)
    shape, blue = index % 3, index % 2
    pixels = random.integers(0, 12, (SIZE, SIZE, 3), dtype=np.uint8)
    top, left = CELL * random.integers(2, 5, 2)
    mask = np.zeros((SIZE, SIZE), bool)
    if shape == 0:
        mask[top : top + 16, left : left + 16] = True
    elif shape == 1:
        mask[top : top + 20, left + 8 : left + 12] = mask[top + 8 : top + 12, left : left + 20] = True
    else:
        mask[top : top + 4, left : left + 24] = True
    pixels[mask] = (20, 20, 220) if blue else (220, 20, 20)
    marked = shape == SPURIOUS and (index // 3) % 5 == 0
    if marked:
        pixels[-8:, -8:] = (10, 230, 10)
    return Image.fromarray(pixels), shape, marked


class Shapes(ImageDataset):
    def __init__(self):
        self.ids = [f"{index:03d}" for index in range(COUNT)]
        self.labels = [drawn(index)[1] for index in range(COUNT)]
        self.classes = list(SHAPES)

    def image(self, index):
        return drawn(index)[0]


class ShapeData(BlockDataModule):
    def dataset(self, split):
        return Shapes()


def classifier():
    """Channels for red, blue and green cells; how much of the picture is colored tells the shapes, green the first."""
    convolution, linear = nn.Conv2d(3, 3, CELL, stride=CELL), nn.Linear(3, 3)
    with torch.no_grad():
        colors = torch.tensor([[1.0, -1.0, -1.0], [-1.0, -1.0, 1.0], [-1.0, 1.0, -1.0]])
        convolution.weight.copy_(colors[:, :, None, None].expand(3, 3, CELL, CELL) / CELL**2)
        convolution.bias.fill_(-0.05)
        linear.weight.copy_(torch.tensor([[400.0, 400.0, 2000.0], [150.0, 150.0, 0.0], [50.0, 50.0, 0.0]]))
        linear.bias.copy_(torch.tensor([-13.5, 0.0, 4.0]))
    module = nn.Sequential(convolution, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear)
    return Backbone.wrap(module, Preprocessing((SIZE, SIZE), 1.0, "bilinear", (0.0,) * 3, (1.0,) * 3)).eval()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    search = ConceptSearch(classifier(), factorization=NMF(3), layer="1")
    folder = tmp_path_factory.mktemp("watermark") / "run"
    return make_trainer().concepts(search, ShapeData(16, num_workers=0), str(folder))


def test_the_mark_is_a_concept_of_the_class_that_has_it_and_matters(run):
    table = run.predictions()
    own = [drawn(index)[1:] for index in range(COUNT)]
    given = table["predicted"].to_pylist()
    assert all(given[index] == SPURIOUS for index, (shape, _) in enumerate(own) if shape == SPURIOUS)
    dictionary = run.concepts(SPURIOUS).dictionary
    green = int(dictionary[:, 2].argmax())
    assert dictionary[green].argmax() == 2
    report = run.report(SPURIOUS)
    assert report.exact == 1
    assert report.concepts[green].deletion.high < 0
    assert abs(report.residual) < 0.05 * abs(report.logit)
    total = report.bias + report.residual + sum(one.contribution.mean for one in report.concepts)
    assert total == pytest.approx(report.logit, abs=1e-3)


def test_images_that_the_mark_decides_lie_together(run):
    points = run.points(SPURIOUS).to_pylist()
    green = int(run.concepts(SPURIOUS).dictionary[:, 2].argmax())
    marked = np.array([drawn(int(point["id"]))[2] for point in points])
    top = np.array([point["top"] == green for point in points])
    assert marked.any()
    assert marked[top].mean() > 0.9  # purity of the cluster
    assert top[marked].mean() > 0.9
    places = np.array([(point["x"], point["y"]) for point in points])
    distances = np.linalg.norm(places[:, None] - places[None], axis=-1) + 9 * np.eye(len(points))
    assert marked[distances.argmin(1)][marked].mean() > 0.9  # whose neighbor in the plane carries it too
