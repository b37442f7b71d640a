"""What every head owes, whatever it computes.

A test of a head names the head, its arguments and a slow oracle of one image, and inherits the rest.
"""

from __future__ import annotations

import copy
import json
import math
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from lit_coiba.core.errors import InputError
from lit_coiba.heads import Head

CHANNELS, CLASSES, SIZE = 6, 4, (3, 5)  # small, and a grid that is not square


def features(count: int, dtype: torch.dtype = torch.float64, seed: int = 0, size: tuple[int, int] = SIZE) -> Tensor:
    """Of either sign, no two alike."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, CHANNELS, *size, generator=generator, dtype=torch.float64).to(dtype)


def learnable(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Features of 64 images, non-negative, each with its class's direction at one position; and the classes."""
    generator = torch.Generator().manual_seed(seed)
    directions = 10 * torch.rand(CLASSES, CHANNELS, generator=generator)
    values = torch.rand(64, CHANNELS, SIZE[0] * SIZE[1], generator=generator)
    classes, rows = torch.arange(64) % CLASSES, torch.arange(64)
    places = torch.randint(values.shape[-1], (64,), generator=generator)
    values[rows, :, places] += directions[classes]
    return values.unflatten(-1, SIZE), classes


def slow_representatives(values: Tensor, parts: int, refine: bool = True, clamp: bool = False) -> dict[str, list[Any]]:
    """The algorithm box of BR-NPA for one image (C, h, w), number by number in Python's own floats."""
    pixels = [list(pixel) for pixel in zip(*(plane.flatten().tolist() for plane in values))]
    norms = [math.sqrt(sum(v * v for v in pixel)) + 1e-5 for pixel in pixels]
    activity = list(norms)
    found: dict[str, list[Any]] = {"seeds": [], "activity": [], "similarities": [], "maps": [], "vectors": []}
    for _ in range(parts):
        seed = max(range(len(pixels)), key=lambda j: activity[j])
        cosines = []
        for pixel, norm in zip(pixels, norms):
            cosine = sum(a * b for a, b in zip(pixel, pixels[seed])) / (norm * norms[seed])
            cosines.append(max(cosine, 0.0) if clamp else cosine)
        map = [cosine / sum(cosines) for cosine in cosines]
        mean = [sum(weight * pixel[c] for weight, pixel in zip(map, pixels)) for c in range(len(values))]
        for name, value in (("seeds", seed), ("activity", activity), ("similarities", cosines), ("maps", map)):
            found[name].append(value)
        found["vectors"].append(mean if refine else pixels[seed])
        activity = [(1 - cosine) * a for cosine, a in zip(cosines, activity)]
    return found


