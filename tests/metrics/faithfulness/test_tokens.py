"""Curves with missing tokens: against single forwards, their cost, and their ends."""

import itertools
from inspect import signature

import pytest
import torch

from lit_coiba import metrics
from lit_coiba.backbones.tokens import TokenDropping
from lit_coiba.core.errors import InputError
from lit_coiba.metrics import SRG, Deletion, Insertion
from lit_coiba.metrics.faithfulness.removal_metric import RemovalMetric
from tests._testers import tiny
from tests._testers.metrics import uniform


def scene(count=3, **arguments):
    model = tiny.vit(depth=3, **arguments).double()
    return model, tiny.images(count, (32, 32)).double(), torch.arange(count), uniform(count, 4, 4)


@torch.no_grad()
def slow(model, image, target, map, counts, inserts):
    """Probabilities of one image while its patches go, or come, one forward at a time."""
    dropping, order = TokenDropping.of(model), map.flatten().argsort(descending=True).tolist()
    found = []
    for count in counts:
        kept = torch.tensor([(place in order[:count]) == inserts for place in range(16)])
        found.append(dropping.run(dropping.embed(image[None]), kept[None], masked=True).softmax(1)[0, target].item())
    return found


@pytest.mark.parametrize("metric", [Deletion, Insertion])
@pytest.mark.parametrize("steps", [16, 5])
def test_a_curve_is_that_of_single_forwards(metric, steps):
    model, images, targets, maps = scene()
    curve = metric(baseline="tokens", grid_size=4, steps=steps)
    found = curve.curves(model, images, targets, maps)
    counts = [k * 16 // steps for k in range(steps + 1)]
    for row in range(3):
        expected = slow(model, images[row], targets[row], maps[row], counts, curve.inserts)
        assert found[row].tolist() == pytest.approx(expected, rel=1e-9)
    alone = metric(baseline="auto", grid_size=4, steps=steps).curves(model, images[1:2], targets[1:2], maps[1:2])
    torch.testing.assert_close(alone[0], found[1], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("metric", [Deletion, Insertion])
@pytest.mark.parametrize("steps", [16, 4])
def test_of_a_model_that_pools_patches_one_stays(metric, steps):
    model, images, targets, maps = scene(global_pool="avg")
    curve = metric(baseline="tokens", grid_size=4, steps=steps)
    found = curve.curves(model, images, targets, maps)
    assert found.isfinite().all()
    counts = sorted({min(max(k * 16 // steps, curve.inserts), 16 - (not curve.inserts)) for k in range(steps + 1)})
    assert found.shape[1] == len(counts)
    expected = slow(model, images[0], targets[0], maps[0], counts, curve.inserts)
    assert found[0].tolist() == pytest.approx(expected, rel=1e-9)
    metric_of_all = metric(baseline="tokens", grid_size=4, steps=steps)
    metric_of_all.update(model, images, targets, maps)
    assert metric_of_all.compute().item() == pytest.approx(curve.score(model, images, targets, maps).mean().item())


def test_srg_of_a_model_that_pools_patches_needs_no_empty_image():
    """Its two curves end in the same image, which cancels."""
    model, images, targets, maps = scene(global_pool="avg")
    found = SRG(grid_size=4, baseline="tokens").score(model, images, targets, maps)
    for row in range(3):
        ends = {}
        for name, map in (("mif", maps[row]), ("lif", -maps[row])):
            ends[name] = [*slow(model, images[row], targets[row], map, range(16), False), 0.3]
        areas = {name: sum(a + b for a, b in itertools.pairwise(curve)) / 32 for name, curve in ends.items()}
        assert found[row].item() == pytest.approx(areas["lif"] - areas["mif"], rel=1e-8, abs=1e-10)


def test_t4_a_curve_runs_fewer_tokens_the_more_is_missing():
    model, images, targets, maps = scene()
    seen, _ = [], model.behavior  # the model is looked at first, once
    model.model.blocks[0].register_forward_hook(lambda _, __, output: seen.append(output.shape[:2].numel()))
    Deletion(baseline="zero", grid_size=4, steps=4).score(model, images, targets, maps)
    whole = sum(seen)
    seen.clear()
    Deletion(baseline="tokens", grid_size=4, steps=4).score(model, images, targets, maps)
    assert whole == 5 * 3 * 17
    assert sum(seen) == 3 * (17 + 13 + 9 + 5 + 1)


def test_pixels_and_cells_of_parts_of_patches_are_refused():
    model, images, targets, maps = scene()
    with pytest.raises(InputError, match="whole patches, not pixels: set grid_size to 4 x 4 patches"):
        Deletion(baseline="tokens").score(model, images, targets, maps)
    with pytest.raises(InputError, match="grid_size is 3 x 3, which splits patches"):
        Deletion(baseline="tokens", grid_size=3).score(model, images, targets, maps)


def test_auto_takes_the_presets_own_where_tokens_cannot_be_dropped():
    model, images, targets, maps = scene()
    found = Deletion(baseline="auto").score(model, images, targets, maps)
    assert torch.equal(found, Deletion().score(model, images, targets, maps))
    cnn, images = tiny.resnet(), tiny.images(2, (64, 64))
    settings = {"grid_size": 4, "steps": 4}
    found = Insertion(baseline="auto", **settings).score(cnn, images, targets[:2], maps[:2])
    assert torch.equal(found, Insertion(**settings).score(cnn, images, targets[:2], maps[:2]))


OFFERED = [getattr(metrics, name) for name in metrics.__all__]
REMOVAL = [
    kind
    for kind in OFFERED
    if isinstance(kind, type) and issubclass(kind, RemovalMetric) and "baseline" in signature(kind).parameters
]
REMOVAL = [kind for kind in REMOVAL if kind.__name__ != "IDSDS"]  # its model was trained with cells painted over
PERTURBED = {"Infidelity": {"perturbation": "removal"}}


@pytest.mark.parametrize("metric", REMOVAL)
@pytest.mark.parametrize("pool", ["token", "avg"])
def test_every_removal_metric_can_drop_tokens(metric, pool):
    model, images, targets, maps = scene(global_pool=pool)
    settings = {"baseline": "tokens", **PERTURBED.get(metric.__name__, {})}
    inputs = {"model": model, "images": images, "targets": targets, "maps": maps, "ids": ("a", "b", "c")}
    inputs["importances"] = torch.ones_like(images[:, 0]).cumsum(1)
    given = [inputs[name] for name in metric.needs if name in inputs]
    found = metric(**settings).score(*given)
    assert found.isfinite().all()
    alone = [value if value is model else value[1:2] for value in given]
    torch.testing.assert_close(metric(**settings).score(*alone)[0], found[1], rtol=1e-8, atol=1e-10)
    given[0], given[1] = tiny.resnet(), tiny.images(3, (64, 64))
    if "importances" in metric.needs:
        given[metric.needs.index("importances")] = torch.ones(3, 64, 64).cumsum(1)
    with pytest.raises(InputError, match="baseline is tokens, and resnet18 cannot leave out patches"):
        metric(**settings).score(*given)
