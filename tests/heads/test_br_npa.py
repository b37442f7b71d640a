from typing import ClassVar

import pytest
import torch

from lit_coiba.core.errors import InputError
from lit_coiba.heads import BRNPAHead
from tests._testers.heads import CHANNELS, CLASSES, HeadTester, features, slow_representatives


def dot(first, second):
    return sum(a * b for a, b in zip(first, second))


class TestBRNPAHead(HeadTester):
    head = BRNPAHead
    map_sums_to_the_logit = False

    def oracle(self, head, values, target):
        slow = slow_representatives(values, head.parts, head.refine, head.clamp)
        row = head.classifier.weight[target].tolist()
        pixels = values.flatten(1).T.tolist()
        norms = [sum(v * v for v in pixel) ** 0.5 for pixel in pixels]
        mean = head.classifier.weight.mean(0).tolist()
        shown = [w - m for w, m in zip(row, mean)] if head.evidence == "contrast" else row
        contributions, map = [], [0.0] * len(pixels)
        for part in range(head.parts):
            of_part = slice(part * CHANNELS, (part + 1) * CHANNELS)
            contributions.append(dot(row[of_part], slow["vectors"][part]))
            for j, weight in enumerate(slow["maps"][part]):
                if head.evidence == "first":
                    map[j] += weight * norms[j] * (part == 0)
                else:
                    map[j] += weight * dot(shown[of_part], pixels[j] if head.refine else slow["vectors"][part])
        return contributions, torch.tensor(map, dtype=torch.float64).view(values.shape[1:])


class TestAsReleased(TestBRNPAHead):
    """Negative similarities as they are, and the map that the authors evaluate."""

    arguments: ClassVar = {"clamp": False, "evidence": "first", "bias": True, "dropout": 0.0}


class TestAdditive(TestBRNPAHead):
    arguments: ClassVar = {"evidence": "additive"}
    map_sums_to_the_logit = True


class TestWithoutRefining(TestBRNPAHead):
    arguments: ClassVar = {"refine": False, "parts": 2}


class TestMorePartsThanPositions(TestBRNPAHead):
    arguments: ClassVar = {"parts": 16}


def built(**arguments):
    return TestBRNPAHead().build(**arguments)


def test_the_features_of_a_part_meet_its_own_block_of_weights():
    head, values = built(), features(4)
    vectors = head.extract(values).vectors
    assert vectors.shape == (4, 3, CHANNELS)
    torch.testing.assert_close(head(values), head.classifier(vectors.flatten(1)), rtol=1e-12, atol=1e-12)


def test_without_refining_a_vector_is_its_seed_itself():
    values = features(4)
    found = built(refine=False).extract(values)
    for image, vectors, seeds in zip(values, found.vectors, found.seeds):
        assert torch.equal(vectors, image.flatten(1)[:, seeds].T)


def test_parts_come_with_the_most_active_first_and_maps_times_the_norm():
    head, values = built(), features(4)
    found, norms = head.extract(values), values.norm(dim=1)
    assert torch.equal(found.seeds[:, 0], norms.flatten(1).argmax(1))
    torch.testing.assert_close(head.activations(values), found.maps * norms[:, None], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("refine", [True, False])
def test_the_default_map_sums_to_the_logit_above_the_mean_logit(refine):
    head, values = built(refine=refine), features(4)
    logits = head(values)
    found = head.explain(values, 2).maps.sum((-2, -1))
    torch.testing.assert_close(found, logits[:, 2] - logits.mean(1), rtol=1e-10, atol=1e-12)


def test_dropout_is_for_training():
    head, values = built(dropout=0.5), features(4)
    expected = head(values)
    torch.manual_seed(0)
    assert not torch.allclose(head.train()(values), expected)
    assert torch.equal(head.eval()(values), expected)
    assert torch.equal(built(dropout=0.0).train()(values), expected)


def test_features_that_are_not_negative_need_no_clamp():
    values = features(4).relu()
    assert torch.equal(built(clamp=True)(values), built(clamp=False)(values))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"parts": 0}, "parts is 0: give 1 or more"),
        ({"dropout": 1.0}, "dropout is 1.0: give a probability below 1"),
        ({"dropout": -0.1}, "dropout is -0.1: give a probability below 1"),
        ({"evidence": "last"}, "evidence is 'last': choose contrast, additive, first"),
    ],
)
def test_arguments_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        BRNPAHead(CHANNELS, CLASSES, **arguments)
