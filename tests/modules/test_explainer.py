import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from lit_coiba.attribution import CoIBA, GradCAM, InputXGradient, LayerCAM, Saliency
from lit_coiba.backbones import Backbone
from lit_coiba.core.batch import Batch, Failure
from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.core.targets import Class
from lit_coiba.core.targets.class_target import class_rows
from lit_coiba.modules.explainer import Explainer
from tests._testers import tiny
from tests._testers.runs import NoisePictures, Shade


class Colours(nn.Module):
    """Logits of four classes: red, green, blue, grey; each is the mean of its channel, grey that of all."""

    def forward(self, images):
        channels = images.mean((-2, -1))
        return 4 * torch.cat([channels, channels.mean(1, keepdim=True)], 1)


@pytest.fixture
def colours():
    return Backbone.wrap(Colours(), Preprocessing(size=(8, 8)), num_classes=4)


def batch(*pixels, labels=None, failures=(), block=3):
    images = torch.tensor(pixels, dtype=torch.float32).reshape(-1, 3, 1, 1).expand(-1, 3, 8, 8)
    ids = tuple(f"image {i}" for i in range(len(images)))
    given = [-1] * len(images) if labels is None else labels
    return Batch(images, ids, torch.tensor(given, dtype=torch.long), block, failures)


RED, GREEN, TEAL = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.8, 1.0)


def probabilities(pixels):
    red, green, blue = pixels
    logits = [4 * red, 4 * green, 4 * blue, 4 * (red + green + blue) / 3]
    return torch.tensor(logits, dtype=torch.float64).softmax(0)


