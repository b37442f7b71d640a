import torch

from lit_coiba.functional import resize_map
from lit_coiba.metrics import EnergyGain, EnergyPointing
from tests._testers.metrics import SIZE, LocalisationTester


def looped(map, region):
    """Pixel by pixel."""
    inside = total = 0.0
    for value, there in zip(resize_map(map, SIZE).flatten().tolist(), region.flatten().tolist()):
        total += max(value, 0.0)
        inside += max(value, 0.0) * there
    return inside / total - float(region.double().mean())


class TestEnergyGain(LocalisationTester):
    metric = EnergyGain
    oracle = staticmethod(looped)

    def test_a_map_of_the_object_beats_a_random_one(self):
        regions = self.inputs(8)[1]
        area = regions.double().mean((1, 2))
        torch.testing.assert_close(self.build().score(regions.double(), regions), 1 - area)


def test_a_uniform_map_gains_nothing_wherever_the_object_is():
    regions = torch.rand(5, 8, 8, generator=torch.Generator().manual_seed(0)) > 0.7
    assert EnergyGain().score(torch.ones(5, 4, 4), regions).abs().max() < 1e-6
    assert EnergyPointing().score(torch.ones(5, 4, 4), regions).std() > 0.01
