"""Several methods on a few images, in Python."""

import pytest
import torch

from lit_coiba.attribution import AttnLRP, RandomMap, Saliency
from lit_coiba.benchmark.compare import compare
from lit_coiba.bottlenecks import IBA
from lit_coiba.core.errors import InputError
from lit_coiba.metrics import SRG, Deletion, ModelRandomization, PointingGame, Sparseness
from tests._testers import tiny

METRICS = {"srg": SRG(grid_size=2, baseline="auto"), "gini": Sparseness()}


@pytest.fixture(scope="module")
def model():
    return tiny.vit(depth=2)


@pytest.fixture(scope="module")
def images():
    return tiny.images(3, (32, 32)).sigmoid()  # pixels in [0, 1]


def test_maps_scores_and_a_picture(model, images):
    found = compare(model, images, ["saliency", "random"], suite=METRICS)
    assert list(found.maps) == ["saliency", "random"]
    assert torch.equal(found.maps["saliency"], Saliency().attribute(model, images))
    assert found.board.scores["saliency"]["srg"].shape == (3,)
    assert found.board.reference == "saliency"
    assert found.refused == {}
    assert "srg: baseline auto = tokens." in str(found)
    assert min(found.picture().size) > 600  # three rows of three panels


def test_the_batch_size_decides_no_number(model, images):
    one, all_at_once = (compare(model, images, {"s": Saliency()}, suite=METRICS, batch_size=n) for n in (1, 3))
    assert torch.allclose(one.maps["s"], all_at_once.maps["s"], atol=1e-6)
    for column in METRICS:
        assert torch.allclose(one.board.scores["s"][column], all_at_once.board.scores["s"][column], atol=1e-5)


def test_regions(model, images):
    regions = torch.ones(3, 32, 32, dtype=torch.bool)
    pointing = {"pointing": PointingGame()}
    found = compare(model, images, {"s": Saliency()}, suite=pointing, regions=regions, targets=2)
    assert found.board.scores["s"]["pointing"].tolist() == [1, 1, 1]
    assert [target for _, target in found.board.keys] == [2, 2, 2]
    with pytest.raises(InputError, match="metrics: pointing need regions, the masks of the objects"):
        compare(model, images, {"s": Saliency()}, suite=pointing)
    with pytest.raises(InputError, match=r"regions are torch\.float32 of shape"):
        compare(model, images, {"s": Saliency()}, suite=pointing, regions=regions.float())
    with pytest.raises(InputError, match=r"regions are torch.bool of shape \(2, 32, 32\)"):
        compare(model, images, {"s": Saliency()}, suite=pointing, regions=regions[:2])


def test_what_cannot_be_measured_is_said_before_anything_runs(model, images):
    with pytest.raises(InputError, match="steps is 9999, but there are 1024 pixels"):
        compare(model, images, {"s": Saliency()}, suite={"d": Deletion(steps=9999)})


def test_a_method_that_cannot_explain_the_model_is_left_out(images):
    cnn = tiny.resnet()
    pixels = tiny.images(2, (64, 64))
    with pytest.warns(UserWarning, match="lrp is left out: "):
        found = compare(cnn, pixels, {"lrp": AttnLRP(), "random": RandomMap()}, suite={"gini": Sparseness()})
    assert list(found.maps) == ["random"]
    assert list(found.refused) == ["lrp"]
    with (
        pytest.warns(UserWarning, match="lrp is left out"),
        pytest.raises(InputError, match="none of the methods can explain this model: "),
    ):
        compare(cnn, pixels, {"lrp": AttnLRP()}, suite={"gini": Sparseness()})
    with pytest.raises(InputError, match="none of the methods can explain this model: give one"):
        compare(cnn, pixels, [], suite={"gini": Sparseness()})


def test_tokens_on_a_cnn_are_refused_in_one_sentence():
    with pytest.raises(InputError) as caught:
        compare(tiny.resnet(), tiny.images(1, (64, 64)), ["random"], suite={"srg": SRG(baseline="tokens")})
    assert "tokens" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_grid_that_splits_a_patch_is_refused(model, images):
    with pytest.raises(InputError, match="grid_size is 3 x 3, which splits patches: the model has 4 x 4 of them"):
        compare(model, images, ["random"], suite={"srg": SRG(grid_size=3, baseline="tokens")})


@pytest.mark.filterwarnings("ignore:.*survive pure noise")
def test_bottlenecks_explain_a_model_whose_layers_are_random(model, images):
    sanity = {"mprt": ModelRandomization(layers=2)}
    found = compare(model, images, {"iba": IBA(steps=2, copies=2)}, suite=sanity)
    assert found.board.scores["iba"]["mprt"].isfinite().all()