class TestTargets:
    def test_predicted(self, colours):
        record = Explainer(colours, Shade()).predict_step(batch(RED, TEAL, labels=[1, -1]))
        assert (record.block, record.ids, record.failures) == (3, ("image 0", "image 1"), ())
        assert record.targets.tolist() == [0, 2]
        assert record.labels.tolist() == [1, -1]
        expected = [probabilities(RED)[0], probabilities(TEAL)[2]]
        torch.testing.assert_close(record.probabilities.double(), torch.stack(expected), rtol=1e-6, atol=0)
        torch.testing.assert_close(record.maps, torch.tensor([1 / 3, 3 * 1.8 / 3])[:, None, None].expand(2, 2, 2))
        assert record.extras["seen"].tolist() == [0, 2]

    def test_label(self, colours):
        record = Explainer(colours, Shade(), "label").predict_step(batch(RED, TEAL, labels=[3, 1]))
        assert record.targets.tolist() == [3, 1]
        torch.testing.assert_close(record.probabilities[0].double(), probabilities(RED)[3])

    @pytest.mark.parametrize("given", [2, "2"])
    def test_the_number_of_a_class(self, colours, given):
        record = Explainer(colours, Shade(), given).predict_step(batch(RED, GREEN))
        assert record.targets.tolist() == [2, 2]

    @pytest.mark.parametrize("given", ["top3", "top-3"])
    def test_top_k_lists_image_by_image_the_most_probable_first(self, colours, given):
        record = Explainer(colours, Shade(), given).predict_step(batch(RED, TEAL, labels=[0, 2]))
        assert record.ids == ("image 0",) * 3 + ("image 1",) * 3
        assert record.targets.tolist()[:2] == [0, 3]  # then green or blue: a tie
        assert record.targets.tolist()[3:] == [2, 1, 3]
        assert record.labels.tolist() == [0, 0, 0, 2, 2, 2]
        expected = torch.stack([probabilities(TEAL)[k] for k in (2, 1, 3)])
        torch.testing.assert_close(record.probabilities[3:].double(), expected, rtol=1e-6, atol=0)
        torch.testing.assert_close(record.maps[3:, 0, 0], torch.tensor([3.0, 2.0, 4.0]) * 0.6)
        assert record.extras["seen"].tolist() == record.targets.tolist()

    @pytest.mark.parametrize("given", ["runner_up", Class("runner_up"), Class("runner_up", score="prob")])
    def test_a_target(self, colours, given):
        record = Explainer(colours, Shade(), given).predict_step(batch(RED, TEAL))
        assert record.targets.tolist() == [3, 1]

    def test_the_name_of_a_class_is_looked_up_in_the_images(self, colours):
        explainer, images = Explainer(colours, Shade(), "class:blue"), NoisePictures(2)
        images.classes = ["red", "green", "blue", "grey"]
        explainer.check(images)
        assert explainer.predict_step(batch(RED, GREEN)).targets.tolist() == [2, 2]
        images.classes = ["red", "blue"]  # not the model's
        with pytest.raises(InputError, match="the class names are unknown"):
            explainer.check(images)

    def test_images_may_have_different_numbers_of_rows(self, colours):
        class Odd(Class):
            """The label's image has no row, the others have as many as their position."""

            def resolve(self, out, labels=None, names=()):
                image = torch.tensor([1, 2, 2])
                return class_rows(torch.tensor([3, 2, 0]), 4, image, reasons={0: "there is nothing to explain"})

        record = Explainer(colours, Shade(), Odd()).predict_step(batch(RED, GREEN, TEAL))
        assert (record.ids, record.targets.tolist()) == (("image 1", "image 2", "image 2"), [3, 2, 0])
        assert record.extras["seen"].tolist() == [3, 2, 0]
        torch.testing.assert_close(record.maps[:, 0, 0], torch.tensor([4 / 3, 3 * 0.6, 0.6]))
        assert record.failures == (Failure("image 0", "there is nothing to explain"),)

    def test_top_k_explains_rank_by_rank_so_that_memory_does_not_grow(self, colours):
        class Counting(Shade):
            sizes = ()

            def _explain(self, model, images, targets):
                self.sizes = (*self.sizes, len(images))
                return super()._explain(model, images, targets)

        method = Counting()
        Explainer(colours, method, "top4").predict_step(batch(RED, TEAL))
        assert method.sizes == (2, 2, 2, 2)

    @pytest.mark.parametrize(("given", "forwards"), [("predicted", 1), ("label", 1), ("top3", 3)])
    @pytest.mark.parametrize("method", [Saliency(), InputXGradient(), GradCAM(), LayerCAM()], ids=repr)
    def test_the_first_rank_goes_on_from_the_forward_that_gave_the_logits(self, method, given, forwards):
        model = tiny.resnet()
        images = tiny.images(2, model.preprocessing.size)
        expected = method.attribute(model, images, model.eval()(images).argmax(1))
        explainer, seen = Explainer(model, method, given), []
        handle = model.model.conv1.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
        record = explainer.predict_step(Batch(images, ("a", "b"), model(images).argmax(1), 0))
        handle.remove()
        assert sum(seen) - 2 == 2 * forwards  # 2 for the labels
        best = record.maps[:: 3 if given == "top3" else 1]
        torch.testing.assert_close(best, expected, rtol=1e-4, atol=1e-6)

    def test_an_image_without_a_row_leaves_the_others_their_maps(self):
        model = tiny.resnet()
        images, labels = tiny.images(3, model.preprocessing.size), torch.tensor([4, -1, 2])
        record = Explainer(model, Saliency(), "label").predict_step(Batch(images, tuple("abc"), labels, 0))
        assert record.ids == ("a", "c")
        expected = Saliency().attribute(model, images[::2], labels[::2])
        torch.testing.assert_close(record.maps, expected, rtol=1e-4, atol=1e-6)

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            (4, "targets: class 4 is outside the model's range 0 to 3"),
            ("-1", "targets: class -1 is outside the model's range 0 to 3"),
            ("top5", "targets: top5 asks for 5 classes, but the model has 4"),
            ("top0", "targets: top0 selects no class: give top1 or more"),
            (
                "labels",
                "targets is 'labels': did you mean label? Else give predicted, label",
            ),
            ("1.5", "targets is '1.5': give predicted"),
        ],
    )
    def test_others_are_refused_in_one_sentence(self, colours, given, message):
        with pytest.raises(InputError) as error:
            Explainer(colours, Shade(), given)
        assert message in str(error.value)


