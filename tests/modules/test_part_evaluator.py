"""The FunnyBirds protocol: against loops over renderings, and on a classifier whose explanation is known."""

import math

import pytest
import torch
from scipy.stats import spearmanr

from lit_coiba.attribution import GradCAM, InputXGradient, RandomMap, Saliency
from lit_coiba.backbones import Backbone
from lit_coiba.core.errors import InputError
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import AttributionMethod, Card
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data import AdditiveParts, SyntheticParts
from lit_coiba.data.blocks import BlockDataset
from lit_coiba.data.synthetic import PARTS, class_table, shared_pairs
from lit_coiba.data.synthetic.additive import AdditiveClassifier
from lit_coiba.data.transforms import Transform
from lit_coiba.functional.part_evaluation import part_thresholds
from lit_coiba.functional.part_scores import part_scores
from lit_coiba.modules.part_evaluator import PartEvaluator
from tests._testers.runs import NoisePictures

PIXELS = Preprocessing((64, 64), 1.0, "bilinear", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


class Noise(AttributionMethod):
    """Other random numbers for every row."""

    card = Card("", "none", baseline=True)

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.generator = torch.Generator().manual_seed(seed)

    def _explain(self, model, images, targets):
        return Explanation(torch.randn(len(targets), 16, 16, generator=self.generator) + 0.3, {})


class Broken(AttributionMethod):
    card = Card("", "none", baseline=True)

    def _explain(self, model, images, targets):
        return Explanation(torch.full((len(targets), 8, 8), math.nan), {})


@pytest.fixture(scope="module")
def additive():
    return Backbone.wrap(AdditiveClassifier(), PIXELS)


def evaluate(model, method, samples, size=50, **arguments):
    """Extras of all samples, a block after the other."""
    module = PartEvaluator(model, method, **arguments)
    module.transform = Transform(model.preprocessing)
    module.check(samples)
    blocks = BlockDataset(samples, model.preprocessing, size)
    records = [module.predict_step(blocks[k]) for k in range(-(-len(samples) // size))]
    return {name: torch.cat([record.extras[name] for record in records]) for name in records[0].extras}


def scores_of(found):
    return part_scores(
        {n: v for n, v in found.items() if n not in ("drops", "importance", "sum_not_positive")}, part_thresholds()
    )


def additive_samples(count):
    data = AdditiveParts(limit=count)
    data.preprocessing = PIXELS
    data.setup("predict")
    return data.explained


class TestFB1:
    """Spec of the metrics, check FB1: the true map has full marks, random maps have a half."""

    def test_the_true_map_of_the_additive_classifier_has_exactly_one(self, additive):
        found = evaluate(additive, InputXGradient(), additive_samples(60))
        scores = scores_of(found)
        for name in ("accuracy", "background", "csdc", "pc", "dc", "distractibility", "sd", "ts", "overall"):
            assert getattr(scores, name) == (1, 1, 1), name
        assert not found["ts"].isnan().any()
        assert found["sum_not_positive"].sum() == 0

    def test_random_maps_have_a_half_within_three_standard_errors(self, additive):
        found = [evaluate(additive, Noise(seed), additive_samples(300)) for seed in (0, 1)]
        for name in ("sd", "ts"):
            values = torch.cat([one[name] for one in found]).double()
            error = values.std() / len(values) ** 0.5
            assert error < 0.016
            assert abs(values.mean() - 0.5) < 3 * error
        assert scores_of(found[0]).overall.mean < 0.7

    def test_a_map_of_no_class_has_no_target_sensitivity(self, additive):
        assert evaluate(additive, RandomMap(), additive_samples(20))["ts"].sum() == 0

    def test_a_reversed_map_has_nothing(self, additive):
        class Reversed(InputXGradient):
            def _explain(self, model, images, targets):
                return Explanation(-super()._explain(model, images, targets).maps, {})

        found = evaluate(additive, Reversed(), additive_samples(20))
        assert found["sd"].sum() == found["ts"].sum() == 0
        assert found["sum_not_positive"].sum() == 20


def slow(model, method, drawn, index):
    """One sample, one rendering at a time, from the definition."""
    names, table = list(PARTS), class_table()

    def inputs(**arguments):
        return model.normalize(drawn.render(index, **arguments)[None].float() / 255)

    def logits(**arguments):
        with torch.no_grad():
            return model(inputs(**arguments))[0]

    label, whole = drawn.labels[index], logits()
    predicted, things = int(whole.argmax()), drawn.num_background(index)
    alone = [logits(without=[name]) for name in names] + [logits(without_background=[k]) for k in range(things)]
    drops = [float(whole[label] - one[label]) for one in alone]
    irrelevant = [q for q, drop in enumerate(drops) if drop <= 0 or drop < 0.05 * abs(float(whole[label]))]
    masks = list(drawn.masks(index))
    masks += [(drawn.render(index, without_background=[k]) != drawn.pixels(index)).any(0) for k in range(things)]

    def importance(target):
        map = method.attribute(model, inputs(), torch.tensor([target]))[:, None]
        map = torch.nn.functional.interpolate(map, size=(64, 64), mode="bilinear")[0, 0]
        sums = []
        for mask in masks:
            wide = torch.zeros_like(mask)
            for row, column in mask.nonzero().tolist():
                wide[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3] = True
            sums.append(float(map[wide].sum()))
        return sums, float(map.sum())

    def important(target, threshold):
        sums, total = importance_of[target]
        return {q for q, value in enumerate(sums) if value > threshold * total}

    first = min((pair.first, pair.second, pair.first_parts, pair.second_parts) for pair in shared_pairs(label))
    importance_of = {target: importance(target) for target in {label, predicted, *first[:2]}}
    others = [row for k, row in enumerate(table) if k != label]
    sufficient = []
    for number in sorted(range(1, 32), key=lambda s: s.bit_count()):
        chosen = {p for p in range(5) if number >> p & 1}
        tells = not any(all(row[p] == table[label][p] for p in chosen) for row in others)
        if tells and not any(smaller <= chosen for smaller in sufficient):
            sufficient.append(chosen)
    result = {name: [] for name in ("csdc", "pc", "dc", "distractibility")}
    for threshold in part_thresholds().tolist():
        found, shown = important(label, threshold), {q for q in important(predicted, threshold) if q < 5}
        overlap = max(len(s & found) / len(s) for s in sufficient) if predicted == label else math.nan
        result["csdc"].append(overlap)
        kept = logits(without=[names[p] for p in range(5) if p not in shown])
        result["pc"].append(float(kept.argmax() == predicted))
        changed = logits(without=[names[p] for p in shown])
        result["dc"].append(float(changed.argmax() != predicted))
        share = len(found & set(irrelevant)) / len(irrelevant) if irrelevant else math.nan
        result["distractibility"].append(1 - share)
    sums = importance_of[label][0]
    result["sd"] = spearmanr(drops[:5], sums[:5]).statistic / 2 + 0.5
    result["background"] = sum(q in irrelevant for q in range(5, 5 + things)) / things
    one, two, ones, twos = first
    no_ones, no_twos = logits(without=list(ones)), logits(without=list(twos))
    fair = no_ones[one] - no_twos[one] < 0 and no_twos[two] - no_ones[two] < 0
    ones, twos = ([names.index(name) for name in some] for some in (ones, twos))
    by = {target: importance_of[target][0] for target in (one, two)}
    hits = [sum(by[one][p] - by[two][p] for p in ones) > 0, sum(by[two][p] - by[one][p] for p in twos) > 0]
    result["ts"] = sum(hits) / 2 if fair else math.nan
    return result


@pytest.fixture(scope="module")
def network():
    """A small network with weights at random, whose predictions are mostly wrong."""
    torch.manual_seed(3)
    layers = [torch.nn.Conv2d(3, 12, 7, stride=4, padding=3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(4)]
    module = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(192, 20))
    return Backbone.wrap(module, Preprocessing((64, 64), 1.0, "bilinear", (0.5, 0.5, 0.5), (0.2, 0.2, 0.2)))


@pytest.mark.parametrize("method", [Saliency(), InputXGradient()], ids=["saliency", "input_x_gradient"])
def test_scores_are_those_of_a_loop_over_renderings(network, method):
    drawn = SyntheticParts().drawn("test")
    with torch.no_grad():
        batch = network.normalize(drawn.batch(range(200)).float() / 255)
        right = (network(batch).argmax(1) == torch.tensor(drawn.labels[:200])).nonzero().flatten().tolist()
    numbers = sorted({0, 5, *right[:2]})
    samples = SyntheticParts().drawn("test")
    found = evaluate(network, method, samples_at(samples, numbers), size=3)
    for row, number in enumerate(numbers):
        expected = slow(network, method, drawn, number)
        for name, values in expected.items():
            torch.testing.assert_close(
                found[name][row].double(), torch.tensor(values).double(), rtol=1e-5, atol=1e-5, equal_nan=True, msg=name
            )


def samples_at(dataset, numbers):
    from lit_coiba.data import Subset

    return Subset(dataset, numbers)


def test_a_batch_equals_its_images_one_by_one(network):
    samples = samples_at(SyntheticParts().drawn("test"), [1, 2, 3])
    together, alone = (evaluate(network, Saliency(), samples, size) for size in (3, 1))
    for name, values in together.items():
        torch.testing.assert_close(values, alone[name], rtol=1e-4, atol=1e-5, equal_nan=True)


def test_maps_that_are_not_finite_have_no_score_and_the_model_keeps_its_own(additive):
    found = evaluate(additive, Broken(), additive_samples(4))
    for name in ("csdc", "pc", "dc", "distractibility", "sd", "ts"):
        assert found[name].isnan().all()
    assert found["accuracy"].sum() == found["background"].sum() == 4


def test_another_size_of_the_models_input(additive):
    """Pictures and masks are resized alike: the true map stays the best."""
    small = Preprocessing((32, 32), 1.0, "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Upsample(scale_factor=2.0), AdditiveClassifier())
    found = evaluate(Backbone.wrap(module, small), InputXGradient(), additive_samples(8), dilation=1)
    assert found["accuracy"].sum() == 8
    assert found["ts"].mean() == 1
    assert found["sd"].mean() > 0.8


def test_data_without_parts_are_refused(additive):
    class TwentyPictures(NoisePictures):
        pass

    module = PartEvaluator(additive, GradCAM())
    with pytest.raises(InputError, match="the data have no parts that can be removed"):
        module.check(TwentyPictures(4))


def test_a_model_of_other_classes_is_refused():
    module = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 7))
    evaluator = PartEvaluator(Backbone.wrap(module, PIXELS), Saliency())
    with pytest.raises(InputError, match="20 classes"):
        evaluator.check(additive_samples(4))


@pytest.mark.parametrize("dilation", [0, 4])
def test_a_square_without_a_middle_is_refused(additive, dilation):
    with pytest.raises(InputError, match=f"dilation is {dilation}: give an odd number"):
        PartEvaluator(additive, Saliency(), dilation=dilation)
