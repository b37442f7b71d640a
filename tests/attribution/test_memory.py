"""Where memory runs out, pieces are halved, whatever the method makes of them."""

import gc

import pytest
import torch

from lit_coiba.attribution import RISE, CoIBA, IntegratedGradients
from tests._testers import tiny
from tests._testers.model_state import assert_near


@pytest.mark.parametrize(
    "method",
    [IntegratedGradients(steps=4), RISE(grid_size=3, n_samples=8), CoIBA(steps=3, copies=2)],
    ids=lambda method: type(method).__name__,
)
@pytest.mark.filterwarnings("ignore:.*survive pure noise")  # random weights leak as they like
def test_where_memory_runs_out_the_map_stays_the_same(method, monkeypatch):
    model = tiny.resnet().double()
    images = tiny.images(4, model.preprocessing.size).double()
    method.prepare(model, tiny.images(24, model.preprocessing.size, seed=7).double().split(12))
    expected = method.explain(model, images).maps
    forward = model.model.get_classifier().forward

    def limited(inputs):
        if len(inputs) > 3:
            raise torch.OutOfMemoryError("an artificial limit")
        return forward(inputs)

    monkeypatch.setattr(model.model.get_classifier(), "forward", limited)
    monkeypatch.setattr(gc, "collect", lambda: 0)  # seconds, beside all that a test process holds
    with pytest.warns(UserWarning, match="memory ran out with .* at once: continuing with") as told:
        found = method.explain(model, images).maps  # for the predicted classes, which are found in pieces too
    assert len([w for w in told if "memory ran out" in str(w.message)]) == 1
    assert_near(found, expected, 1e-10)
    method.explain(model, images)  # says no more: warnings are errors
