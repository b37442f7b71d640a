import torch

from lit_coiba.attribution import Chefer
from lit_coiba.propagation.attention import record_attention
from tests._testers import tiny
from tests._testers.methods import StateTester

REFUSED = "Chefer does not support"


class TestChefer(StateTester):
    method = Chefer
    evaluations = (1, 1)
    unsupported = {"cnn": f"{REFUSED} a model without attention", "swin": f"{REFUSED} attention within windows"}  # noqa: RUF012


def test_it_is_the_rule_of_the_paper_with_gradients_by_differences():
    """The attention of each block is moved a little, entry by entry, and the logit is looked at."""
    model, images, target = tiny.vit(depth=2, embed_dim=8, num_heads=2).double(), tiny.images(1, (32, 32)).double(), 3
    weights = attention(model, images)
    total = torch.eye(17).double()
    for block, weight in enumerate(weights):
        gradient = torch.zeros_like(weight)
        for place in zip(*torch.nonzero(weight >= 0, as_tuple=True)):
            moved = [moved_logit(model, images, block, place, step, target) for step in (1e-5, -1e-5)]
            gradient[place] = (moved[0] - moved[1]) / 2e-5
        total = total + (weight * gradient).clamp_min(0)[0].mean(0) @ total
    found = Chefer().attribute(model, images, target)[0]
    torch.testing.assert_close(found.flatten(), total[0, 1:], rtol=1e-3, atol=1e-5)


def attention(model, images):
    """Softmax of queries and keys, block by block, from the weights."""
    found, tokens = [], model.model.patch_embed(images)
    tokens = torch.cat([model.model.cls_token.expand(len(tokens), -1, -1), tokens], 1) + model.model.pos_embed
    for block in model.model.blocks:
        q, k, v = block.attn.qkv(block.norm1(tokens)).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        found.append((q @ k.mT / 2).softmax(-1).detach())
        tokens = tokens + block.attn.proj((found[-1] @ v).transpose(1, 2).flatten(2))
        tokens = tokens + block.mlp(block.norm2(tokens))
    return found


def moved_logit(model, images, block, place, step, target):
    tokens = model.model.patch_embed(images)
    tokens = torch.cat([model.model.cls_token.expand(len(tokens), -1, -1), tokens], 1) + model.model.pos_embed
    with torch.no_grad():
        for k, layer in enumerate(model.model.blocks):
            q, key, v = layer.attn.qkv(layer.norm1(tokens)).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
            weight = (q @ key.mT / 2).softmax(-1)
            if k == block:
                weight[place] += step
            tokens = tokens + layer.attn.proj((weight @ v).transpose(1, 2).flatten(2))
            tokens = tokens + layer.mlp(layer.norm2(tokens))
        return model.model.head(model.model.norm(tokens)[:, 0])[0, target]


def test_nothing_is_negative_and_the_head_makes_a_difference():
    model, images = tiny.vit(), tiny.images(2, (32, 32))
    before = Chefer().attribute(model, images, 1)
    assert (before >= 0).all()
    torch.nn.init.normal_(model.model.head.weight, generator=torch.Generator().manual_seed(1))
    assert not torch.allclose(Chefer().attribute(model, images, 1), before, rtol=0.1)


def test_a_head_that_reads_patches_is_explained():
    maps = Chefer().attribute(tiny.infodisent(), tiny.images(2, (32, 32)), 1)
    assert (maps.flatten(1).std(1) > 0).all()


def test_averaged_patches_have_the_mean_over_their_rows_without_what_they_begin_with():
    model, images = tiny.vit(global_pool="avg").double(), tiny.images(2, (32, 32)).double().requires_grad_()
    with record_attention(model) as weights:
        slopes = torch.autograd.grad(model(images)[:, 3].sum(), weights)
    total = torch.eye(17).double()
    for weight, slope in zip(weights, slopes):
        total = total + (weight * slope).clamp_min(0).mean(1) @ total
    expected = (total - torch.eye(17))[:, 1:, 1:].mean(1).detach()
    torch.testing.assert_close(Chefer().attribute(model, images.detach(), 3).flatten(1), expected)


def test_gradients_far_below_one_are_not_rounded_away():
    """One block: the map is proportional to the gradient of the logit, however small that is."""
    model, images = tiny.vit(depth=1, global_pool="avg"), tiny.images(2, (32, 32))
    before = Chefer().attribute(model, images, 1)
    with torch.no_grad():
        model.model.head.weight.mul_(2.0**-30)
    torch.testing.assert_close(2.0**30 * Chefer().attribute(model, images, 1), before)
