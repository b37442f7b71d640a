"""End to end where the concept is known (check 5): the class is "has a red square", blue discs are a distractor."""

import torch
from torch import nn

from lit_coiba.attribution import Occlusion, Saliency
from lit_coiba.backbones import Backbone
from lit_coiba.concepts import CRAFT, NMF, Concept
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.functional import pointing_hit

SIZE, SIDE = 64, 16


def scenes(count=40, seed=0):
    """Images with a red square and some with a blue disc, and the masks of the squares."""
    generator = torch.Generator().manual_seed(seed)
    images = 0.05 * torch.rand(count, 3, SIZE, SIZE, generator=generator)
    squares = torch.zeros(count, SIZE, SIZE, dtype=torch.bool)
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    for number in range(count):
        top, left, y, x = (torch.rand(4, generator=generator) * (SIZE - SIDE)).int().tolist()
        if number % 4:
            disc = (rows - y - 8) ** 2 + (columns - x - 8) ** 2 < 64
            images[number, 2][disc] = 0.9
        squares[number, top : top + SIDE, left : left + SIDE] = True
        images[number, :, squares[number]] = torch.tensor([0.9, 0.0, 0.0]).unsqueeze(1)
    return images, squares


def classifier():
    """Channels for red, for blue and for brightness; the logit of "has a red square" reads red alone."""
    convolution = nn.Conv2d(3, 3, 4, stride=4)
    with torch.no_grad():
        colors = torch.tensor([[1.0, -1.0, -1.0], [-1.0, -1.0, 1.0], [0.3, 0.3, 0.3]])
        convolution.weight.copy_(colors[:, :, None, None].expand(3, 3, 4, 4) / 16)
        convolution.bias.copy_(torch.tensor([-0.05, -0.05, 0.0]))
    linear = nn.Linear(3, 2)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[0.0, 0.0, 0.0], [40.0, 0.0, 0.2]]))
        linear.bias.copy_(torch.tensor([0.0, -0.5]))
    module = nn.Sequential(convolution, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear)
    return Backbone.wrap(module, Preprocessing((SIZE, SIZE), 1.0, "bilinear", (0.0,) * 3, (1.0,) * 3)).eval()


def test_the_planted_concept_is_found_matters_most_and_is_where_the_square_is():
    model = classifier()
    images, squares = scenes()
    assert (model(images).argmax(1) == 1).all()
    concepts = CRAFT(NMF(3), layer="1", crop_size=16).fit(model, images, cls=1)
    importance = concepts.importance(model, images)
    assert importance.exact == 1
    best = int(importance.total.argmax())
    assert importance.total[best] > 0.9
    assert importance.sign[best] == 1
    assert importance.share[best] > 0.9
    assert concepts.dictionary[best].argmax() == 0
    fresh, squares = scenes(seed=1)
    maps = concepts.maps(model, fresh)[:, best]
    found = maps > 0.5 * maps.amax((1, 2), keepdim=True)
    overlap = (found & squares).sum((1, 2)) / (found | squares).sum((1, 2))
    assert overlap.min() > 0.5
    assert pointing_hit(maps, squares).float().mean() == 1
    for method in (Saliency(), Occlusion()):
        attributed = method.attribute(concepts.network(model), fresh[:4], Concept(best))
        sized = nn.functional.interpolate(attributed[:, None], (SIZE, SIZE), mode="bilinear")[:, 0].clamp_min(0)
        assert ((sized * squares[:4]).sum((1, 2)) / sized.sum((1, 2))).min() > 0.5, method
    blue = int(concepts.dictionary[:, 1].argmax())
    assert blue != best
    assert importance.total[blue] < 0.05
