from io import BytesIO
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image, features
from scipy.interpolate import griddata

from lit_coiba.core.errors import InputError
from lit_coiba.core.targets import Class
from lit_coiba.functional import area_under_points, heights_at, information_curve, keyed_noise, resize_map
from lit_coiba.metrics import PIC
from lit_coiba.metrics.shared import Shared
from tests._testers.counting import Counting
from tests._testers.metrics import CLASSES, SIZE, FaithfulnessTester, network, uniform
from tests._testers.perturbation import probability

FEW = {"thresholds": (5.0, 20.0, 60.0), "start": 4.0, "least": 0.0, "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}
MEAN, STD = (torch.tensor(FEW[name], dtype=torch.float64).view(3, 1, 1) for name in ("mean", "std"))


def normalised(pixels):
    return (torch.as_tensor(pixels).double() / 255 - MEAN) / STD


def eight_bits(images):
    return ((images * STD + MEAN) * 255).round()


def slow_image(picture, known):
    """Interpolated channel by channel by scipy's griddata, ``(3, H, W)``."""
    rows, columns = np.nonzero(known)
    grid = np.mgrid[0 : known.shape[0], 0 : known.shape[1]]
    filled = np.stack([griddata((rows, columns), one[known], tuple(grid)) for one in picture])
    return np.where(known, picture, np.rint(filled))


def slow_bytes(picture):
    buffer = BytesIO()
    Image.fromarray(picture.transpose(1, 2, 0).astype(np.uint8)).save(buffer, "WEBP", lossless=True)
    return len(buffer.getvalue())


def start_of(size, share):
    """Known pixels of the start, for a metric that is given no ids."""
    drawn = keyed_noise(0, [""], "start", size)[0].flatten().tolist()
    first = sorted(range(len(drawn)), key=lambda place: -drawn[place])[: round(share / 100 * len(drawn))]
    known = np.zeros(size, bool)
    known.ravel()[first] = True
    known[[0, 0, -1, -1], [0, -1, 0, -1]] = True
    return known


def slow_pic(model, images, targets, maps, thresholds=FEW["thresholds"], accurate=False):
    model.eval()
    size = tuple(images.shape[-2:])
    map, picture, target = resize_map(maps, size)[0].flatten().tolist(), eight_bits(images[0]).numpy(), int(targets)
    order = sorted(range(len(map)), key=lambda place: -map[place])

    def performance(shown):
        image = normalised(shown)
        if accurate:
            return float(model(image[None]).argmax() == target)
        return probability(model, image, target)

    measured = []
    for share in (0, *thresholds):
        known = start_of(size, FEW["start"])
        known.ravel()[order[: round(share / 100 * len(order))]] = True
        shown = slow_image(picture, known)
        measured.append((slow_bytes(shown), performance(shown)))
    measured.append((slow_bytes(picture), performance(picture)))
    (low, worst), (high, best) = measured[0], measured[-1]
    if high <= low or best <= worst:
        return float("nan")
    points = [(0.0, 0.0), (1.0, 1.0)]
    points += [
        (min(1, max(0, (e - low) / (high - low))), min(1, max(0, (p - worst) / (best - worst))))
        for e, p in measured[1:-1]
    ]
    points.sort(key=lambda point: (point[0], -point[1]))
    u, q = np.array(points).T
    q = np.maximum.accumulate(q)
    return float(((u[1:] - u[:-1]) * (q[1:] + q[:-1]) / 2).sum())


class TestPIC(FaithfulnessTester):
    metric = PIC
    arguments: ClassVar = {**FEW, "summary": "mean"}
    oracle = staticmethod(slow_pic)

    def inputs(self, count):
        """8-bit images, and the class that gains most from the start to the image, so that there is a score."""
        model = network()
        images = normalised((uniform(count, 3, *SIZE) * 255).round())
        with torch.no_grad():
            evaluated = network().eval()
            starts = [slow_image(eight_bits(image).numpy(), start_of(SIZE, FEW["start"])) for image in images]
            gains = evaluated(images).softmax(1) - evaluated(torch.stack(list(map(normalised, starts)))).softmax(1)
        return [model, images, gains.argmax(1), uniform(count, 3, 4, seed=1)]

    def test_no_targets_are_the_predicted_classes(self):
        model, images, _, maps = self.inputs(4)
        with torch.no_grad():
            predicted = model.eval()(images).argmax(1)
        found = self.build().score(model, images, None, maps)
        torch.testing.assert_close(found, self.build().score(model, images, predicted, maps), equal_nan=True)


def test_aic_is_whether_the_class_is_predicted():
    model, images, _, maps = TestPIC().inputs(12)
    model.eval()
    targets = model(images).argmax(1)
    found = PIC(kind="aic", **FEW).score(model, images, targets, maps)
    parts = [slow_pic(model, images[i : i + 1], targets[i], maps[i : i + 1], accurate=True) for i in range(12)]
    assert found.tolist() == pytest.approx(parts, nan_ok=True)
    assert 0 < found.isnan().sum() < 12  # where the start is recognized already


def test_p2_curves_never_fall():
    u, q = information_curve(torch.tensor([[0.2, 0.3]]), torch.tensor([[0.5, 0.1]]))
    assert q.diff().min() >= 0
    assert area_under_points(u, q).item() == pytest.approx(0.625)
    u, q = information_curve(torch.tensor([[0.5, 0.5, 0.0, 1.0]]), torch.tensor([[0.2, 0.6, 0.1, 0.4]]))
    assert u.tolist() == [[0, 0, 0.5, 0.5, 1, 1]]  # of equal information the best performance
    assert q[0].tolist() == pytest.approx([0.1, 0.1, 0.6, 0.6, 1, 1])
    heights = heights_at(u, q, torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]))
    assert heights[0].tolist() == pytest.approx([0.1, 0.35, 0.6, 0.8, 1])


