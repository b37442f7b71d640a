"""Whatever a network does between its activations, contributions sum to the difference of the logits."""

import pytest
import torch
from torch import nn

from lit_coiba.attribution import DeepLift
from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from tests._testers import tiny
from tests._testers.analytic import Analytic
from tests._testers.counting import Counting
from tests._testers.model_state import assert_near
from tests._testers.steps import Overwriting


def images(count=3):
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


class Blocks(Analytic):
    """Each image is four parts, which are rows of their own where the activation sees them."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.act, self.last = nn.Linear(48, 8), nn.SiLU(), nn.Linear(32, 5)

    def forward(self, x):
        parts = x.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).reshape(-1, 48)
        return self.last(self.act(self.first(parts)).view(len(x), -1))


class Writing(Analytic):
    """What goes into the activation and the pool, and what comes out, is written into afterwards."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.act, self.pool, self.last = nn.Conv2d(3, 4, 3), nn.SiLU(), nn.MaxPool2d(2), nn.Linear(36, 5)

    def forward(self, x):
        x = self.conv(x)
        y = self.act(x)
        x.mul_(2)
        y += x
        z = self.pool(y)
        y.zero_()
        z += 1
        return self.last(z.flatten(1))


@pytest.mark.parametrize("baseline", ["zero", "blur"])
@pytest.mark.parametrize("model", [Blocks().double(), Writing().double()], ids=["blocks", "writing"])
def test_contributions_add_up_and_do_not_depend_on_the_batch(model, baseline):
    explained = DeepLift(baseline).explain(model, images(), 2)
    assert explained.extras["score_difference"].abs().min() > 1e-3
    assert_near(explained.extras["attribution_sum"], explained.extras["score_difference"], 1e-10)
    alone = torch.cat([DeepLift(baseline).attribute(model, image, 2) for image in images().split(1)])
    assert_near(explained.maps, alone, 1e-10)


@pytest.mark.parametrize(("baseline", "count"), [("zero", 4), ("uniform", 4), ("blur", 6), ("noise", 6)])
def test_a_reference_that_all_images_share_runs_once(baseline, count):
    model = tiny.resnet()
    given = tiny.images(3, model.preprocessing.size)
    model.model = counting = Counting(model.model)
    DeepLift(baseline).attribute(model, given)  # which also looks at the model
    counting.images = 0
    DeepLift(baseline).attribute(model, given)
    assert counting.images == count


def test_where_image_and_reference_agree_a_channel_has_its_own_slope():
    """Differences of neighbors that are alike: a PReLU sees what it sees in the reference, below its kink."""

    class Model(Analytic):
        def __init__(self):
            super().__init__()
            self.act, self.last = nn.PReLU(3), nn.Linear(96, 5)
            self.act.weight.data = torch.tensor([0.1, 0.5, -2.0])

        def forward(self, x):
            return self.last(self.act(x[..., ::2] - x[..., 1::2] - 1).flatten(1))

    torch.manual_seed(0)
    model, pairs = Model().double(), images()[..., ::2]
    weights = model.act.weight.view(3, 1, 1) * model.last.weight[2].view(3, 8, 4)
    expected = torch.stack([pairs * weights, -pairs * weights], -1).flatten(-2).sum(1).detach()
    assert_near(DeepLift().attribute(model, pairs.repeat_interleave(2, -1), 2), expected, 1e-10)


def test_whether_a_model_overwrites_is_seen_in_one_batch_and_again_where_other_activations_write():
    model = Backbone.wrap(Overwriting(nn.ReLU()).eval(), image_size=8, num_classes=5)
    given = tiny.images(2, (8, 8))
    assert DeepLift().attribute(model, given, 1).isfinite().all()
    model.model.activation.inplace = True
    for _ in range(2):  # not only the first time
        with pytest.raises(InputError, match="in place into a tensor that is used again"):
            DeepLift().attribute(model, given, 1)


def test_the_clean_model_runs_beside_it_once_where_activations_write():
    model = Backbone("tf_efficientnet_lite0", num_classes=10, image_size=64).eval()
    given = tiny.images(2, (64, 64))
    model.model = counting = Counting(model.model)
    model.behavior  # noqa: B018 - the look at the model runs it
    runs = []
    for _ in range(3):
        counting.images = 0
        DeepLift().attribute(model, given, 1)
        runs.append(counting.images)
    assert runs == [5, 3, 3]
