"""The optimization: MACO's checks 3, 5 and 7, images that do not depend on their batch, and what is refused."""

import pytest
import torch
from torch import nn

from lit_coiba.backbones import Backbone
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.feature_visualization import (
    MACO,
    Channel,
    Direction,
    Embedding,
    FourierBaseline,
    MagnitudeSpectrum,
    Neuron,
    TargetScore,
    WeightedSum,
)
from lit_coiba.feature_visualization.phase_images import PhaseImages
from tests._testers import tiny

FEW = {"steps": 3, "canvas": 32, "crops": 3, "spectrum": "power:-1.3", "progress": False}
PLAIN = Preprocessing((16, 16), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


class Filters(nn.Module):
    """Each logit is the mean response to a filter: linear in the pixels."""

    def __init__(self):
        super().__init__()
        self.filters = nn.Conv2d(3, 4, 5, bias=False)
        nn.init.normal_(self.filters.weight, std=0.3, generator=torch.Generator().manual_seed(0))

    def forward(self, images):
        return self.filters(images).relu().mean((-2, -1))


@pytest.fixture(scope="module")
def filters():
    return Backbone.wrap(Filters(), PLAIN)


@pytest.fixture(scope="module")
def mixed():
    """A model, and objectives of all kinds at several layers; fp64, as small gradients grow rounding to steps."""
    model = tiny.resnet().double()
    return model, [
        TargetScore(3),
        Channel("layer2", 5),
        Direction("layer3", [(-1.0) ** k * k for k in range(24)]),
        WeightedSum([Neuron("layer1", 2), TargetScore(1)], [0.5, 2.0]),
        Embedding([float(k % 3) for k in range(32)]),
    ]


def test_the_objective_rises_and_the_magnitudes_stay(filters):
    """Checks 3 and 1: of the steps' scores, the last tenth is above the first tenth; 1e-5 at the last step."""
    maco = MACO(60, 32, 4, spectrum="shipped", crop_side=0.6, progress=False)
    found = maco.visualize(filters, [0, 1, 2, 3])
    assert found.scores.shape == (4, 60)
    assert (found.scores[:, -6:].mean(1) > found.scores[:, :6].mean(1)).all()
    assert found.magnitude_error.max() < 1e-5
    assert found.images.shape == (4, 3, 32, 32)
    assert 0 <= found.images.min() < found.images.max() <= 1


def test_only_phases_have_gradients_and_magnitudes_are_the_same_bits(filters, monkeypatch):
    made = []

    def watched(self, *arguments):
        made.append((images := begin(self, *arguments), images.magnitude.clone()))
        return images

    begin = MACO._begin
    monkeypatch.setattr(MACO, "_begin", watched)
    MACO(**FEW).visualize(filters, [0, 1])
    ((images, before),) = made
    assert isinstance(images, PhaseImages)
    assert torch.equal(images.magnitude, before)
    assert not images.magnitude.requires_grad
    assert images.variable.grad.abs().amax((1, 2, 3)).min() > 0
    assert all(parameter.grad is None for parameter in filters.parameters())


@pytest.mark.parametrize("method", [MACO(**FEW), FourierBaseline(3, 32, 3, progress=False)], ids=["maco", "fourier"])
def test_a_batch_is_its_single_runs(mixed, method):
    model, objectives = mixed
    together = method.visualize(model, objectives)
    assert together.images.dtype == torch.float64
    assert together.names == tuple(one.name for one in objectives)
    for place, objective in enumerate(objectives):
        alone = method.visualize(model, objective)
        for found, wanted in zip(alone[:3], together[:3]):
            assert (found[0] - wanted[place]).abs().max() < 1e-10 * max(1.0, wanted[place].abs().max())
    assert (together.images[1:] - together.images[0]).abs().amax((1, 2, 3)).min() > 0.01


def test_the_size_of_the_pieces_makes_no_difference(mixed):
    model, objectives = mixed
    found = [MACO(**FEW, chunk=chunk).visualize(model, objectives) for chunk in ("auto", 1, 4)]
    for other in found[1:]:
        assert torch.allclose(found[0].images, other.images, rtol=1e-10)
        assert torch.allclose(found[0].scores, other.scores, rtol=1e-10)


def test_memory_that_runs_out_halves_the_pieces(filters, monkeypatch):
    forward = Filters.forward

    def small(self, images):
        if len(images) > 3:
            raise RuntimeError("out of memory")
        return forward(self, images)

    wanted = MACO(**FEW).visualize(filters, [0, 1, 2]).images
    monkeypatch.setattr(Filters, "forward", small)
    with pytest.warns(UserWarning, match="memory ran out with"):
        found = MACO(**FEW).visualize(filters, [0, 1, 2]).images
    assert torch.allclose(found, wanted, atol=1e-5)


def test_the_seed_decides(filters):
    one, again = (MACO(**FEW, seed=4).visualize(filters, 1) for _ in range(2))
    other = MACO(**FEW, seed=5).visualize(filters, 1)
    assert all(torch.equal(first, second) for first, second in zip(one[:4], again[:4]))
    assert not torch.allclose(one.images, other.images, atol=0.1)


def test_importance_is_where_was_looked(filters):
    """Check 5: with all crops in the middle, of a fifth of the canvas, nothing else counts."""
    found = MACO(4, 60, 2, spectrum="power:-1", center_std=0.0, crop_side=0.2, progress=False).visualize(
        filters, [0, 1]
    )
    assert found.importance.shape == found.alpha.shape == (2, 60, 60)
    inside = torch.zeros(60, 60, dtype=torch.bool)
    inside[23:37, 23:37] = True  # 12 pixels, and those beside them that are interpolated
    assert (found.importance[:, ~inside] == 0).all()
    assert found.importance[:, 24:36, 24:36].min() >= 0
    assert found.importance[:, 24:36, 24:36].mean() > 0
    assert (found.alpha[:, ~inside] == 0).all()
    assert found.alpha.amax((1, 2)).tolist() == [1.0, 1.0]


def test_one_crop_a_step_and_canvases_that_are_not_square(filters):
    found = MACO(2, (33, 47), 1, spectrum="shipped", progress=False).visualize(filters, [0, 1])
    assert found.images.shape == (2, 3, 33, 47)
    assert found.magnitude_error.max() < 1e-5
    assert found.scores.isfinite().all()


def test_the_published_way_is_offered(filters):
    found = MACO(**FEW, tied=False, standardize=True, decay=False).visualize(filters, 2)
    assert found.magnitude_error.item() > 1e-3
    assert found.images.isfinite().all()


def test_the_step_size_falls_to_zero(filters, monkeypatch):
    used = []

    class Watched(torch.optim.NAdam):
        def step(self, *args, **kwargs):
            used.append(self.param_groups[0]["lr"])
            return super().step(*args, **kwargs)

    monkeypatch.setattr(torch.optim, "NAdam", Watched)
    MACO(**{**FEW, "steps": 4}, lr=0.8).visualize(filters, 0)
    assert used == pytest.approx([0.8, 0.8 * 0.853553, 0.4, 0.8 * 0.146447], rel=1e-4)
    used.clear()
    MACO(**FEW, lr=0.8, decay=False).visualize(filters, 0)
    assert used == [0.8] * 3


def test_arguments_and_identity_are_plain():
    maco = MACO(**FEW)
    assert MACO(**maco.arguments()).arguments() == maco.arguments()
    assert not {"chunk", "progress"} & set(maco.identity())
    assert "spectrum='power:-1.3'" in repr(maco)


def test_the_content_of_a_spectrum_is_part_of_the_identity(tmp_path):
    law = MagnitudeSpectrum.power(-1.3)
    file = MagnitudeSpectrum(law.magnitude, "another source").save(tmp_path / "law.safetensors")
    assert MACO(**{**FEW, "spectrum": str(file)}).identity() == MACO(**FEW).identity()
    MagnitudeSpectrum.power(-1.2).save(file)
    assert MACO(**{**FEW, "spectrum": str(file)}).identity() != MACO(**FEW).identity()
