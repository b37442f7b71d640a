import hashlib
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

from lit_coiba.core.errors import InputError
from lit_coiba.data.synthetic import PARTS, SyntheticPartsDataset, class_table

PROBE = [3, 64, 500, 999]


def digest(dataset: SyntheticPartsDataset) -> str:
    return hashlib.sha256(b"".join(dataset.pixels(i).numpy().tobytes() for i in PROBE)).hexdigest()


@pytest.fixture(scope="module")
def dataset():
    return SyntheticPartsDataset("test")


class TestSamples:
    @pytest.mark.parametrize(
        ("split", "count", "first"), [("train", 10_000, 0), ("val", 1000, 10_000), ("test", 1000, 11_000)]
    )
    def test_splits_are_balanced_and_their_ids_sorted(self, split, count, first):
        dataset = SyntheticPartsDataset(split)
        assert len(dataset) == len(set(dataset.ids)) == count
        assert dataset.ids == sorted(dataset.ids)
        assert dataset.ids[0] == f"synthetic-{first:06d}"
        assert np.bincount(dataset.labels).tolist() == [count // 20] * 20
        assert len(set(dataset.classes)) == dataset.num_classes == 20

    def test_labels_follow_no_pattern_in_the_index(self):
        labels = np.array(SyntheticPartsDataset("train").labels)
        for period in (2, 5, 20, 64):
            for offset in range(period):
                share = np.bincount(labels[offset::period], minlength=20) / len(labels[offset::period])
                assert share.max() < 0.05 + 5 * np.sqrt(0.05 / len(labels[offset::period]))
        assert 0.03 < (labels[1:] == labels[:-1]).mean() < 0.07
        assert SyntheticPartsDataset("train", seed=1).labels != labels.tolist()

    def test_another_process_draws_the_same(self, dataset):
        code = (
            "import hashlib; from lit_coiba.data.synthetic import SyntheticPartsDataset;"
            "samples = SyntheticPartsDataset('test', cache=False);"
            f"pixels = b''.join(samples.pixels(i).numpy().tobytes() for i in {PROBE});"
            "print(hashlib.sha256(pixels).hexdigest())"
        )
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert answer.stdout.strip() == digest(dataset)

    def test_order_and_cache_change_nothing(self, dataset):
        fresh = SyntheticPartsDataset("test", cache=False)
        for i in reversed(PROBE):
            assert torch.equal(fresh.pixels(i), dataset.pixels(i))
            assert torch.equal(fresh.masks(i), dataset.masks(i))
        assert digest(SyntheticPartsDataset("test", seed=1)) != digest(dataset)

    def test_pixels_stay_what_the_shipped_checkpoints_were_trained_on(self):
        means = SyntheticPartsDataset("train").batch(range(4)).double().mean((1, 2, 3))
        expected = torch.tensor([146.698, 159.9443, 154.103, 169.68], dtype=torch.float64)
        torch.testing.assert_close(means, expected, atol=0.01, rtol=0)

    def test_an_image_is_its_pixels(self, dataset):
        image = dataset.image(5)
        assert (image.mode, image.size) == ("RGB", (64, 64))
        assert np.array_equal(np.asarray(image).transpose(2, 0, 1), dataset.pixels(5).numpy())

    def test_an_index_counts_from_the_end_or_is_refused(self, dataset):
        assert torch.equal(dataset.pixels(-1), dataset.pixels(999))
        with pytest.raises(IndexError):
            dataset.pixels(1000)

    def test_writing_into_a_sample_leaves_the_next_reader_alone(self, dataset):
        before = dataset.pixels(7).clone()
        dataset.pixels(7).zero_()
        dataset.render(7).zero_()
        assert torch.equal(dataset.pixels(7), before)

    def test_masks_are_disjoint_and_within_the_object(self, dataset):
        for i in range(0, 1000, 20):
            masks = dataset.masks(i)
            assert masks.shape == (5, 64, 64)
            assert masks.sum(0).max() == 1
            assert torch.equal(dataset.region(i), masks.any(0))
            assert not (dataset.region(i) & ~dataset.object_mask(i)).any()
            assert dataset.region(i).sum() < dataset.object_mask(i).sum()

    @pytest.mark.parametrize("size", [32, 40, 96])
    def test_other_sizes(self, size):
        dataset = SyntheticPartsDataset("val", size=size)
        assert dataset.pixels(0).shape == (3, size, size)
        assert dataset.masks(0).flatten(1).sum(1).min() > 30 * (size / 64) ** 2
        assert dataset.labels == SyntheticPartsDataset("val").labels

    def test_a_copy_in_another_process_starts_with_an_empty_cache(self, dataset):
        dataset.pixels(0)
        data = pickle.dumps(SyntheticPartsDataset("val", size=32, cache=False))
        assert len(data) < 200_000
        copy = pickle.loads(pickle.dumps(SyntheticPartsDataset("val", size=32)))
        assert not copy._cached.filled.any()
        assert torch.equal(copy.pixels(3), SyntheticPartsDataset("val", size=32).pixels(3))

    def test_fill_renders_everything(self):
        dataset = SyntheticPartsDataset("val", size=32)
        dataset.fill()
        assert dataset._cached.filled.all()
        assert torch.equal(dataset.pixels(999), SyntheticPartsDataset("val", size=32, cache=False).pixels(999))


class TestInterventions:
    @pytest.mark.parametrize("part", PARTS)
    def test_removing_a_part_changes_its_pixels_only(self, dataset, part):
        for i in range(0, 200, 10):
            changed = (dataset.render(i, without=[part]) != dataset.pixels(i)).any(0)
            mask = dataset.masks(i)[PARTS.index(part)]
            assert not (changed & ~mask).any()
            assert changed.sum() >= 0.9 * mask.sum()

    def test_removing_parts_one_by_one_or_at_once_is_the_same(self, dataset):
        both = dataset.render(0, without=["eye", "tail"])
        apart = dataset.pixels(0).clone()
        for part in ("eye", "tail"):
            mask = dataset.masks(0)[PARTS.index(part)]
            apart[:, mask] = dataset.render(0, without=[part])[:, mask]
        assert torch.equal(both, apart)

    @pytest.mark.parametrize("without", [(), ("beak", "foot"), PARTS[:4]])
    def test_a_cached_subset_is_what_is_rendered_from_scratch(self, dataset, without):
        wing = dataset.variants(4)[PARTS.index("wing")]
        assert torch.equal(dataset.render(4, without=without), dataset.render(4, without=without, swap={"wing": wing}))

    def test_swapping_all_parts_makes_another_class(self, dataset):
        other = (dataset.labels[8] + 1) % 20
        swap = dict(zip(PARTS, class_table()[other]))
        swapped = dataset.masks(8, swap=swap)
        own = dataset.masks(8)
        for p, part in enumerate(PARTS):
            same = class_table()[other][p] == dataset.variants(8)[p]
            assert torch.equal(swapped[p], own[p]) == same, part
        changed = (dataset.render(8, swap=swap) != dataset.pixels(8)).any(0)
        assert not (changed & ~(swapped.any(0) | own.any(0))).any()

    @pytest.mark.parametrize("part", PARTS)
    def test_swapping_one_part_leaves_the_others_alone(self, dataset, part):
        p = PARTS.index(part)
        for i in range(0, 100, 10):
            variant = (dataset.variants(i)[p] + 1) % 4
            mask, own = dataset.masks(i, swap={part: variant}), dataset.masks(i)
            changed = (dataset.render(i, swap={part: variant}) != dataset.pixels(i)).any(0)
            assert changed.sum() > 15
            assert not (changed & ~(mask[p] | own[p])).any()
            others = torch.arange(5) != p
            assert torch.equal(mask[others], own[others])

    def test_swapping_to_its_own_variant_changes_nothing(self, dataset):
        swap = dict(zip(PARTS, dataset.variants(11)))
        assert torch.equal(dataset.render(11, swap=swap), dataset.pixels(11))

    def test_background_objects_go_one_by_one(self, dataset):
        for i in range(0, 100, 10):
            count = dataset.num_background(i)
            assert 2 <= count <= 4
            for number in range(count):
                changed = (dataset.render(i, without_background=[number]) != dataset.pixels(i)).any(0)
                assert changed.any()
                assert not (changed & dataset.region(i)).sum() > 0.1 * dataset.region(i).sum()

    def test_background_masks_are_where_an_object_is_seen(self, dataset):
        for i in PROBE:
            without, masks = dataset.without_each_object(i), dataset.background_masks(i)
            assert len(without) == len(masks) == dataset.num_background(i)
            assert not (masks & dataset.object_mask(i)).any()
            for number, (picture, mask) in enumerate(zip(without, masks)):
                assert torch.equal(picture, dataset.render(i, without_background=[number]))
                assert torch.equal((picture != dataset.pixels(i)).any(0), mask)

    def test_the_parts_of_the_classes_are_those_of_the_table(self, dataset):
        assert dataset.class_parts[dataset.labels[7]].tolist() == list(dataset.variants(7))

    def test_without_background_only_the_object_is_left(self, dataset):
        bare = dataset.render(2, background=False)
        outside = ~dataset.object_mask(2)
        assert (bare[:, outside] == bare[:, outside][:, :1]).all()
        assert (bare != dataset.pixels(2)).any()

    def test_subsets_and_batches_are_renders(self, dataset):
        present = torch.tensor([[True] * 5, [False, True, True, False, True], [False] * 5])
        pictures = dataset.subsets(6, present)
        for picture, row in zip(pictures, present):
            assert torch.equal(picture, dataset.render(6, without=[p for p, here in zip(PARTS, row) if not here]))
        rows = dataset.batch([6, 900, 6], present)
        assert torch.equal(rows[2], pictures[2])
        assert torch.equal(rows[1], dataset.render(900, without=["beak", "tail"]))
        assert torch.equal(dataset.batch([6, 900]), torch.stack([dataset.pixels(6), dataset.pixels(900)]))


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"split": "dev"}, r"split is 'dev'.*train, val, test"),
            ({"size": 60}, r"size is 60.*multiple of 8"),
            ({"size": 24}, r"size is 24.*at least 32"),
            ({"seed": -1}, r"seed is -1"),
        ],
    )
    def test_arguments(self, arguments, message):
        with pytest.raises(InputError, match=message):
            SyntheticPartsDataset(**arguments)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"without": ["nose"]}, r"Part 'nose' does not exist"),
            ({"swap": {"nose": 0}}, r"Part 'nose' does not exist"),
            ({"swap": {"eye": 4}}, r"variant 4 of part 'eye'.*0 to 3"),
            ({"without": ["eye"], "swap": {"eye": 1}}, r"'eye' is in without and in swap"),
            ({"without_background": [4]}, r"object 4.*synthetic-011000 has [234]"),
        ],
    )
    def test_interventions(self, dataset, arguments, message):
        with pytest.raises(InputError, match=message):
            dataset.render(0, **arguments)

    def test_shapes_of_present(self, dataset):
        with pytest.raises(InputError, match=r"must be \(S, 5\)"):
            dataset.subsets(0, torch.ones(5, dtype=torch.bool))
        with pytest.raises(InputError, match=r"must be \(2, 5\)"):
            dataset.batch([0, 1], torch.ones(1, 5, dtype=torch.bool))


