"""What is found when the same few images are explained again and again while something trains."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import FSDPStrategy
from PIL import Image
from scipy.stats import spearmanr
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lit_coiba import IBA, Backbone, CoIBA, GradCAM
from lit_coiba.callbacks import ExplainCallback
from lit_coiba.cli import main
from lit_coiba.core.errors import InputError
from lit_coiba.metrics import Deletion, EnergyPointing
from lit_coiba.store import ExplanationStore
from tests._testers.plain_training import SIZE, Grid, Plain, fit, made, pictures

pytestmark = pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`")


def numbers(callback):
    return np.array(callback.moments)


def approx(values):
    return pytest.approx(values, nan_ok=True)


def unmoved():
    """A training that moves nothing: no learning rate, and running statistics that do not run."""
    module = Plain(lr=0.0)
    module.stem[1].momentum = module.body[1].momentum = 0.0
    return module


def test_maps_of_weights_that_stay_do_not_drift_and_those_of_others_do():
    still, moved = ExplainCallback(GradCAM()), ExplainCallback(GradCAM())
    fit(made(unmoved), still)
    fit(made(Plain), moved)
    assert [moment.epoch for moment in moved.moments] == [0, 0, 1, 2]
    assert np.isnan([still.moments[0].rank_correlation, moved.moments[0].rank_correlation]).all()
    assert [moment.rank_correlation for moment in still.moments[1:]] == pytest.approx([1, 1, 1])
    assert all(moment.rank_correlation < 0.999 for moment in moved.moments[1:])


def test_drift_is_the_rank_correlation_of_the_maps_in_two_stores(tmp_path):
    callback = ExplainCallback(GradCAM(), images=5, targets=1, stores=str(tmp_path), metric=None)
    fit(made(Plain), callback, epochs=2)
    stores = [ExplanationStore(folder) for folder in sorted(tmp_path.iterdir())]
    assert [store.path.name for store in stores] == [f"epoch_000{e}_step_{s:08}" for e, s in ((0, 0), (0, 6), (1, 12))]
    rows = [list(store) for store in stores]
    assert [[row.id for row in part] for part in rows] == [[f"{n:04}" for n in range(5)]] * 3
    for moment, before, now in zip(callback.moments[1:], rows, rows[1:]):
        found = [spearmanr(a.map.flatten(), b.map.flatten()).statistic for a, b in zip(before, now)]
        assert moment.rank_correlation == pytest.approx(np.mean(found), abs=1e-9)


def test_the_metric_is_what_it_is_by_hand():
    module, (images, _) = made(Plain), pictures(8)
    model = Backbone.wrap(made(Plain).eval(), image_size=SIZE)
    classes = model(images[:4]).argmax(-1)
    maps = GradCAM().attribute(model, images[:4], classes)
    expected = Deletion(steps=5).score(model, images[:4], classes, maps).mean()
    callback = ExplainCallback(GradCAM(), images=4, metric=Deletion(steps=5))
    fit(module, callback, epochs=1)
    assert callback.moments[0].metric == pytest.approx(float(expected), rel=1e-5)
    assert callback.moments[1].metric != callback.moments[0].metric


def test_what_tensorboard_gets(tmp_path):
    callback = ExplainCallback(GradCAM(), images=4, every_n_epochs=2, every_n_steps=5, targets="label", tag="look")
    fit(made(Plain), callback, logger=TensorBoardLogger(tmp_path, version=0))
    found = EventAccumulator(str(tmp_path / "lightning_logs" / "version_0"), {"images": 0, "scalars": 0}).Reload()
    steps = [0, 5, 10, 12, 15]
    assert [event.step for event in found.Scalars("look/insertion")] == steps
    assert [event.value for event in found.Scalars("look/insertion")] == pytest.approx(
        [moment.metric for moment in callback.moments]
    )
    assert [event.step for event in found.Scalars("look/rank correlation")] == steps[1:]
    shown = found.Images("look/maps")
    assert [event.step for event in shown] == steps
    pixels = [np.asarray(Image.open(io.BytesIO(event.encoded_image_string))) for event in shown]
    assert len(np.unique(pixels[0].reshape(-1, 3), axis=0)) > 100
    assert (pixels[0] != pixels[-1]).any()


@pytest.mark.parametrize(
    "images", [pictures(8)[0][:3], list(pictures(8)[0][:3]), DataLoader(TensorDataset(*pictures(3)), 2)]
)
def test_images_may_be_given_and_then_no_validation_is_needed(images):
    given, validated = ExplainCallback(GradCAM(), images), ExplainCallback(GradCAM(), 3)
    fit(made(Plain), given, val=False, epochs=1)
    fit(made(Plain), validated, epochs=1)
    assert numbers(given)[0] == approx(numbers(validated)[0])


def test_a_part_may_be_named_or_found():
    class Inner(Grid):
        def __init__(self):
            super().__init__()
            self.parts = nn.ModuleDict({"net": made(Plain)})

    callbacks = [ExplainCallback(GradCAM(), pictures(3)[0], module="parts.net", tag="named")]
    callbacks += [ExplainCallback(GradCAM(), pictures(3)[0], module=lambda own: own.parts["net"], tag="found")]
    fit(Inner(), *callbacks, val=False, epochs=1)
    assert numbers(callbacks[0]) == approx(numbers(callbacks[1]))
    assert len(callbacks[0].moments) == 2


def test_a_fit_that_goes_on_finds_its_stores_and_drifts_from_where_it_was(tmp_path):
    def look():
        return ExplainCallback(GradCAM(), stores=str(tmp_path / "stores"))

    whole, first, second = look(), look(), look()
    fit(made(Plain), whole, epochs=2)
    fit(made(Plain), first, epochs=1).save_checkpoint(tmp_path / "c.ckpt")
    fit(made(Plain), second, epochs=2, checkpoint=tmp_path / "c.ckpt")
    assert [moment.step for moment in second.moments] == [12]
    assert numbers(first) == approx(numbers(whole)[:2])
    stores = sorted((tmp_path / "stores").iterdir())
    assert [len(ExplanationStore(store)) for store in stores] == [8, 8, 8]
    maps = [torch.stack([row.map for row in ExplanationStore(store)]) for store in stores[1:]]
    assert second.moments[0].rank_correlation == pytest.approx(
        np.mean([spearmanr(a.flatten(), b.flatten()).statistic for a, b in zip(*maps)])
    )


def test_the_same_fit_again_leaves_its_stores_as_they_are(tmp_path):
    def looked(build):
        fit(made(build), ExplainCallback(GradCAM(), stores=str(tmp_path)), epochs=1)
        return {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*") if file.is_file()}

    first = looked(Plain)
    assert looked(Plain) == first
    assert len(looked(unmoved)) == len(first)
    assert [len(ExplanationStore(store)) for store in sorted(tmp_path.iterdir())] == [8, 8]


def test_a_store_is_read_like_any_other(tmp_path, capsys):
    fit(made(Plain), ExplainCallback(CoIBA(steps=2, copies=2), 4, stores=str(tmp_path / "s")), epochs=1)
    (store,) = (tmp_path / "s").glob("epoch_0000_step_00000006")
    assert main(["export", str(store), "--format", "npz"]) == 0
    assert len(list((store / "npz").rglob("*.npz"))) == 4
    made_of = ExplanationStore(store).manifest
    assert made_of.identity["method"]["class"] == "CoIBA"
    assert made_of.identity["statistics"]
    assert made_of.recorded["step"] == 6


REFUSED = {
    "every_n_epochs is 0: give a whole number": lambda: ExplainCallback(GradCAM(), every_n_epochs=0),
    "both null": lambda: ExplainCallback(GradCAM(), every_n_epochs=None),
    "images is 0: give a whole number": lambda: ExplainCallback(GradCAM(), images=0),
    "which needs regions": lambda: ExplainCallback(GradCAM(), metric=EnergyPointing()),
    "metric is 'blur'": lambda: ExplainCallback(GradCAM(), metric="blur"),
    "statistics are those of one set of weights": lambda: ExplainCallback(IBA(statistics="file.safetensors")),
    "the fit has no validation": lambda: fit(Plain(), ExplainCallback(GradCAM()), val=False),
    "images is 9, but the validation has 8": lambda: fit(Plain(), ExplainCallback(GradCAM(), images=9)),
    "images is empty": lambda: fit(Plain(), ExplainCallback(GradCAM(), images=[])),
    "no image has a label": lambda: fit(Plain(), ExplainCallback(GradCAM(), pictures(2)[0], targets="label")),
    "without images": lambda: fit(Plain(), ExplainCallback(GradCAM(), pictures(2)[0][:, :1])),
    r"Grid returns \(2, 8, 8, 8\) for 2 images, not logits": lambda: fit(
        Grid(), ExplainCallback(GradCAM(), pictures(2)[0]), val=False
    ),
    "module is 'net', which Plain does not have": lambda: fit(Plain(), ExplainCallback(GradCAM(), module="net")),
}


@pytest.mark.parametrize("said", REFUSED)
def test_refusals_are_one_sentence(said):
    with pytest.raises(InputError, match=said) as refused:
        REFUSED[said]()
    assert "\n" not in str(refused.value)
    assert ". " not in str(refused.value)


def test_a_strategy_that_splits_the_weights_is_refused():
    strategy = object.__new__(FSDPStrategy)
    with pytest.raises(InputError, match="with FSDPStrategy each has only a part of the weights"):
        ExplainCallback(GradCAM()).on_fit_start(SimpleNamespace(strategy=strategy, enable_validation=True), Plain())
