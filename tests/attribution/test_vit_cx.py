import pytest
import torch

from lit_coiba.attribution import ViTCX
from lit_coiba.attribution.vit_cx import joined, unit_range
from lit_coiba.core.errors import InputError
from lit_coiba.functional import noise, resize_map
from tests._testers import tiny
from tests._testers.methods import CopiesTester


class TestViTCX(CopiesTester):
    method = ViTCX
    arguments = {"delta": 0.6, "output": "logit"}  # noqa: RUF012 - few masks


def patterned(patterns):
    """A ViT whose last block puts out channels that are multiples of some patterns ``(k, 16)``."""
    model = tiny.vit().double()
    width = model.model.embed_dim
    scale = torch.rand(width, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 0.5
    of_channel = torch.arange(width) % len(patterns)
    features = (scale.unsqueeze(1) * patterns[of_channel]).T  # (16, width)

    def replaced(module, args, output):
        return torch.cat([output[:, :1], features.expand(len(output), -1, -1)], 1)

    model.model.blocks[5].register_forward_hook(replaced)
    return model


def test_masks_that_are_all_equal_give_a_constant_map():
    """All channels are multiples of one pattern, so the clustering joins them all."""
    pattern = 0.1 + torch.rand(1, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    explained = ViTCX(noise_scale=0.0).explain(patterned(pattern), tiny.images(1, (32, 32)).double(), 1)
    assert explained.extras["masks"].tolist() == [1]
    map = explained.maps[0]
    covered = resize_map(unit_range(pattern).unflatten(1, (4, 4)), (32, 32))[0] > 0
    assert map[covered].max() - map[covered].min() < 1e-9
    assert map[covered].min() > 0


def test_channels_of_two_patterns_are_two_masks_and_their_scores_share_the_map():
    patterns = torch.zeros(2, 16, dtype=torch.float64)
    patterns[0, :9], patterns[1, 6:] = torch.linspace(0.5, 2, 9).double(), torch.linspace(2, 0.5, 10).double()
    model, images = patterned(patterns), tiny.images(1, (32, 32)).double()
    fill, total, cover = noise(0, 0, 0, (3, 32, 32)).double(), 0, 0
    for pattern in patterns:
        mask = resize_map((pattern / pattern.max()).view(1, 4, 4), (32, 32))[0]
        with torch.no_grad():
            score = model((images[0] * mask + fill * (1 - mask))[None]).softmax(1)[0, 1]
        total, cover = total + score * mask, cover + mask
    explained = ViTCX().explain(model, images, 1)
    assert explained.extras["masks"].tolist() == [2]
    torch.testing.assert_close(explained.maps[0], torch.where(cover > 0, total / cover.clamp_min(1e-12), 0.0))


def test_it_is_the_mean_score_over_the_masks_that_cover_a_place():
    model, images, target = tiny.vit().double(), tiny.images(1, (32, 32)).double(), 2
    seen = {}
    handle = model.model.blocks[5].register_forward_hook(lambda module, args, output: seen.update(tokens=output))
    with torch.no_grad():
        model(images)
    handle.remove()
    channels = [c.reshape(4, 4) for c in seen["tokens"][0, 1:].T]
    channels = torch.stack([(c - c.min()) / (c.max() - c.min()) for c in channels])
    masks = joined(channels, 0.1)
    fill = noise(0, 0, 0, (3, 32, 32)).double()
    total = cover = 0
    for mask in masks:
        large = resize_map(mask[None], (32, 32))[0]
        with torch.no_grad():
            score = model((images[0] * large + fill * (1 - large))[None]).softmax(1)[0, target]
        total, cover = total + score * large, cover + large
    explained = ViTCX().explain(model, images, target)
    torch.testing.assert_close(explained.maps[0], total / cover, rtol=1e-9, atol=1e-12)
    assert explained.extras["masks"].tolist() == [len(masks)]


def test_channels_of_one_direction_are_one_mask():
    first, second = torch.rand(2, 16, generator=torch.Generator().manual_seed(3)).round()
    channels = unit_range(torch.stack([first, 0.5 * first, second, 1e-3 + 0 * first])).unflatten(1, (4, 4))
    masks = joined(channels, 0.1)
    assert len(masks) == 2  # the constant one shows nothing
    assert {tuple(mask.flatten().tolist()) for mask in masks} == {tuple(v.tolist()) for v in (first, second)}
    assert torch.equal(joined(torch.zeros(3, 4, 4), 0.1), torch.ones(1, 4, 4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"delta": -0.1}, "delta is"),
        ({"noise_scale": -1.0}, "delta is"),
        ({"noise_scale": float("nan")}, "noise_scale is nan: give a finite number"),
    ],
)
def test_values_out_of_range_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        ViTCX(**arguments)
