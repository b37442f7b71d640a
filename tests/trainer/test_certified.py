"""Certified radii in stores: what they are, that nothing changes them on the way, and which models have none."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.lipschitz import Certificate, certifying
from lit_coiba.metrics import Deletion
from lit_coiba.modules.explainer import Explainer
from lit_coiba.modules.method_comparison import MethodComparison
from lit_coiba.store import ExplanationStore, merge
from lit_coiba.store.radii import decisions_of
from tests._testers import lipschitz as small
from tests._testers import tiny
from tests._testers.runs import PATIENCE, ROOT, SIZE, NoiseData, NoisePictures, Shade, explain, make_trainer

STD, BIAS = 0.25, 0.3


def plane(norm=0.5):
    """Two classes whose logits are a and -a, a linear in the pixels: the boundary is a plane."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE * SIZE, 2))
    weight = torch.randn(3 * SIZE * SIZE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        model[1].weight.copy_(torch.stack([weight, -weight]) * norm / weight.norm())
        model[1].bias.copy_(torch.tensor([BIAS, -BIAS]))
    return Backbone.wrap(
        model, Preprocessing(mean=(0.5,) * 3, std=(STD,) * 3, size=(SIZE, SIZE), crop_pct=1.0), num_classes=2
    )


@pytest.fixture(scope="module")
def network():
    return small.constrained(classes=10, size=SIZE)


def data(count=7, block=2, **arguments):
    return NoiseData(count, block, labels=[k % 2 for k in range(count)], **arguments)


def certified(model, folder, certify, data_given=None, method=None, **arguments):
    explainer = Explainer(model, method or Shade(), certify=certify)
    return make_trainer().explain(explainer, data_given or data(), str(folder), pictures=False, **arguments)


def radii(store):
    return {(row.id, row.target): float(row.extras["radius"]) for row in store}


def test_the_radius_is_the_distance_to_the_boundary_in_pixels(tmp_path):
    model = plane()
    store = explain(model, tmp_path, data(), targets="top2")
    assert store.manifest.identity["certified"] is True
    weight = model.model[1].weight[0].detach().double().numpy() / STD  # of pixels in [0, 1]
    pictures, rows = NoisePictures(7), radii(store)
    assert len(rows) == 14
    for index, name in enumerate(pictures.ids):
        pixels = np.asarray(pictures.image(index), np.float64).transpose(2, 0, 1).reshape(-1) / 255
        distance = abs(weight @ (pixels - 0.5) + BIAS) / np.linalg.norm(weight)
        assert rows[name, 0] == rows[name, 1] == pytest.approx(distance, rel=1e-4)  # one decision, whoever is explained


@pytest.mark.parametrize("targets", ["predicted", "runner_up", "top2"])
def test_decisions_are_read_without_maps(network, tmp_path, targets):
    store = explain(network, tmp_path, NoiseData(7, 3, broken={1, 6}), targets=targets)
    rows = decisions_of(store)
    assert [row.id for row in rows] == store.ids()
    for row in rows:
        found = [one for one in store if one.id == row.id]
        predicted = {int(one.extras.get("predicted", torch.tensor(one.target))) for one in found}
        assert ({row.predicted}, {row.radius}) == (predicted, {float(one.extras["radius"]) for one in found})
        assert row.label == found[0].label


def test_a_run_that_ended_early_goes_on_with_the_same_radii(network, tmp_path):
    whole = explain(network, tmp_path / "whole", data())
    with pytest.raises(RuntimeError):
        explain(network, tmp_path / "part", data(), Shade(fails_at=4))
    resumed = explain(network, tmp_path / "part", data())
    assert radii(resumed) == radii(whole)
    assert resumed.digest() == whole.digest()
    again = explain(network, tmp_path / "part", data(), method := Shade())
    assert method.explained == 0
    assert len(list((again.path / "blocks").iterdir())) == 1  # compact


KILLED = """
import os, signal, sys
from tests._testers import lipschitz as small
from tests._testers.runs import PATIENCE, ROOT, SIZE, Shade, explain, passing_for
from tests.trainer.test_certified import data

@passing_for(Shade)
class Killed(Shade):
    def _explain(self, model, images, targets):
        if self.explained == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._explain(model, images, targets)

explain(small.constrained(classes=10, size=SIZE), sys.argv[1], data(), Killed())
"""


def test_a_run_that_was_killed_goes_on_with_the_same_radii(network, tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", KILLED, str(tmp_path / "part")]
    assert subprocess.run(command, timeout=PATIENCE, env=environment).returncode == -signal.SIGKILL
    assert len(ExplanationStore(tmp_path / "part")) == 4
    resumed = explain(network, tmp_path / "part", data(), method := Shade())
    assert method.explained == 3
    assert radii(resumed) == radii(explain(network, tmp_path / "whole", data()))


def test_shards_are_merged_with_their_radii(network, tmp_path):
    whole = explain(network, tmp_path / "whole", data())
    for shard in ("0/2", "1/2"):
        explain(network, tmp_path / shard[0], data(), shard=shard)
    merged = merge(tmp_path / "merged", [tmp_path / "0", tmp_path / "1"])
    assert radii(merged) == radii(whole)
    certified(network, tmp_path / "without", False)
    with pytest.raises(InputError, match=r"cannot be merged.*certified true -> \(absent\)"):
        merge(tmp_path / "other", [tmp_path / "0", tmp_path / "without"])


def test_bf16_explains_but_does_not_decide(network, tmp_path):
    """Logits of bf16 are rounded to 3 digits, so radii of them would be wrong by as much."""
    full = explain(network, tmp_path / "full", data(), targets="top2")
    half = explain(network, tmp_path / "half", data(), targets="top2", trainer=make_trainer(precision="bf16-mixed"))
    assert half.manifest.identity["precision"] == "bf16-mixed"
    assert radii(half) == radii(full)
    assert [row.probability for row in half] == [row.probability for row in full]
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        images = torch.zeros(1, 3, SIZE, SIZE)
        assert network(images).dtype == torch.bfloat16
        assert certifying.precise_logits(network, images).dtype == torch.float32


class TestRefusals:
    class Unread(NoisePictures):
        def image(self, index):
            raise AssertionError("an image was read")

    @pytest.mark.parametrize(
        ("make", "reason"),
        [(tiny.vit, "certify is True, but the Lipschitz constant of .* is not known"),
         (lambda: plane(2.0), "certify is True, but the model is not 1-Lipschitz: its constant is at least 2,")],
    )  # fmt: skip
    def test_of_a_model_without_a_certificate(self, make, reason, tmp_path):
        pictures = data()
        pictures.pictures = self.Unread(7)
        with pytest.raises(InputError, match=reason):
            certified(make(), tmp_path / "store", True, pictures)
        assert not (tmp_path / "store").exists()

    def test_of_an_extra_of_this_name(self, network, tmp_path):
        class Round(Shade):
            def _explain(self, model, images, targets):
                found = super()._explain(model, images, targets)
                return Explanation(found.maps, {"radius": found.maps.sum((1, 2))})

        with pytest.raises(InputError, match=r"gives an extra called radius.*or set certify to false"):
            certified(network, tmp_path / "a", None, method=Round())
        store = certified(network, tmp_path / "b", False, method=Round())
        assert len(radii(store)) == 7
        assert decisions_of(store) == []  # these are no certificates


def test_a_model_of_unknown_constant_costs_nothing(tmp_path, monkeypatch):
    def measured(backbone):
        raise AssertionError("it was measured")

    monkeypatch.setattr(certifying, "_measured", measured)
    store = explain(tiny.vit(), tmp_path / "store", NoiseData(2))
    assert "certified" not in store.manifest.identity
    assert all("radius" not in row.extras for row in store)


def test_a_network_that_is_not_1_lipschitz_has_none(tmp_path):
    store = explain(plane(2.0), tmp_path / "store", data())
    assert all("radius" not in row.extras for row in store)


class TestStoresOfBefore:
    """A store of rows without radii stays one: all rows of a store have the same columns."""

    @pytest.fixture
    def begun(self, network, tmp_path):
        with pytest.raises(RuntimeError):
            certified(network, tmp_path / "store", False, method=Shade(fails_at=4))
        return tmp_path / "store"

    def test_it_goes_on_without_radii(self, network, begun):
        with pytest.warns(UserWarning, match="begun without certified radii and goes on without them"):
            store = certified(network, begun, None)
        assert len(store) == 7
        assert all("radius" not in row.extras for row in store)
        assert decisions_of(store) == []

    def test_radii_are_asked_for(self, network, begun):
        with pytest.raises(InputError, match=r"certified \(absent\) -> true.*--if_changed recompute"):
            certified(network, begun, True)
        store = certified(network, begun, True, if_changed="recompute")
        assert len(radii(store)) == len(store) == 7

    def test_an_empty_one_is_begun_anew(self, network, tmp_path):
        with pytest.raises(RuntimeError):
            certified(network, tmp_path, False, method=Shade(fails_at=0))
        assert len(radii(certified(network, tmp_path, None))) == 7

    def test_radii_are_not_left_out_later(self, network, tmp_path):
        certified(network, tmp_path, None)
        with pytest.raises(InputError, match=r"certified true -> \(absent\)"):
            certified(network, tmp_path, False)

    def test_another_model_is_told(self, begun):
        other = small.constrained(classes=10, size=SIZE, seed=1)
        with pytest.raises(InputError, match=r"model .* -> "):
            certified(other, begun, None)
        store = certified(other, begun, None, if_changed="recompute")
        assert len(radii(store)) == 7


def test_methods_are_compared_with_one_measurement(network, tmp_path, monkeypatch):
    seen, of = [], Certificate.of
    monkeypatch.setattr(certifying, "_MEASURED", type(certifying._MEASURED)())
    monkeypatch.setattr(Certificate, "of", classmethod(lambda cls, backbone: (seen.append(1), of(backbone))[1]))
    model = MethodComparison(network, {"one": Shade(0), "two": Shade(1)}, metrics={"deletion": Deletion()})
    found = make_trainer().compare(model, data(4), output=str(tmp_path / "out"), methods=[], pictures=False)
    one, two = (radii(store) for store in found.stores.values())
    assert one == two
    assert len(seen) == 1