class TestFailures:
    def test_of_labels_that_no_class_has(self, colours):
        record = Explainer(colours, Shade(), "label").predict_step(batch(RED, GREEN, TEAL, labels=[-1, 1, 4]))
        assert record.ids == ("image 1",)
        assert record.failures == (
            Failure("image 0", "it has no label"),
            Failure("image 2", "class 4 is outside the model's range 0 to 3"),
        )

    def test_of_files_come_first_and_stay(self, colours):
        torn = Failure("torn.png", "the file is torn")
        record = Explainer(colours, Shade(), "label").predict_step(batch(RED, labels=[-1], failures=(torn,)))
        assert record.failures == (torn, Failure("image 0", "it has no label"))
        assert (record.ids, record.extras, len(record.maps)) == ((), {}, 0)

    @pytest.mark.parametrize("targets", ["predicted", "label", "2", "top3"])
    def test_of_a_block_without_a_readable_image(self, colours, targets):
        method = Shade()
        torn = (Failure("a", "torn"), Failure("b", "torn"))
        empty = Batch(torch.empty(0, 3, 8, 8), (), torch.empty(0, dtype=torch.long), 7, torn)
        record = Explainer(colours, method, targets).predict_step(empty)
        assert (record.block, record.ids, record.failures, method.explained) == (7, (), torn, 0)
        assert [len(part) for part in record[2:6]] == [0, 0, 0, 0]

    def test_of_a_map_that_is_not_finite(self, colours):
        record = Explainer(colours, Shade(not_finite_for=2)).predict_step(batch(RED, TEAL, GREEN))
        assert record.ids == ("image 0", "image 2")
        assert record.targets.tolist() == [0, 1]
        assert record.extras["seen"].tolist() == [0, 1]
        (failure,) = record.failures
        assert failure == Failure("image 1", "its map is not finite: check the weights and the normalization")

    def test_of_one_rank_leave_the_others(self, colours):
        record = Explainer(colours, Shade(not_finite_for=3), "top2").predict_step(batch(RED, GREEN))
        assert record.targets.tolist() == [0, 1]  # grey is the second of both
        assert [failure.id for failure in record.failures] == ["image 0", "image 1"]

    @pytest.mark.parametrize("targets", ["predicted", "label", "1"])
    def test_of_an_output_that_is_not_finite(self, colours, targets):
        method = Shade()
        broken = (float("nan"), 0.0, 0.0)
        record = Explainer(colours, method, targets).predict_step(batch(RED, broken, labels=[0, 0]))
        assert record.ids == ("image 0",)
        assert method.explained == 1
        reason = "the model's output is not finite: check the weights and the normalization"
        assert record.failures == (Failure("image 1", reason),)


def test_a_batch_of_eight_equals_eight_of_one():
    model = tiny.vit()
    method = CoIBA(steps=4, copies=2)
    sample = tiny.images(40, (32, 32), seed=5)
    method.set_statistics(model, tiny.statistics(model, model.default_layers()), [sample])
    images = tiny.images(8, (32, 32))
    labels = torch.arange(8)
    explainer = Explainer(model, method, "top2")
    ids = tuple(map(str, range(8)))
    together = explainer.predict_step(Batch(images, ids, labels, 0))
    alone = [explainer.predict_step(Batch(images[i : i + 1], ids[i : i + 1], labels[i : i + 1], i)) for i in range(8)]
    assert together.ids == sum((record.ids for record in alone), ())
    assert together.targets.tolist() == torch.cat([record.targets for record in alone]).tolist()
    maps = torch.cat([record.maps for record in alone])
    assert maps.amax((1, 2)).min() > 0.1
    difference = (together.maps - maps).abs().amax((1, 2)) / maps.abs().amax((1, 2))
    assert difference.max() < 1e-4
    for name, values in together.extras.items():
        torch.testing.assert_close(values, torch.cat([record.extras[name] for record in alone]), rtol=1e-4, atol=1e-5)


def test_the_probabilities_are_those_of_evaluation_and_move_no_buffer():
    model = Backbone.wrap(
        nn.Sequential(nn.BatchNorm2d(3), Colours()), Preprocessing(size=(8, 8)), num_classes=4
    ).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    record = Explainer(model, Shade()).predict_step(batch(RED, TEAL))
    torch.testing.assert_close(record.probabilities[0].double(), probabilities(RED)[0], rtol=1e-4, atol=0)
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


class TestWeights:
    """Of a trained classifier: they replace the backbone's."""

    @pytest.fixture
    def trained(self):
        return tiny.vit(seed=1)

    def logits_agree(self, trained, explainer):
        images = tiny.images(2, (32, 32))
        torch.testing.assert_close(explainer(images), trained(images))
        return True

    def test_from_safetensors_of_the_model(self, trained, tmp_path):
        save_file(trained.model.state_dict(), tmp_path / "weights.safetensors")
        explainer = Explainer(tiny.vit(), Shade(), weights=str(tmp_path / "weights.safetensors"))
        assert self.logits_agree(trained, explainer)

    def test_from_a_lightning_checkpoint(self, trained, tmp_path):
        state = {f"network.{name}": value for name, value in trained.state_dict().items()}
        torch.save({"state_dict": state, "hyper_parameters": {"lr": 0.1}}, tmp_path / "last.ckpt")
        assert self.logits_agree(trained, Explainer(tiny.vit(), Shade(), weights=str(tmp_path / "last.ckpt")))

    def test_of_another_model_are_refused(self, tmp_path):
        save_file({"layer.weight": torch.ones(2, 2)}, tmp_path / "other.safetensors")
        with pytest.raises(InputError, match="does not fit"):
            Explainer(tiny.vit(), Shade(), weights=str(tmp_path / "other.safetensors"))
