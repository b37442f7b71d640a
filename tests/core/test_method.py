"""What `explain` does for every method, with a small method that keeps what it was given."""

import pytest
import torch

from lit_coiba.core.batched_evaluator import BatchedEvaluator
from lit_coiba.core.errors import InputError
from lit_coiba.core.explanation import Explanation
from lit_coiba.core.method import AttributionMethod, Card, Start, from_start
from lit_coiba.core.targets import Class, ResolvedClass, Unscored
from tests._testers import tiny
from tests._testers.counting import Counting
from tests._testers.model_state import assert_near, assert_same_state, disturb, state


class Slope(AttributionMethod):
    """Gradient of the score in the first colour."""

    def __init__(self, output="logit", chunk="auto", fails=False):
        self.output, self.chunk, self.fails = output, chunk, fails

    def _explain(self, model, images, targets):
        self.model_was = state(model)
        self.images, self.targets = images.clone(), targets
        scores = targets.score(model(images.requires_grad_()))
        (slope,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
        if self.fails:
            raise RuntimeError("the method failed")
        with torch.no_grad():
            images.zero_()  # its own copy
        return Explanation(slope[:, 0], {"score": scores, "index": targets.index})


class Blind(AttributionMethod):
    card = Card("", "none", class_dependent=False)

    def __init__(self, asks=False):
        self.asks = asks

    def _explain(self, model, images, targets):
        self.targets = targets
        maps = images[:, 0] + (targets.score(images) if self.asks else 0)
        return Explanation(maps, {})


class Returning(AttributionMethod):
    """Hands out what it was made with."""

    def __init__(self, found):
        self.found = found

    def _explain(self, model, images, targets):
        return self.found


class Quick(Slope):
    """`Slope` in two steps."""

    _explain = from_start

    def _start(self, model, images):
        return Start(model(images.requires_grad_()), images)

    def _explain_started(self, model, images, targets, started):
        scores = targets.score(started.out)
        (slope,) = torch.autograd.grad(scores.sum(), started.state)
        return Explanation(slope[:, 0], {"score": scores, "index": targets.index})


@pytest.fixture
def model():
    return tiny.resnet()


@pytest.fixture
def images(model):
    return tiny.images(3, model.preprocessing.size)


class TestWhatAMethodIsGiven:
    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            (torch.tensor([4, 0, 2], dtype=torch.int32), [4, 0, 2]),
            ([4, 0, 2], [4, 0, 2]),
            (7, [7, 7, 7]),
            (Class(5), [5, 5, 5]),
            (Class(6).resolve(torch.zeros(3, 10)), [6, 6, 6]),
        ],
    )
    def test_a_row_for_each_image(self, model, images, given, expected):
        found = Slope().explain(model, images, given)
        assert found.extras["index"].tolist() == expected
        scores = model(images).gather(1, found.extras["index"].unsqueeze(1)).squeeze(1)
        assert_near(found.extras["score"], scores.detach(), 1e-6)

    def test_no_targets_are_the_predicted_classes(self, model, images):
        predicted = model(images).argmax(1)
        for given in (None, Class()):
            assert torch.equal(Slope().explain(model, images, given).extras["index"], predicted)
        assert torch.equal(Slope().attribute(model, images), Slope().attribute(model, images, predicted))
        second = model(images).topk(2, 1).indices[:, 1]
        assert torch.equal(Slope().explain(model, images, Class("runner_up")).extras["index"], second)

    @pytest.mark.parametrize("targets", [torch.tensor([1, 2]), torch.zeros(3), torch.tensor([0, 10, 0]), Class("top2")])
    @pytest.mark.parametrize("method", [Slope(), Blind()])
    def test_targets_that_are_not_one_for_each_image_are_refused(self, model, images, method, targets):
        if isinstance(method, Blind) and isinstance(targets, Class):
            return  # for which the model would have to run
        with pytest.raises(InputError, match="targets"):
            method.explain(model, images, targets)

    def test_the_score_that_the_method_is_asked_for(self, model, images):
        probabilities = model(images).softmax(1)[:, 2]
        assert_near(Slope("prob").explain(model, images, 2).extras["score"], probabilities.detach(), 1e-6)
        assert_near(Slope().explain(model, images, Class(2, "prob")).extras["score"], probabilities.detach(), 1e-6)
        assert Slope().explain(model, images, Class(2, "logprob")).extras["score"].lt(0).all()
        with pytest.raises(InputError, match="the target's score is logit and output is prob: give one of them"):
            Slope("prob").explain(model, images, Class(2, "logit"))

    def test_images_are_looked_at_before_anything_else(self, model, images):
        for wrong, sentence in ((images[0], "shape"), (images[..., :32], "pixels"), (images.byte(), "uint8")):
            method = Slope()
            with pytest.raises(InputError, match=sentence):
                method.explain(model, wrong, 99)
            assert not hasattr(method, "images")
        with pytest.raises(InputError, match="wrap it first"):
            Slope().explain(model.model, images)

    def test_the_model_is_frozen_and_gradients_are_on(self, model, images):
        for around in (torch.enable_grad, torch.no_grad, torch.inference_mode):
            method = Slope()
            with around():
                given = tiny.images(3, model.preprocessing.size)
                rows = Class().resolve(model(given))
                found = [method.explain(model, given, targets).maps for targets in (None, rows)]
            assert torch.equal(found[0], found[1])
            assert torch.equal(found[0], Slope().explain(model, images).maps)
            assert not any(method.model_was["training"].values())
            assert not any(method.model_was["requires_grad"].values())
            assert method.model_was["modes"] == (True, False, False)

    def test_a_method_that_looks_at_no_target_runs_no_model_for_one(self, model, images):
        method = Blind()
        model.model.register_forward_hook(lambda *_: pytest.fail("the model was run"))
        for nothing in (None, Class(), Class("label")):
            assert torch.equal(method.explain(model, images, nothing).maps, images[:, 0])
            assert isinstance(method.targets, Unscored)
            assert method.targets.image.tolist() == [0, 1, 2]
        method.explain(model, images, 3)
        assert isinstance(method.targets, ResolvedClass)
        with pytest.raises(InputError, match="uses no target, but the method asks for one"):
            Blind(asks=True).explain(model, images)

    def test_the_prediction_runs_in_the_pieces_of_the_method(self, model, images):
        method, sizes = Blind(), []
        method.card, method._evaluator = Card("", "none"), BatchedEvaluator(2)
        method.explain(model, images)  # the model is looked at first, once
        model.model.register_forward_hook(lambda _, __, output: sizes.append(len(output)))
        method.explain(model, images)
        assert sizes == [2, 1]