@pytest.mark.parametrize("map", ["sparse", "constant"])
def test_p3_exactly_as_many_pixels_as_asked_are_shown(map):
    maps = torch.zeros(1, 20, 30)
    if map == "sparse":
        maps[0, 3, 4:22] = uniform(18).float() + 0.1  # 3 percent of the pixels
    metric = PIC()
    known = metric._known(maps, (20, 30), ("a",))[0]
    start = known[0]
    assert start.sum().item() in range(6, 11)  # one percent, and the corners
    assert start[[0, 0, -1, -1], [0, -1, 0, -1]].all()
    for share, shown in zip(metric.thresholds, known[1:]):
        count = round(share / 100 * 600)
        assert count <= shown.sum() <= count + start.sum()
        assert (shown & ~start).sum() <= count
        assert shown[start].all()


class Square(torch.nn.Module):
    """Two classes; the second is the contrast of one textured square."""

    def forward(self, images):
        part = images[:, :, 8:16, 8:16]
        score = 9 * (part[..., ::2].mean((1, 2, 3)) - part[..., 1::2].mean((1, 2, 3))) - 4
        return torch.stack([-score, score], 1)


def test_p1_the_oracle_beats_random_maps():
    count, size = 8, (24, 24)
    pictures = (uniform(count, 3, *size) * 60 + 90).round()
    pictures[:, :, 8:16, 8:16:2], pictures[:, :, 8:16, 9:16:2] = 230, 20
    images = normalised(pictures)
    oracle = torch.zeros(count, *size)
    oracle[:, 8:16, 8:16] = 1
    settings = {"mean": FEW["mean"], "std": FEW["std"]}
    difference = PIC(**settings).score(Square(), images, 1, oracle) - PIC(**settings).score(
        Square(), images, 1, uniform(count, *size, seed=3)
    )
    assert difference.isfinite().all()
    assert difference.mean() > 3 * difference.std() / count**0.5


def test_the_median_of_curves_and_its_area():
    model, images, targets, maps = TestPIC().inputs(5)
    metric = PIC(**FEW)
    metric.update(model, images[:2], targets[:2], maps[:2])
    other = PIC(**FEW)
    other.update(model, images[2:], targets[2:], maps[2:])
    metric.merge_state(other)
    u, q = metric.points(model, images, targets, maps)
    places = torch.linspace(0, 1, 101, dtype=torch.float64)
    heights = np.stack([np.interp(places, one, other) for one, other in zip(u, q)])
    expected = np.median(heights, 0)
    np.testing.assert_allclose(metric.median_curve(), expected, atol=1e-3)
    assert metric.compute().item() == pytest.approx(((expected[1:] + expected[:-1]) / 2).mean(), abs=1e-3)
    assert PIC(**FEW).median_curve().isnan().all()


def test_undefined_samples_are_counted():
    model, images, targets, maps = TestPIC().inputs(3)
    some = images.clone()
    some[1] += 0.3 / 255 / STD  # no 8-bit data
    metric = PIC(**FEW)
    metric.update(model, some, targets, maps)
    assert (metric.count.item(), metric.undefined.item()) == (2, 1)
    assert PIC(**{**FEW, "least": 1.0}).score(model, images, targets, maps).isnan().all()
    gray = PIC(**{**FEW, "mean": (0.5,), "std": (0.2,)})
    assert gray.score(lambda images: images.flatten(1)[:, :CLASSES], images[:, :1], targets, maps).isnan().all()
    level = (128 / 255 - MEAN) / STD + torch.zeros(1, 3, *SIZE, dtype=torch.float64)  # one color
    assert PIC(**FEW).score(model, level, targets[:1], maps[:1]).isnan().all()


def test_both_kinds_share_what_was_measured():
    model, images, targets, maps = TestPIC().inputs(2)
    counting, shared = Counting(model), Shared()
    metric = PIC(**FEW)
    found = metric.score(counting, images, targets, maps, shared=shared)
    assert counting.images == 5 * 2 == metric.forwards(SIZE) * 2
    PIC(kind="aic", **FEW).score(counting, images, targets, maps, shared=shared)
    assert counting.images == 5 * 2
    assert torch.equal(found, metric.score(model, images, targets, maps))
    assert PIC().forwards(SIZE) == 15


def test_draws_depend_on_seed_and_id_alone():
    model, images, targets, maps = TestPIC().inputs(2)
    found = PIC(**FEW).score(model, images, targets, maps, ("a", "b"))
    swapped = PIC(**FEW).score(model, images.flip(0), targets.flip(0), maps.flip(0), ("b", "a"))
    torch.testing.assert_close(swapped.flip(0), found, equal_nan=True)
    assert not torch.equal(PIC(**FEW, seed=1).score(model, images, targets, maps, ("a", "b")), found)


def test_the_version_of_webp_is_recorded():
    assert PIC().identity()["webp"] == features.version("webp")


def test_bad_settings_are_told_in_a_sentence():
    model, images, targets, maps = TestPIC().inputs(1)
    with pytest.raises(InputError, match=r"thresholds is \[0.0\]: give some above 0 and up to 100"):
        PIC(thresholds=(0.0,))
    with pytest.raises(InputError, match=r"start is 100 and least 0.8: give a percentage below 100 and a probability"):
        PIC(start=100)
    with pytest.raises(InputError, match=r"PIC compares probabilities, and the target's score is logit"):
        PIC(**FEW).score(model, images, Class(score="logit"), maps)
    with pytest.raises(InputError, match="needs the normalization of the model's input: give mean and std"):
        PIC().score(model, images, targets, maps)