class HeadTester:
    """Inputs: `head`, `arguments` and `oracle(head, features (C, h, w), target)`: contributions and the map."""

    head: ClassVar[type[Head]]
    arguments: ClassVar[dict[str, Any]] = {}
    map_sums_to_the_logit: ClassVar[bool] = True

    def oracle(self, head: Any, values: Tensor, target: int) -> tuple[list[float], Tensor]:
        raise NotImplementedError

    def build(self, dtype: torch.dtype = torch.float64, **arguments: Any) -> Any:
        """In evaluation mode, each parameter away from its start."""
        head = self.head(CHANNELS, CLASSES, **{**self.arguments, **arguments})
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in head.parameters():
                parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
        head.constrain()
        return head.to(dtype).eval()

    def test_contributions_and_map_are_those_of_the_slow_oracle(self):
        head, values, targets = self.build(), features(4), torch.tensor([2, 0, 1, 3])
        explanation = head.explain(values, targets)
        for i in range(4):
            contributions, map = self.oracle(head, values[i], int(targets[i]))
            assert explanation.contributions[i].tolist() == pytest.approx(contributions, rel=1e-10, abs=1e-12)
            torch.testing.assert_close(explanation.maps[i], map, rtol=1e-9, atol=1e-11)

    @pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
    def test_contributions_and_bias_sum_to_the_logit(self, dtype, tolerance):
        head, values = self.build(dtype), features(5, dtype)
        logits = head(values)
        assert logits.shape == (5, CLASSES)
        assert logits.dtype == dtype
        assert logits.std() > 0.05  # else the test says little
        for target in range(CLASSES):
            classes = torch.full((5,), target)
            sums = head.contributions(values, classes).sum(1) + head.bias_of(classes)
            torch.testing.assert_close(sums, logits[:, target], rtol=tolerance, atol=tolerance)

    def test_the_map_sums_to_the_logit_without_bias(self):
        head, values = self.build(), features(5)
        explanation = head.explain(values, 1)
        sums = explanation.maps.sum((-2, -1))
        same = torch.allclose(sums, explanation.contributions.sum(1), rtol=1e-10)
        assert same == self.map_sums_to_the_logit

    @pytest.mark.parametrize("top", [1, 2, 100])
    def test_an_explanation_has_its_shapes(self, top):
        head = self.build()
        units = min(top, head.units)
        explanation = head.explain(features(3), torch.tensor([0, 1, 3]), top=top)
        shapes = [(3, head.units), (3, *SIZE), (3, units), (3, units, *SIZE)]
        assert [tuple(value.shape) for value in explanation] == shapes
        assert explanation.units.dtype == torch.int64
        assert all(value.isfinite().all() for value in explanation)
        assert not any(value.requires_grad for value in explanation)
        assert tuple(head.activations(features(3)).shape) == (3, head.units, *SIZE)

    def test_units_descend_and_bring_their_own_maps(self):
        head, values = self.build(), features(4)
        few, all = (head.explain(values, 2, top=top) for top in (2, head.units))
        sizes = all.contributions.abs().gather(1, all.units)
        assert (sizes[:, :-1] >= sizes[:, 1:]).all()
        assert all.units.sort(1).values.tolist() == [list(range(head.units))] * 4
        assert torch.equal(few.units, all.units[:, :2])
        assert torch.equal(few.unit_maps, all.unit_maps[:, :2])
        signed = head.activations(values)
        for i, (units, maps) in enumerate(zip(all.units, all.unit_maps)):
            for unit, map in zip(units, maps):  # one side of the unit's own map
                sides = signed[i, unit].relu(), (-signed[i, unit]).relu()
                assert any(torch.allclose(map, side, rtol=1e-12, atol=1e-12) for side in sides)

    def test_a_batch_equals_its_images_one_by_one(self):
        head, values, targets = self.build(), features(4), torch.tensor([3, 0, 1, 1])
        together = [head(values), *head.explain(values, targets)]
        alone = zip(*([head(v[None]), *head.explain(v[None], t[None])] for v, t in zip(values, targets)))
        for one, several in zip(alone, together):
            torch.testing.assert_close(torch.cat(one), several, rtol=1e-12, atol=1e-12)

    def test_one_target_serves_all_and_none_is_the_prediction(self):
        head, values = self.build(), features(4)
        predicted = head(values).argmax(1)
        for given, targets in ((2, torch.full((4,), 2)), (None, predicted)):
            for found, expected in zip(head.explain(values, given), head.explain(values, targets)):
                assert torch.equal(found, expected)

    def test_gradients_are_those_of_differences(self):
        head, values = self.build(), features(2).requires_grad_()
        assert torch.autograd.gradcheck(head, values)
        cross_entropy(head(values), torch.tensor([0, 1])).backward()
        assert all(parameter.grad.abs().sum() > 0 for parameter in head.parameters())

    def test_contributions_can_be_differentiated(self):
        head, values = self.build(), features(2).requires_grad_()
        assert torch.autograd.gradcheck(lambda v: head.contributions(v, torch.tensor([0, 1])), values)

    def test_arguments_and_state_rebuild_the_head(self, tmp_path):
        head, values = self.build(), features(3)
        arguments = json.loads(json.dumps(head.arguments()))
        assert arguments.items() >= {"in_channels": CHANNELS, "num_classes": CLASSES, **self.arguments}.items()
        assert all(f"{name}=" in repr(head) for name in arguments)
        torch.save(head.state_dict(), tmp_path / "head.pt")
        again = self.head(**arguments).double().eval()
        again.load_state_dict(torch.load(tmp_path / "head.pt", weights_only=True))
        assert torch.equal(again(values), head(values))
        assert torch.equal(copy.deepcopy(head)(values), head(values))

    def test_explaining_ignores_the_mode_and_leaves_everything_alone(self):
        head, values = self.build(), features(3)
        expected = head.explain(values, 1)
        before, state = values.clone(), torch.get_rng_state()
        found = head.train().explain(values.requires_grad_(), 1)
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.equal(values, before)
        assert head.training
        assert all(parameter.requires_grad and parameter.grad is None for parameter in head.parameters())
        assert all(torch.equal(a, b) for a, b in zip(found, expected))

    def test_order_in_memory_makes_no_difference(self):
        head, values = self.build(), features(3)
        last = values.contiguous(memory_format=torch.channels_last)
        for found, expected in zip(head.explain(last, 1), head.explain(values, 1)):
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)

    def test_half_precision_around_it_does_not_reach_the_sums(self):
        head, values = self.build(torch.float32), features(4, torch.float32)
        expected = head(values)
        for given in (values, values.bfloat16()):
            with torch.autocast("cpu", torch.bfloat16):
                logits, explanation = head(given), head.explain(given, 1)
                bias = head.bias_of(torch.ones(4, dtype=torch.int64))
            torch.testing.assert_close(logits, expected, rtol=0.1, atol=0.1)
            torch.testing.assert_close(explanation.contributions.sum(1) + bias, logits[:, 1], rtol=1e-5, atol=1e-5)
            floats = (logits, explanation.contributions, explanation.maps, explanation.unit_maps)
            assert all(value.dtype == torch.float32 for value in floats)

    def test_half_precision_features_are_summed_in_single(self):
        head, values = self.build(torch.float32), features(4).bfloat16()
        assert torch.equal(head(values), head(values.float()))
        assert all(torch.equal(a, b) for a, b in zip(head.explain(values, 1), head.explain(values.float(), 1)))

    def test_a_hundred_steps_of_adam_lower_the_loss(self):
        for precision in (torch.float32, torch.bfloat16):
            torch.manual_seed(0)
            head = self.head(CHANNELS, CLASSES, **self.arguments)
            optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
            values, classes = learnable()
            losses = []
            for step in range(100):
                head.anneal(step / 100)
                with torch.autocast("cpu", torch.bfloat16, enabled=precision is torch.bfloat16):
                    loss = cross_entropy(head(values), classes)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                head.constrain()
                self.check_constraints(head)
                losses.append(loss.item())
            assert sum(losses[-10:]) < 0.9 * sum(losses[:10])

    def check_constraints(self, head: Any) -> None:
        """What holds after each step of an optimiser."""

    @pytest.mark.parametrize("shape", [(2, CHANNELS + 1, 3, 5), (CHANNELS, 3, 5), (2, CHANNELS)])
    def test_features_of_another_shape_are_refused(self, shape):
        head, values = self.build(), torch.zeros(shape, dtype=torch.float64)
        for verb in (head, head.activations, lambda v: head.explain(v, 0), lambda v: head.contributions(v, 0)):
            with pytest.raises(InputError, match=r"features have shape .* takes \(B, 6, h, w\)"):
                verb(values)

    def test_targets_that_are_no_classes_are_refused(self):
        head, values = self.build(), features(2)
        for targets in (CLASSES, torch.tensor([0, -1]), torch.tensor([0]), torch.tensor([0.5, 1.0])):
            for verb in (head.explain, head.contributions):
                with pytest.raises(InputError, match="class"):
                    verb(values, targets)

    def test_sizes_below_one_are_refused(self):
        for arguments in ((0, CLASSES), (CHANNELS, 0)):
            with pytest.raises(InputError, match="give 1 or more"):
                self.head(*arguments)
        with pytest.raises(InputError, match="top is 0: give 1 or more"):
            self.build().explain(features(1), 0, top=0)
