"""The engine of insertion and deletion: checks D1 to D5 of docs/checks.md, cells, presets, settings, errors."""

import copy
import itertools

import pytest
import torch
from torch import nn

from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.core.targets import Class
from lit_coiba.core.targets.class_target import class_rows
from lit_coiba.metrics import Deletion, Insertion
from lit_coiba.perturbation.baselines import BaselineImages
from tests._testers.metrics import SIZE, network, uniform
from tests._testers.perturbation import slow_curve

PIXELWISE = {"output": "logit", "baseline": "zero", "step": 1}


class Linear(nn.Module):
    """One logit b + w . x; `seen` counts images and forwards."""

    def __init__(self, weight, bias=0.0):
        super().__init__()
        self.weight, self.bias, self.seen = torch.as_tensor(weight, dtype=torch.float64), bias, []

    def forward(self, images):
        self.seen.append(len(images))
        return (images * self.weight).sum((1, 2, 3)).unsqueeze(1) + self.bias


class TestExactValues:
    model = Linear([[[2.0, 1.0, 0.5, 0.25]]])
    images = torch.tensor([[[[0.2, 0.3, 0.4, 0.4]]]], dtype=torch.float64)  # contributions 0.4, 0.3, 0.2, 0.1
    maps = (images * model.weight)[:, 0]

    def test_d1_deletion(self):
        curve = Deletion(**PIXELWISE).curves(self.model, self.images, None, self.maps)
        assert curve[0].tolist() == pytest.approx([1, 0.6, 0.3, 0.1, 0])
        assert Deletion(**PIXELWISE).score(self.model, self.images, None, self.maps).item() == pytest.approx(0.375)

    def test_d1_insertion(self):
        curve = Insertion(**PIXELWISE).curves(self.model, self.images, None, self.maps)
        assert curve[0].tolist() == pytest.approx([0, 0.4, 0.7, 0.9, 1])
        assert Insertion(**PIXELWISE).score(self.model, self.images, None, self.maps).item() == pytest.approx(0.625)

    @pytest.mark.parametrize("reverse", [{"maps": -1}, {"order": "lerf"}])
    def test_d1_deletion_in_reverse(self, reverse):
        metric = Deletion(**PIXELWISE, order=reverse.get("order", "morf"))
        score = metric.score(self.model, self.images, None, reverse.get("maps", 1) * self.maps)
        assert score.item() == pytest.approx(0.625)

    def test_d1_steps_of_two_pixels(self):
        metric = Deletion(output="logit", steps=2)
        assert metric.curves(self.model, self.images, None, self.maps)[0].tolist() == pytest.approx([1, 0.3, 0])
        assert metric.score(self.model, self.images, None, self.maps).item() == pytest.approx(0.4)


