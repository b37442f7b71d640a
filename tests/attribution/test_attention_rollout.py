import torch

from lit_coiba.attribution import AttentionRollout
from lit_coiba.attribution.attention_rollout import mixing
from lit_coiba.propagation.attention import record_attention
from tests._testers import tiny
from tests._testers.methods import MethodTester

REFUSED = "AttentionRollout does not support"


class TestAttentionRollout(MethodTester):
    method = AttentionRollout
    class_dependent = False
    evaluations = (1, 0)
    unsupported = {"cnn": f"{REFUSED} a model without attention", "swin": f"{REFUSED} attention within windows"}  # noqa: RUF012
    follows_precision = True


def test_shares_of_all_tokens_sum_to_one():
    model, images = tiny.vit().double(), tiny.images(3, (32, 32)).double()
    with torch.no_grad(), record_attention(model) as weights:
        model(images)
    assert len(weights) == 6
    for weight in weights:
        sums = (0.5 * weight.mean(1) + 0.5 * torch.eye(17)).sum(-1)
        torch.testing.assert_close(sums, torch.ones_like(sums))
    total = rollout(weights)
    torch.testing.assert_close(total.sum(-1), torch.ones(3, 17).double())
    maps = AttentionRollout().attribute(model, images)
    torch.testing.assert_close(maps, total[:, 0, 1:].unflatten(1, (4, 4)))


def test_it_is_the_product_from_the_last_block_to_the_first():
    model, images = tiny.vit_with_registers().double(), tiny.images(1, (32, 32)).double()
    with torch.no_grad(), record_attention(model) as weights:
        model(images)
    row = torch.zeros(19).double()
    row[0] = 1  # CLS
    for weight in reversed(weights):  # token by token
        mean = weight[0].mean(0)
        row = torch.tensor([sum(row[i] * (0.5 * mean[i, j] + 0.5 * (i == j)) for i in range(19)) for j in range(19)])
    found = AttentionRollout().attribute(model, images)[0]
    torch.testing.assert_close(found.flatten(), row[3:])  # CLS and two registers have no place


def test_the_head_makes_no_difference():
    model, images = tiny.vit(), tiny.images(2, (32, 32))
    before = AttentionRollout().attribute(model, images)
    torch.nn.init.normal_(model.model.head.weight)
    assert torch.equal(AttentionRollout().attribute(model, images), before)


def test_where_patches_are_averaged_so_are_their_rows():
    model, images = tiny.vit(global_pool="avg"), tiny.images(2, (32, 32))
    with torch.no_grad(), record_attention(model) as weights:
        model(images)
    expected = rollout(weights)[:, 1:].mean(1)[:, 1:].unflatten(1, (4, 4))
    torch.testing.assert_close(AttentionRollout().attribute(model, images), expected)
    headed = tiny.infodisent()  # a head that reads the patches
    with torch.no_grad(), record_attention(headed) as weights:
        headed(images)
    expected = rollout(weights)[:, 1:].mean(1)[:, 1:].unflatten(1, (4, 4))
    torch.testing.assert_close(AttentionRollout().attribute(headed, images), expected)


def test_heads_that_share_no_token_mix_nothing():
    apart = torch.tensor([[[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]]])
    torch.testing.assert_close(mixing(apart, heads="min"), torch.eye(2).unsqueeze(0))


def rollout(weights):
    """R = A~_L ... A~_1 of all blocks' weights ``(B, heads, T, T)``, ``(B, T, T)``; each row sums to 1."""
    total = mixing(weights[0])
    for weight in weights[1:]:
        total = mixing(weight) @ total
    return total