class TestWhatStaysAsItWas:
    @pytest.mark.parametrize("fails", [False, True])
    def test_the_model(self, model, images, fails):
        disturb(model)
        before = state(model)
        with pytest.raises(RuntimeError, match="the method failed") if fails else torch.enable_grad():
            Slope(fails=fails).explain(model, images)
        assert_same_state(state(model), before)

    def test_tensors_of_the_caller(self, model, images):
        targets = torch.tensor([4, 0, 2])
        images.requires_grad_(True)
        before = images.detach().clone(), images._version, targets._version
        method = Slope()
        method.explain(model, images, targets)
        method.targets.index.zero_()
        assert torch.equal(images.detach(), before[0])
        assert (images._version, targets._version) == before[1:]
        assert images.grad is None
        assert targets.tolist() == [4, 0, 2]


class TestWhatIsHandedOut:
    def test_is_detached(self, model, images):
        found = Slope().explain(model, images)
        assert not found.maps.requires_grad
        assert not found.extras["score"].requires_grad

    @pytest.mark.parametrize(
        ("dtype", "expected"),
        [(torch.bfloat16, torch.float32), (torch.float32, torch.float32), (torch.float64, torch.float64)],
    )
    def test_is_single_at_least(self, model, images, dtype, expected):
        extras = {"value": torch.ones(3, dtype=dtype), "count": torch.ones(3, dtype=torch.int64)}
        found = Returning(Explanation(torch.ones(3, 2, 2, dtype=dtype), extras)).explain(model, images, 0)
        assert found.maps.dtype == found.extras["value"].dtype == expected
        assert found.extras["count"].dtype == torch.int64

    @pytest.mark.parametrize(
        ("found", "sentence"),
        [
            (torch.zeros(3, 2, 2), "the method returned a Tensor for 3 images: return an Explanation"),
            (Explanation(torch.zeros(3, 1, 2, 2), {}), r"the method returned maps \(3, 1, 2, 2\) for 3 images"),
            (Explanation(torch.zeros(2, 2, 2), {}), r"the method returned maps \(2, 2, 2\) for 3 images"),
            (Explanation(torch.zeros(3, 2, 2), {"bits": torch.zeros(2)}), r"extra bits has shape \(2,\): give a row"),
            (Explanation(torch.zeros(3, 2, 2), {"bits": torch.tensor(1.0)}), r"extra bits has shape \(\): give a row"),
        ],
    )
    def test_what_is_no_explanation_is_refused(self, model, images, found, sentence):
        with pytest.raises(InputError, match=sentence):
            Returning(found).explain(model, images, 0)


