import pytest
import torch

from lit_coiba.attribution import ScoreCAM
from lit_coiba.core.errors import InputError
from tests._testers import cams
from tests._testers.methods import CopiesTester


class TestScoreCAM(CopiesTester):
    method = ScoreCAM
    arguments = {"channels": 6}  # noqa: RUF012
    evaluations = (6, 0)


@pytest.mark.parametrize("output", ["logit", "prob"])
def test_each_channel_counts_as_much_as_it_keeps_of_the_score(output):
    model, images = cams.averaging(), cams.images()
    features, _ = cams.features_and_weights(model, images)
    maps = ScoreCAM(cams.LAYER, output=output).attribute(model, images, torch.tensor([1, 2, 0]))
    for image, channels, target, found in zip(images, features, (1, 2, 0), maps):
        scores = []
        for channel in channels:  # at the image's resolution: nothing is enlarged
            mask = (channel - channel.min()) / (channel.max() - channel.min()) if channel.std() else 0 * channel
            with torch.no_grad():
                logits = model((image * mask)[None])[0]
            scores.append(logits[target] if output == "logit" else logits.softmax(0)[target])
        weights = torch.stack(scores).softmax(0)
        expected = (weights[:, None, None] * channels).sum(0).relu()
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)


def test_it_is_that_of_pytorch_grad_cam_before_that_scales_it():
    model, images = cams.averaging(torch.float32), cams.images(dtype=torch.float32)
    peer = cams.peer_map("ScoreCAM", model.model, model.model[0][2], images, 1)
    torch.testing.assert_close(ScoreCAM(cams.LAYER).attribute(model, images, 1), peer, rtol=1e-3, atol=1e-5)


def test_few_channels_are_those_that_vary_most():
    model, images = cams.averaging(), cams.images()
    few, all_but_enough, all_of_them = (
        ScoreCAM(cams.LAYER, channels=count).attribute(model, images, 1) for count in (2, 5, None)
    )
    assert torch.equal(all_but_enough, all_of_them)
    assert not torch.allclose(few, all_of_them)
    with pytest.raises(InputError, match="channels is 0"):
        ScoreCAM(channels=0)
