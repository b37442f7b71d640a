"""Maps whose cells are not equal parts of the image are drawn, scored and stored where their cells lie."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from lit_coiba.attribution import HSIC, LIME, RISE, GradCAM, HeadAttribution, KernelSHAP, Occlusion, ScoreCAM, Sobol
from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import AttributionMethod
from lit_coiba.functional import Places, resize_map
from lit_coiba.metrics import EnergyPointing, Insertion, RelevanceRank
from lit_coiba.store.records import BlockRecord, Columns, from_table, to_table
from tests._testers import tiny


class Square(nn.Module):
    """Two classes: the mean of one square of the image, and minus that."""

    num_classes = 2

    def __init__(self, square: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.square = square

    def forward(self, images: Tensor) -> Tensor:
        top, bottom, left, right = self.square
        mean = images[:, :, top:bottom, left:right].mean((1, 2, 3))
        return torch.stack([mean, -mean], 1)


def reading(size: tuple[int, int], at: tuple[float, float]) -> tuple[Backbone, Tensor, Tensor]:
    """A model that reads 4 x 4 pixels around a point, a white image, and where these pixels are."""
    top, left = round(at[0]) - 2, round(at[1]) - 2
    region = torch.zeros(1, *size, dtype=torch.bool)
    region[:, top : top + 4, left : left + 4] = True
    return Backbone.wrap(Square((top, top + 4, left, left + 4)), image_size=size), torch.ones(1, 3, *size), region


def equal(cell: int) -> Callable[[int, int], float]:
    """Center of one of eight cells of an axis, of which the image has that many pixels."""
    return lambda pixels, _: (cell + 0.5) * pixels / 8


def window(side: int | None, stride: int | None = None, last: bool = True) -> Callable[[int, int], float]:
    """Center of the last whole window of an axis, or of the second one; `shorter` is the image's shorter side."""

    def center(pixels: int, shorter: int) -> float:
        wide = side or round(shorter / 8)
        step = stride or wide
        return ((pixels - wide) // step if last else 1) * step + wide / 2

    return center


CELLS = [  # a method, the center of a cell of its map, and by how many pixels the peak may miss that
    *[(Occlusion(), window(None, last=last), 2) for last in (True, False)],
    *[(Occlusion(window=24), window(24, last=last), 2) for last in (True, False)],
    *[(Occlusion(window=20, stride=15), window(20, 15, last), 8) for last in (True, False)],
    *[(LIME(n_samples=400), equal(cell), 2) for cell in (1, 6, 7)],
    *[(KernelSHAP(n_samples=300), equal(cell), 2) for cell in (1, 6)],
    *[(Sobol(n_samples=8), equal(cell), 2) for cell in (1, 6)],
    *[(HSIC(n_samples=500), equal(cell), 2) for cell in (1, 6)],
    *[(RISE(n_samples=1500), equal(cell), 12) for cell in (1, 6)],
]


@pytest.mark.parametrize("size", [(299, 299), (224, 160), (300, 400), (98, 154), (75, 61), (64, 64)], ids=str)
@pytest.mark.parametrize(("method", "place", "tolerance"), CELLS)
def test_a_map_peaks_at_the_square_that_the_model_reads(method, place, tolerance, size):
    """Occlusion at 299 pixels drew the window of 259 to 295 at 232 to 265: pointing 0, energy .061."""
    if isinstance(method, RISE) and max(size) > 200:
        pytest.skip("slow, and its maps are at pixel resolution whatever the size")
    at = tuple(place(pixels, min(size)) for pixels in size)
    model, image, _ = reading(size, at)
    drawn = resize_map(method.attribute(model, image, 0), size)[0]
    highest = drawn >= drawn.max() - 1e-6
    border = 0 if place(64, 64) < 58 else min(size) / 16  # beyond the outermost centers a map stays as it is
    for axis in (0, 1):
        assert abs(center(highest, axis) - at[axis] + 0.5) <= tolerance + border


def center(mask: Tensor, axis: int) -> float:
    """Mean row or column of what a mask ``(H, W)`` shows."""
    return mask.nonzero()[:, axis].double().mean().item()


@pytest.mark.parametrize("size", [(299, 299), (98, 154)], ids=str)
def test_scores_do_not_depend_on_whether_windows_divide_the_image(size):
    """Energy was .061 and the relevance rank .026 at 299 pixels; at 296 pixels the windows divide the image."""
    scores = []
    for given in (size, (size[0] // 8 * 8, size[1] // 8 * 8)):
        model, image, region = reading(given, tuple(window(None)(pixels, min(given)) for pixels in given))
        maps = Occlusion().attribute(model, image, 0)
        scores.append([metric.score(maps, region).item() for metric in (EnergyPointing(), RelevanceRank())])
    assert all(here > 0.9 * there for here, there in zip(*scores))


def test_cells_are_interpolated_between_their_own_centers():
    model, image, _ = reading((299, 299), (277, 277))
    cells = Occlusion().explain_cells(model, image, 0)
    assert cells.maps.shape == (1, 9, 9)
    assert cells.places == Places((*range(0, 297, 37), 299), (*range(0, 297, 37), 299), (299, 299))
    drawn = Occlusion().attribute(model, image, 0)
    centers = [18, 55, 92, 129, 166, 203, 240, 277]  # of pixels, (2 * 37 k + 37 - 1) / 2
    assert torch.allclose(drawn[0][centers][:, centers], cells.maps[0, :8, :8], atol=1e-6)
    halfway = drawn[0, 36:38, 18].mean()
    assert torch.allclose(halfway, cells.maps[0, :2, 0].mean(), atol=1e-6)


@pytest.mark.parametrize("size", [(224, 224), (64, 48)])
def test_equal_cells_are_what_they_were(size):
    maps = torch.rand(2, 8, 8)
    assert torch.equal(resize_map(maps, size), interpolate(maps[:, None], size, mode="bilinear")[:, 0])
    assert Places.unless_equal([k * size[0] / 8 for k in range(9)], [k * size[1] / 8 for k in range(9)], size) is None
    edges = tuple(float(k * 8) for k in range(9))
    placed = resize_map(maps.double(), (64, 64), Places(edges, edges, (64, 64)))
    assert torch.allclose(placed, interpolate(maps[:, None].double(), (64, 64), mode="bilinear")[:, 0])


def test_windows_that_divide_the_image_keep_one_value_each():
    model, image, _ = reading((224, 224), (200, 200))
    found = Occlusion().explain(model, image, 0)
    assert found.maps.shape == (1, 8, 8)
    assert found.places is None


def test_insertion_shows_the_square_that_the_model_reads_first():
    model, image, _ = reading((299, 299), (277, 277))
    maps = Occlusion().attribute(model, image, 0)
    score = Insertion(baseline="zero", output="logit", grid_size=23).score(model, image, torch.tensor([0]), maps)
    assert score.item() > 0.97  # the first steps show it


class Quarter(AttributionMethod):
    """A method of the user's, whose four cells have a place of their own."""

    def _explain(self, model, images, targets):
        places = Places((0, 4, 6), (0, 2, 8), self.size or tuple(images.shape[-2:]))
        return Explanation(torch.tensor([[[0.0, 0.0], [0.0, 1.0]]]).expand(len(images), -1, -1), {}, places)

    size = None


def test_a_users_method_says_where_its_cells_lie():
    model, image, _ = reading((6, 8), (3, 3))
    drawn = Quarter().attribute(model, image[..., :6, :8], 0)
    assert drawn.shape == (1, 6, 8)
    assert drawn[0, 5, 5].item() == pytest.approx(1, abs=0.02)
    wrong = Quarter()
    wrong.size = (12, 16)
    with pytest.raises(InputError, match="edges"):
        wrong.attribute(model, image, 0)


def record(places: Places | None) -> BlockRecord:
    one = torch.tensor([1])
    maps = torch.arange(6.0).view(1, 2, 3)
    return BlockRecord(0, ("a",), one, one, one / 2, maps, {"bits": one * 0.5}, (), places)


def test_a_store_keeps_the_cells_and_hands_out_a_map_that_is_drawn_right():
    places = Places((0, 7, 10), (0, 7, 14, 16), (10, 16))
    table = to_table(record(places))
    row = Columns(table).row(0)
    assert row.places == places
    assert torch.equal(row.cells, torch.arange(6.0).view(2, 3))
    assert torch.equal(row.map, resize_map(row.cells[None], (10, 16), places)[0])
    assert list(row.extras) == ["bits"]
    again = from_table(table, 0)
    assert again.places == places
    assert torch.equal(again.maps, record(None).maps)


def test_a_store_of_equal_cells_is_what_it_was():
    table = to_table(record(None))
    assert table.column_names == ["id", "label", "target", "probability", "height", "width", "map", "bits", "error"]
    assert Columns(table).row(0).places is None


class Strided(nn.Module):
    """Five convolutions of 3 x 3 that stride, as in a ResNet: a cell of 32 pixels is read 15.5 pixels too early."""

    num_classes = 3

    def __init__(self, padding: tuple[int, int, int, int] = (1, 1, 1, 1)) -> None:
        super().__init__()
        torch.manual_seed(0)
        steps = [(nn.ZeroPad2d(padding), nn.Conv2d(a, 8, 3, 2), nn.ReLU()) for a in (3, 8, 8, 8, 8)]
        self.body = nn.Sequential(*itertools.chain(*steps))
        self.head = nn.Linear(8, 3)
        for layer in self.body:
            if isinstance(layer, nn.Conv2d):  # boxes, whose centers are known
                nn.init.constant_(layer.weight, 0.01)
                nn.init.constant_(layer.bias, 1.0)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(images).mean((2, 3)))


@pytest.mark.parametrize(("padding", "offset"), [((1, 1, 1, 1), -15.5), ((0, 1, 0, 1), 15.5)])
def test_the_half_cell_of_a_cnn_is_measured(padding, offset):
    model = Backbone.wrap(Strided(padding), image_size=224, measured_cells=True)
    places = model.grid("body").places
    assert places is not None
    for edges in (places.rows, places.columns):
        assert [edge - 32 * k for k, edge in enumerate(edges)] == pytest.approx([offset] * 8, abs=1.5)
    plain = Backbone.wrap(Strided(padding), image_size=224)
    assert plain.grid("body").places is None  # off, where nothing is said
    assert plain.digest() != model.digest()


def test_maps_on_a_measured_grid_are_drawn_there():
    """The cell that sees a square is drawn around it."""
    network = Strided()
    image = torch.zeros(1, 3, 224, 224)
    drawn = {
        measured: GradCAM(relu=False).explain(Backbone.wrap(network, image_size=224, measured_cells=measured), image, 0)
        for measured in (False, True)
    }
    assert drawn[False].maps.shape == (1, 7, 7)
    assert drawn[True].maps.shape == (1, 224, 224)
    shifted = resize_map(drawn[False].maps, (224, 224)).roll((-16, -16), (1, 2))[:, 32:-32, 32:-32]
    assert (drawn[True].maps[:, 32:-32, 32:-32] - shifted).abs().max() < 0.1 * shifted.abs().max()


def test_patches_need_no_correction():
    for build in (tiny.vit, tiny.swin):
        model = build()
        model.measured_cells = True
        assert all(model.grid(layer).places is None for layer in model.default_layers()[-2:])


def test_heads_and_masks_use_measured_cells():
    model = tiny.with_head(tiny.resnet)
    model.measured_cells = True
    image = tiny.images(1, (64, 64))
    assert HeadAttribution().explain(model, image).maps.shape == (1, 64, 64)
    assert ScoreCAM(channels=4).explain(model, image).maps.shape == (1, 64, 64)
