import math

import numpy as np
import pytest
import torch

from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data import TwoCues
from lit_coiba.data.mapped import MappedBatch
from lit_coiba.data.synthetic.cues import PATCH, SIZE, TwoCuesDataset, pattern

LEFT, RIGHT = (slice(10, 22), slice(2, 14)), (slice(10, 22), slice(18, 30))


def pictures(dataset):
    return np.stack([np.asarray(dataset.image(index))[..., 0] for index in range(len(dataset))]).astype(float)


def share_right(dataset, places):
    """How often whoever knows the patterns is right, from some patches."""
    shown = pictures(dataset) - 127.5
    templates = np.stack([pattern(number) for number in range(len(dataset.classes))])
    scores = sum(np.tensordot(shown[:, rows, columns], templates, ((1, 2), (1, 2))) for rows, columns in places)
    return (scores.argmax(1) == np.array(dataset.labels)).mean()


def test_patterns_are_balanced_and_orthogonal():
    every = np.stack([pattern(number).ravel() for number in range(4)])
    np.testing.assert_array_equal(every @ every.T, PATCH**2 * np.eye(4))
    np.testing.assert_array_equal(every.sum(1), 0)


@pytest.mark.parametrize("contrast", [0.1, 0.2])
def test_each_patch_tells_the_class_as_well_as_it_should(contrast):
    """Two orthogonal templates of n pixels: the error is that of a normal number beyond half their distance."""

    def expected(pixels):
        return 0.5 * (1 + math.erf(contrast * math.sqrt(2 * pixels) / 2 / math.sqrt(2)))

    dataset = TwoCuesDataset(range(2000), contrast=contrast)
    for places in ([LEFT], [RIGHT], [LEFT, RIGHT]):
        chance = expected(len(places) * PATCH**2)
        spread = math.sqrt(chance * (1 - chance) / 2000)
        assert share_right(dataset, places) == pytest.approx(chance, abs=4 * spread + 0.005)


@pytest.mark.parametrize("classes", [2, 4])
def test_one_cue_leaves_nothing_but_noise_at_the_other(classes):
    for cues, here, there in (("left", LEFT, RIGHT), ("right", RIGHT, LEFT)):
        dataset = TwoCuesDataset(range(400), classes, contrast=1.0, cues=cues)
        assert share_right(dataset, [here]) == 1
        assert abs(share_right(dataset, [there]) - 1 / classes) < 4 * math.sqrt(1 / classes / 400)
        both = TwoCuesDataset(range(400), classes, contrast=1.0)
        differs = (pictures(dataset) != pictures(both)).any(0)
        assert differs[there].all()
        differs[there] = False
        assert not differs.any()  # the noise is the same
        assert dataset.region(0).numpy()[here].all()
        assert dataset.region(0).sum() == PATCH**2


def test_people_mark_the_left_patch_whatever_is_shown():
    expected = torch.zeros(SIZE, SIZE)
    expected[LEFT] = 1
    for cues in ("both", "left", "right"):
        dataset = TwoCuesDataset(range(3), cues=cues)
        assert torch.equal(dataset.importance(1), expected)
        assert dataset.importance_version(1) == TwoCuesDataset(range(3)).importance_version(2) != ""


def test_a_sample_is_a_function_of_seed_and_number():
    whole, part = TwoCuesDataset(range(20), 4), TwoCuesDataset([3, 17], 4)
    assert part.ids == [whole.ids[3], whole.ids[17]] == ["cues-000003", "cues-000017"]
    assert part.labels == [whole.labels[3], whole.labels[17]]
    assert part.image(1).tobytes() == whole.image(17).tobytes()
    assert TwoCuesDataset([3], 4, seed=1).image(0).tobytes() != part.image(0).tobytes()
    assert np.bincount(TwoCuesDataset(range(400), 4).labels).tolist() == [100] * 4


def test_the_data_module_trains_on_both_and_shows_what_is_asked_for():
    data = TwoCues(cues="right", batch_size=16)
    data.preprocessing = Preprocessing((SIZE, SIZE), 1.0)
    assert [len(data.dataset(split)) for split in ("train", "val", "test", "predict")] == [4000, 500, 1000, 1000]
    assert [data.dataset(split).cues for split in ("train", "val", "test")] == ["both", "right", "right"]
    assert data.drawn("val", "left").ids == data.drawn("val").ids
    assert data.num_classes == 2
    assert TwoCues(cues="left").identity() != data.identity() != TwoCues(cues="right", seed=1).identity()
    data.importance_read = True
    batch = next(iter(data.train_dataloader()))
    assert isinstance(batch, MappedBatch)
    assert batch.mapped.all()
    assert batch.importance.sum((1, 2)).tolist() == [PATCH**2] * 16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": 3}, "classes is 3: give 2 or 4"),
        ({"contrast": 0.0}, "contrast is 0.0: give a number above 0"),
        ({"contrast": math.nan}, "contrast is nan"),
        ({"seed": -1}, "seed is -1"),
        ({"cues": "top"}, "cues is 'top'"),
    ],
)
def test_arguments_out_of_range_are_refused_at_once(arguments, message):
    with pytest.raises(InputError, match=message):
        TwoCues(**arguments)