class TestAMethodWithAStart:
    @pytest.mark.parametrize("given", [None, "runner_up", 3])
    def test_the_model_runs_once_and_nothing_changes(self, model, images, given):
        model.model = counting = Counting(model.model)
        expected = Slope().explain(model, images, given)
        counting.images = 0
        found = Quick().explain(model, images, given)
        assert counting.images == len(images)
        assert_near(found.maps, expected.maps, 1e-5)
        assert torch.equal(found.extras["index"], expected.extras["index"])

    def test_it_goes_on_from_what_was_started(self, model, images):
        model.model = counting = Counting(model.model)
        started = Quick().begin(model, images)
        counting.images = 0
        found = Quick().explain_cells(model, images, 3, started)
        assert counting.images == 0
        assert_near(found.maps, Slope().explain(model, images, 3).maps, 1e-5)

    def test_a_derived_one_with_another_explain_is_explained_by_that(self, model, images):
        class Reversed(Quick):
            def _explain(self, model, images, targets):
                return Explanation(-super()._explain(model, images, targets).maps, {})

        assert Reversed().begin(model, images) is None
        assert torch.equal(Reversed().attribute(model, images), -Quick().attribute(model, images))


class TestWhatAMethodIs:
    def test_the_verb_is_the_same_for_all(self):
        with pytest.raises(TypeError, match="Own defines explain, which is the same for all methods: define _explain"):
            type("Own", (AttributionMethod,), {"explain": lambda self, model, images, targets=None: None})

        with pytest.raises(TypeError, match="abstract"):
            AttributionMethod()

    def test_most_need_nothing_from_data(self):
        assert Slope().prepare(None, iter(())) is None

    def test_arguments_are_kept_under_their_names(self):
        method = Slope("prob", chunk=3)
        assert method.arguments() == {"output": "prob", "chunk": 3, "fails": False}
        assert method.identity() == {"output": "prob", "fails": False}
        assert repr(method) == "Slope(output='prob', chunk=3, fails=False)"


def test_a_target_without_gradients_is_for_methods_that_look_at_scores_only(model, images):
    class BlackBox(ResolvedClass):
        differentiable = False

    class Sampled(Slope):
        card = Card("", "1 forward", ("gradients",))

    rows = Class(1).resolve(torch.zeros(3, 10))
    given = BlackBox(**{name: getattr(rows, name) for name in rows.__dataclass_fields__})
    assert Slope().explain(model, images, given).maps.shape == (3, *images.shape[-2:])
    with pytest.raises(InputError, match="Sampled needs gradients, and the target's score has none: use a method"):
        Sampled().explain(model, images, given)