class TestParts:
    def test_each_point_lies_on_its_part_as_near_to_the_centroid_as_can_be(self, dataset):
        for i in range(0, 1000, 25):
            points, masks = dataset.parts(i), dataset.masks(i)
            assert points.names == PARTS
            assert points.visible.tolist() == [bool(mask.any()) for mask in masks]
            for (x, y), mask in zip(points.xy.tolist(), masks):
                assert mask[int(y), int(x)]
                assert (x % 1, y % 1) == (0.5, 0.5)  # the middle of a pixel
                rows, columns = np.nonzero(mask.numpy())
                distances = np.hypot(rows - rows.mean(), columns - columns.mean())
                assert np.hypot(y - 0.5 - rows.mean(), x - 0.5 - columns.mean()) == pytest.approx(distances.min())

    def test_a_part_without_pixels_is_not_visible(self, dataset, monkeypatch):
        masks = dataset.masks(3)
        masks[2] = False
        monkeypatch.setattr(dataset, "masks", lambda index: masks)
        points = dataset.parts(3)
        assert points.visible.tolist() == [True, True, False, True, True]
        assert points.xy.isfinite().all()

    def test_a_bent_part_has_its_point_on_itself(self, dataset, monkeypatch):
        masks = torch.zeros(5, 64, 64, dtype=torch.bool)
        masks[0, 10:20, 10:20] = True
        masks[0, 12:18, 12:18] = False  # a ring, whose centroid is in its hole
        monkeypatch.setattr(dataset, "masks", lambda index: masks)
        x, y = dataset.parts(0).xy[0].long().tolist()
        assert masks[0, y, x]
        assert (x - 14.5) ** 2 + (y - 14.5) ** 2 == pytest.approx(3.5**2 + 0.5**2)
