"""What the metrics share; each metric's own test inherits more from `tests._testers.metrics`."""

import pytest
import torch
from torch import nn

from lit_coiba.core.errors import InputError
from lit_coiba.metrics import Deletion, EnergyPointing, Insertion, Metric, PointingGame


class Given(Metric):
    """Scores that are given."""

    def score(self, values):
        return values


def test_undefined_samples_are_counted_and_left_out():
    metric = Given()
    metric.update(torch.tensor([0.25, torch.nan, 0.75]))
    metric.update(torch.tensor([torch.nan]))
    assert (metric.compute(), metric.count, metric.undefined) == (0.5, 2, 2)
    assert metric.compute().dtype == torch.float64
    metric.reset()
    assert (metric.total, metric.count, metric.undefined) == (0, 0, 0)


def test_sums_keep_what_single_precision_would_lose():
    metric = Given()
    for value in (2.0**25, 1.0, 1.0):
        metric.update(torch.tensor([value]))
    assert metric.compute() == (2**25 + 2) / 3


def test_states_stay_small_unless_samples_are_kept():
    lean, keeping = Given(), Given(keep_samples=True)
    for metric in (lean, keeping):
        for _ in range(3):
            metric.update(torch.arange(4.0))
    assert all(state.numel() == 1 for state in lean.metric_state.values())
    assert keeping.samples().tolist() == [0, 1, 2, 3] * 3
    assert Given(keep_samples=True).samples().tolist() == []
    with pytest.raises(InputError, match="keep_samples=True"):
        lean.samples()


@pytest.mark.parametrize(
    ("maps", "regions", "message"),
    [
        (torch.zeros(2, 3, 3), torch.zeros(2, 3, 3), "regions are torch.float32"),
        (torch.zeros(2, 3, 3), torch.zeros(3, 3, dtype=torch.bool), "regions are .* of shape"),
        (torch.zeros(2, 1, 3, 3), torch.zeros(2, 3, 3, dtype=torch.bool), "maps are"),
        (torch.zeros(1, 3, 3), torch.zeros(2, 3, 3, dtype=torch.bool), "each of the 2 samples"),
        (torch.zeros(2, 3, 3, dtype=torch.int64), torch.zeros(2, 3, 3, dtype=torch.bool), "maps are torch.int64"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(maps, regions, message):
    with pytest.raises(InputError, match=message):
        PointingGame().score(maps, regions)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("metric", [Insertion, Deletion])
def test_a_gpu_gives_the_scores_of_the_cpu(metric):
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 3)).double()
    images, maps = torch.randn(5, 3, 4, 4).double(), torch.rand(5, 2, 2)
    expected = metric().score(model, images, None, maps)
    found = metric().cuda()
    found.update(model.cuda(), images.cuda(), None, maps.cuda())
    assert found.compute().item() == pytest.approx(expected.mean().item(), rel=1e-9)


def test_half_precision_maps_are_scored():
    regions = torch.tensor([[[True, False]]])
    assert EnergyPointing().score(torch.tensor([[[3.0, 1.0]]], dtype=torch.bfloat16), regions).item() == 0.75