@pytest.mark.parametrize("steps", [2, 3, 9, 54])  # all of them divide 6 x 9 pixels
def test_d1_inserting_by_a_map_is_deleting_by_its_negative(steps):
    model, images, maps = network(), uniform(4, 3, *SIZE), uniform(4, *SIZE, seed=2)
    for baseline in ("zero", "blur", "mean", "minimum", 0.3):
        arguments = {"baseline": baseline, "steps": steps}
        insertion = Insertion(**arguments).curves(model, images, None, maps)
        deletion = Deletion(**arguments).curves(model, images, None, -maps)
        torch.testing.assert_close(insertion, deletion.flip(1), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("metric", [Insertion, Deletion])
def test_d2_only_the_order_of_a_map_matters(metric):
    model, images, maps = network(), uniform(4, 3, *SIZE), uniform(4, *SIZE, seed=2)
    expected = metric().score(model, images, None, maps)
    for same in (3 * maps - 7, maps**3, maps.exp(), maps.logit()):
        assert torch.equal(metric().score(model, images, None, same), expected)
    assert not torch.equal(metric().score(model, images, None, -maps), expected)


@pytest.mark.parametrize("metric", [Insertion, Deletion])
def test_d3_a_constant_model_scores_its_constant(metric):
    model = Linear(torch.zeros(3, *SIZE), bias=0.7)
    score = metric(output="logit").score(model, uniform(2, 3, *SIZE), None, uniform(2, 4, 4))
    assert score.tolist() == pytest.approx([0.7, 0.7])
    for output in ("prob", "logprob"):  # 1 and 0, whatever the image: of a single output they say nothing
        with pytest.raises(InputError, match="the model has a single output"):
            metric(output=output).score(model, uniform(2, 3, *SIZE), None, uniform(2, 4, 4))


@pytest.mark.parametrize("output", ["prob", "logit", "logprob"])
def test_d4_deletion_goes_from_the_image_to_its_baseline(output):
    model, images, targets = network(), uniform(3, 3, *SIZE), torch.tensor([0, 3, 1])
    curves = Deletion(output=output, baseline=0.2).curves(model, images, targets, uniform(3, 2, 2))
    model.eval()
    of = {"prob": lambda z: z.softmax(1), "logit": lambda z: z, "logprob": lambda z: z.log_softmax(1)}[output]
    with torch.no_grad():
        start, end = (of(model(x)).gather(1, targets[:, None])[:, 0] for x in (images, torch.full_like(images, 0.2)))
    torch.testing.assert_close(curves[:, 0], start)
    torch.testing.assert_close(curves[:, -1], end)


@pytest.mark.parametrize("step", [1, 4, 54])
def test_d5_the_curve_is_the_one_of_pixel_flipping(step):
    """Quantus is no dependency: a loop over single pixels stands for its PixelFlipping (numeric baseline)."""
    model, images, maps = network(), uniform(2, 3, *SIZE), uniform(2, *SIZE, seed=4)
    targets = torch.tensor([2, 0])
    curves = Deletion(step=step, baseline=0.1).curves(model, images, targets, maps)
    for image, target, map, curve in zip(images, targets, maps, curves):
        expected = slow_curve(model, image, int(target), map, step, torch.full_like(image, 0.1), inserts=False)
        assert curve[1:].tolist() == pytest.approx(expected[1:], rel=1e-10)  # Quantus leaves the clean image out


def test_cells_are_exchanged_whole_in_the_order_of_the_map_itself():
    weight = torch.zeros(1, 4, 6, dtype=torch.float64)
    cells = torch.tensor([[0.1, 0.4, 0.2], [0.05, 0.15, 0.1]], dtype=torch.float64)
    weight[0] = cells.repeat_interleave(2, 0).repeat_interleave(2, 1) / 4
    images, model = torch.ones(1, 1, 4, 6, dtype=torch.float64), Linear(weight)
    metric = Deletion(output="logit", grid_size=(2, 3), step=1)
    exact = [1, 0.6, 0.4, 0.25, 0.15, 0.05, 0]  # 0.4, 0.2, 0.15, then the first of the two 0.1
    for same in (cells[None], weight):  # on the cells' own grid, and pixel by pixel
        assert metric.curves(model, images, None, same)[0].tolist() == pytest.approx(exact)
    halves = Deletion(output="logit", grid_size=(2, 3), steps=2).curves(model, images, None, cells[None])
    assert halves[0].tolist() == pytest.approx([1, 0.25, 0])
    rows = Deletion(output="logit", grid_size=(2, 3)).curves(model, images, None, cells[None])  # preset: a row of cells
    assert torch.equal(rows, halves)
    assert Deletion(output="logit", grid_size=3, steps=9).curves(model, images, None, cells[None]).shape == (1, 10)


def test_ties_go_first_or_last():
    images, model = torch.tensor([[[[0.4, 0.3, 0.2, 0.1]]]], dtype=torch.float64), Linear(torch.ones(1, 1, 4))
    constant = torch.ones(1, 1, 4)
    assert Deletion(**PIXELWISE).score(model, images, None, constant).item() == pytest.approx(0.375)
    assert Deletion(**PIXELWISE, ties="last").score(model, images, None, constant).item() == pytest.approx(0.625)


def test_a_random_order_is_the_same_for_every_image_and_not_the_maps():
    model, image = network(), uniform(1, 3, *SIZE)
    maps = uniform(3, *SIZE, seed=1)
    first = Deletion(order="random").score(model, image.expand(3, -1, -1, -1), None, maps)
    assert first.max() - first.min() < 1e-12
    second = Deletion(order="random", seed=1).score(model, image, None, maps[:1])
    assert abs(first[0] - second[0]) > 1e-6


def test_baselines_by_hand():
    images = torch.tensor([[[[0.0, 1.0]], [[4.0, 6.0]]]], dtype=torch.float64)  # two channels
    ends = {"zero": [0, 0], "mean": [0.5, 5], "minimum": [0, 0], -2: [-2, -2]}
    for baseline, (first, second) in ends.items():
        for channel, value in ((0, first), (1, second)):
            weight = torch.zeros(2, 1, 2)
            weight[channel] = 0.5
            curve = Deletion(**{**PIXELWISE, "baseline": baseline}).curves(
                Linear(weight), images, None, torch.ones(1, 1, 2)
            )
            assert curve[0, -1].item() == value


class TestSpace:
    images = 2 * uniform(2, 3, *SIZE) - 1

    def end(self, model, **arguments):
        return Deletion(space="pixels", baseline=0.25, steps=3, **arguments).curves(
            model, self.images, None, uniform(2, 2, 2)
        )

    def test_pixels_are_normalised_as_the_model_says(self):
        model = network()
        given = self.end(model, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
        model.preprocessing = Preprocessing(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
        assert torch.equal(self.end(model), given)
        assert not torch.allclose(self.end(model, mean=(0.5,) * 3, std=(0.5,) * 3), given)

    def test_a_model_that_does_not_say_is_refused(self):
        with pytest.raises(InputError, match="give mean and std"):
            self.end(network())

    def test_the_wrong_number_of_channels_is_refused(self):
        with pytest.raises(InputError, match="for 3 channels"):
            self.end(network(), mean=(0.5,), std=(0.5,))


@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_forwards_have_at_most_chunk_images_and_none_is_run_twice(chunk):
    model, images, maps = Linear(torch.ones(3, *SIZE)), uniform(5, 3, *SIZE), uniform(5, 2, 2)
    found = Insertion(output="logit", steps=6, chunk=chunk).score(model, images, None, maps)
    assert model.seen[0] == 5  # the clean images: their classes and one end of the curves
    assert max(model.seen[1:]) <= chunk
    assert sum(model.seen) == 5 * 7
    torch.testing.assert_close(found, Insertion(output="logit", steps=6).score(model, images, None, maps))


def test_any_callable_is_a_model():
    weight = torch.rand(3 * 54, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    score = Deletion().score(lambda images: images.flatten(1) @ weight, uniform(2, 3, *SIZE), None, uniform(2, 2, 2))
    assert score.shape == (2,)
    assert score.isfinite().all()


@pytest.mark.parametrize(("arguments", "points"), [({"steps": 6}, 7), ({}, 101)])
def test_the_mean_curve_is_over_the_defined_samples(arguments, points):
    model, images, maps = network(), uniform(5, 3, *SIZE), uniform(5, 3, 3)
    maps[3] = torch.nan
    metric = Deletion(**arguments)
    for rows in (slice(0, 2), slice(2, 5)):
        metric.update(model, images[rows], None, maps[rows])
    found = metric.mean_curve()
    curves = Deletion(**arguments).curves(model, images, None, maps)[[0, 1, 2, 4]]
    assert found.shape == (points,)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found[[0, -1]], curves[:, [0, -1]].mean(0))
    if arguments:
        torch.testing.assert_close(found, curves.mean(0))
    torch.testing.assert_close(metric.compute(), ((curves[:, 1:] + curves[:, :-1]) / 2).mean())


class TestTargets:
    """What is explained may be given as classes, as a target or as what it was resolved to."""

    model, images, maps = network(), uniform(3, 3, *SIZE), uniform(3, 2, 2, seed=1)
    classes = torch.tensor([2, 2, 2])

    def score(self, targets, model=None, **arguments):
        return Deletion(steps=3, **arguments).score(model or self.model, self.images, targets, self.maps)

    @pytest.mark.parametrize("targets", [2, [2, 2, 2], Class(2), class_rows(classes, 4), Class(2, score="prob")])
    def test_all_ways_to_name_a_class_are_the_same(self, targets):
        assert torch.equal(self.score(targets), self.score(self.classes))

    def test_the_predicted_class_stays_when_pixels_go(self):
        assert torch.equal(self.score(Class()), self.score(None))

    def test_a_target_of_several_rows_is_refused(self):
        with pytest.raises(InputError, match="targets selects 6 rows for 3 images"):
            self.score(Class("top2"))

    def test_a_targets_own_score_comes_before_the_default_and_not_before_another_one(self):
        assert torch.equal(self.score(Class(2, score="logit")), self.score(self.classes, output="logit"))
        with pytest.raises(InputError, match="the target's score is logprob and output is logit"):
            self.score(Class(2, score="logprob"), output="logit")

    def test_models_may_return_structures(self):
        model = copy.deepcopy(self.model).eval()

        def both(images):
            return {"logits": model(images), "features": images.mean((2, 3))}

        assert torch.equal(self.score(Class(2, output="logits"), both), self.score(self.classes))
        assert torch.equal(self.score(self.classes, lambda images: (model(images),)), self.score(self.classes))
        with pytest.raises(InputError, match=r"the model returns 'logits' .*, 'features' .*: set the"):
            self.score(self.classes, both)

    def test_an_output_that_is_not_finite_leaves_its_sample_undefined(self):
        images = self.images.clone()
        images[1, 0, 0, 0] = torch.nan
        found = Deletion(steps=3).score(self.model, images, None, self.maps)
        assert found.isnan().tolist() == [False, True, False]


def test_settings_show_what_a_preset_filled_in():
    rise, coiba = Insertion().settings(), Insertion(preset="coiba", blur_sigma=40.0, steps=28).settings()
    assert [rise[name] for name in ("baseline", "space", "rows", "blur_size", "blur_sigma")] == [
        "blur",
        "input",
        1,
        11,
        5,
    ]
    assert [coiba[name] for name in ("space", "rows", "steps", "blur_size", "blur_sigma")] == [
        "pixels",
        None,
        28,
        51,
        40,
    ]
    assert Deletion().settings()["baseline"] == "zero"
    assert Deletion(preset="coiba").settings()["rows"] == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "quantus"}, "preset is 'quantus': choose rise, coiba"),
        ({"output": "softmax"}, "output is 'softmax': give prob"),
        ({"baseline": "zeros"}, "baseline is 'zeros': give zero or .* or a finite number"),
        ({"space": "rgb"}, "space is"),
        ({"order": "down"}, "order is"),
        ({"ties": "any"}, "ties is"),
        ({"unit": "channel"}, "unit is"),
        ({"area": "sum"}, "area is"),
        ({"unit": "entry", "grid_size": 3}, "unit is entry and grid_size 3"),
        ({"blur": "box"}, "blur is"),
        ({"steps": 4, "step": 2}, "give one of the three"),
        ({"steps": 0}, "steps is 0"),
        ({"step": -1}, "step is -1"),
        ({"rows": 0}, "rows is 0"),
        ({"chunk": 0}, "chunk is 0"),
        ({"grid_size": 0}, "grid_size is 0"),
        ({"grid_size": (2, 0)}, "grid_size is"),
        ({"blur_size": 10}, "blur_size is 10"),
        ({"blur_sigma": 0.0}, "blur_sigma is"),
        ({"mean": (0.5, 0.5, 0.5)}, "mean and std belong together"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Insertion(**arguments)


@pytest.mark.parametrize(
    ("arguments", "inputs", "message"),
    [
        ({"grid_size": 7}, {}, "images have 6 x 9 pixels"),
        ({"grid_size": 3, "steps": 10}, {}, "steps is 10, but there are 9"),
        ({"blur": "gaussian"}, {"images": uniform(2, 3, 5, 9)}, "blur_size is 11: images of 5 pixels"),
        ({}, {"images": uniform(3, *SIZE)}, "images have shape"),
        ({}, {"maps": uniform(3, 4, 4)}, "each of the 2 samples"),
        ({}, {"targets": torch.tensor([1, 4])}, "image 1 of the batch has class 4"),
        ({}, {"model": lambda images: images}, "must return .* logits"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(arguments, inputs, message):
    given = {"model": network(), "images": uniform(2, 3, *SIZE), "targets": None, "maps": uniform(2, 4, 4), **inputs}
    with pytest.raises(InputError, match=message):
        Insertion(**arguments).score(**given)


class TestPresets:
    """Published protocols, each written out as a loop."""

    model, images, maps = network(), uniform(2, 3, *SIZE), uniform(2, *SIZE, seed=4)
    targets = torch.tensor([2, 0])

    def logits(self, image, row):
        with torch.no_grad():
            return copy.deepcopy(self.model).eval()(image[None])[0]

    def probability(self, image, row):
        return self.logits(image, row).softmax(0)[self.targets[row]].item()

    def score(self, metric, **arguments):
        return metric(**arguments).score(self.model, self.images, self.targets, self.maps).tolist()

    @pytest.mark.parametrize("metric", [Insertion, Deletion])
    def test_xplique(self, metric):
        """Logits at eleven points; all images are exchanged with zeros."""
        expected = []
        for row, image in enumerate(self.images):
            order = self.maps[row].flatten().argsort(descending=True)
            points = []
            for share in range(11):
                gone = torch.zeros(54, dtype=torch.bool)
                gone[order[: int(54 * share / 10)]] = True
                gone = gone.view(SIZE)
                shown = torch.where(gone if metric is Insertion else ~gone, image, 0)
                points.append(self.logits(shown, row)[self.targets[row]].item())
            expected.append(sum((a + b) / 2 for a, b in itertools.pairwise(points)) / 10)
        assert self.score(metric, preset="xplique") == pytest.approx(expected, rel=1e-10)
        assert metric(preset="xplique").forwards((224, 224)) == 11
        ties = metric(preset="xplique").curves(self.model, self.images, self.targets, torch.ones(2, *SIZE))
        last = metric(preset="xplique", ties="first").curves(
            self.model, self.images, self.targets, torch.arange(54.0).view(1, *SIZE).expand(2, -1, -1)
        )
        assert torch.equal(ties, last)  # the last of equal pixels goes first

    def test_d5_quantus_pixel_flipping(self):
        """Entries, one at a time, become the image's minimum; the area leaves out the clean image and sums up steps."""
        expected = []
        for row, image in enumerate(self.images):
            entries = self.maps[row].expand(3, -1, -1).flatten()
            order = sorted(range(162), key=lambda entry: -float(entries[entry]))  # stable: the first channel first
            changed, points = image.clone().flatten(), []
            for entry in order:
                changed[entry] = image.min()
                points.append(self.probability(changed.view_as(image), row))
            expected.append(sum((a + b) / 2 for a, b in itertools.pairwise(points)))
        assert self.score(Deletion, preset="quantus_pf") == pytest.approx(expected, rel=1e-10)
        assert Deletion(preset="quantus_pf").forwards(SIZE) == 1 + 3 * 54
        with pytest.raises(InputError, match="which is a deletion: choose Deletion"):
            Insertion(preset="quantus_pf")

    @pytest.mark.parametrize("metric", [Insertion, Deletion])
    def test_iba(self, metric):
        """Ten pixels a step; the area leaves out the first point, and steps are one K-th wide."""
        baseline = (
            BaselineImages("blur", "input", "gaussian", 9, 5.0) if metric is Insertion else BaselineImages("zero")
        )
        images, maps = uniform(2, 3, 12, 9), uniform(2, 12, 9, seed=4)
        model, expected = network((12, 9)), []
        for row, other in enumerate(baseline.of(images, model)):
            points = slow_curve(model, images[row], int(self.targets[row]), maps[row], 10, other, metric is Insertion)
            expected.append(sum((a + b) / 2 for a, b in itertools.pairwise(points[1:])) / 11)
        found = metric(preset="iba").score(model, images, self.targets, maps)
        assert found.tolist() == pytest.approx(expected, rel=1e-10)

    def test_settings_record_them_and_the_users_own_come_first(self):
        xplique = Insertion(preset="xplique").settings()
        assert [xplique[name] for name in ("output", "baseline", "steps", "rows", "ties")] == [
            *("logit", "zero", 10, None, "last")
        ]
        flipping = Deletion(preset="quantus_pf", step=9).settings()
        assert [flipping[name] for name in ("baseline", "step", "unit", "area")] == ["minimum", 9, "entry", "quantus"]
        iba = Insertion(preset="iba", blur_sigma=15.0, steps=7).settings()
        assert [iba[name] for name in ("blur_size", "blur_sigma", "steps", "step", "area")] == [
            *(9, 15.0, 7, None, "input_iba")
        ]

    def test_a_targets_own_score_comes_before_that_of_a_preset(self):
        ours = Deletion(preset="xplique").score(self.model, self.images, Class(2, score="prob"), self.maps)
        asked = Deletion(preset="xplique", output="prob").score(self.model, self.images, 2, self.maps)
        assert torch.equal(ours, asked)

    def test_tables_of_before_know_the_metric_by_what_it_was(self):
        assert not {"unit", "area"} & Deletion().identity().keys()
        assert Deletion(unit="entry", step=9).identity()["unit"] == "entry"

    def test_a_map_that_is_not_finite_has_no_area_of_any_rule(self):
        maps = self.maps.clone()
        maps[1, 0, 0] = torch.nan
        for area in ("normalized", "quantus", "input_iba"):
            for step in (7, 54):
                found = Deletion(area=area, step=step).score(self.model, self.images, self.targets, maps)
                assert found.isnan().tolist() == [False, True]
