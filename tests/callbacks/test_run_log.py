"""What TensorBoard gets of a run, read back from the event files."""

import io
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lit_coiba.callbacks import ContactSheet
from lit_coiba.callbacks.run_log import FAILURES, SPEED, logged_blocks
from lit_coiba.modules.explainer import Explainer
from tests._testers import tiny
from tests._testers.runs import NoiseData, Shade, make_trainer


@pytest.fixture(scope="module")
def model():
    return tiny.vit()


def explain(model, folder, data, method=None, targets="predicted", **arguments):
    trainer = make_trainer(callbacks=[ContactSheet(count=0)])  # an empty one, in place of one that takes seconds
    return trainer.explain(Explainer(model, method or Shade(), targets), data, str(folder), **arguments)


def events(store):
    return EventAccumulator(str(store.path / "tensorboard"), size_guidance={"scalars": 0, "images": 0}).Reload()


def test_panels_numbers_of_blocks_speed_and_failures(model, tmp_path):
    store = explain(model, tmp_path / "s", NoiseData(20, 4, broken=[2]), targets="top2")
    found = events(store)
    panels = [f"explanation/{k:04}" for k in range(8) if k != 2]  # the second was not readable
    assert found.Tags()["images"] == panels
    for tag in panels:
        shown = found.Images(tag)
        assert [image.step for image in shown] == [0, 1]  # a panel for each target
        assert {(image.width, image.height) for image in shown} == {(3 * 160 + 2 * 4, 36 + 160)}
    picture = np.asarray(Image.open(io.BytesIO(found.Images(panels[0])[0].encoded_image_string)))
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 100

    assert set(found.Tags()["scalars"]) == {"mean of block/probability", "mean of block/seen", SPEED, FAILURES}
    rows = [store.block(block) for block in range(5)]
    assert [len(found) for found in rows] == [6, 8, 8, 8, 8]
    for name, value in (("probability", lambda row: row.probability), ("seen", lambda row: float(row.extras["seen"]))):
        logged = found.Scalars(f"mean of block/{name}")
        assert [event.step for event in logged] == list(range(5))
        expected = [sum(map(value, block)) / len(block) for block in rows]
        assert [event.value for event in logged] == pytest.approx(expected, rel=1e-6)
    assert [(event.step, event.value) for event in found.Scalars(FAILURES)] == [(5, 1.0)]
    assert found.Scalars(SPEED)[0].value > 0


def test_a_run_that_goes_on_logs_each_block_once(model, tmp_path):
    data = NoiseData(20, 4)
    with pytest.raises(RuntimeError, match="power"):
        explain(model, tmp_path / "s", data, Shade(fails_at=9))
    explain(model, tmp_path / "s", NoiseData(20, 4))
    store = explain(model, tmp_path / "s", NoiseData(20, 4))  # and this one has nothing to do
    found = events(store)
    assert Counter(event.step for event in found.Scalars("mean of block/probability")) == dict.fromkeys(range(5), 1)
    assert found.Tags()["images"] == [f"explanation/{k:04}" for k in range(8)]
    assert all(len(found.Images(tag)) == 1 for tag in found.Tags()["images"])


def test_events_lost_with_a_killed_process_are_logged_by_the_next_run(model, tmp_path):
    store = explain(model, tmp_path / "s", NoiseData(8, 2))
    for file in (store.path / "tensorboard").iterdir():
        content = file.read_bytes()
        file.write_bytes(content[:-333])  # a torn record
    lost = {0, 1, 2, 3} - logged_blocks(store.path / "tensorboard")
    assert lost
    explain(model, tmp_path / "s", NoiseData(8, 2))
    assert logged_blocks(store.path / "tensorboard") == {0, 1, 2, 3}


def test_logging_can_be_looked_at_while_the_run_goes_on(model, tmp_path, monkeypatch):
    monkeypatch.setattr("lit_coiba.callbacks.run_log.SECONDS", 0.0)
    seen = []

    class Looks(Shade):
        def _explain(self, network, images, targets):
            seen.append(len(logged_blocks(tmp_path / "s" / "tensorboard")))
            return super()._explain(network, images, targets)

    explain(model, tmp_path / "s", NoiseData(8, 2), Looks())
    assert seen == sorted(seen)
    assert seen[-1] >= 2
