import pickle

import numpy as np
import pytest

from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data import ClickMe
from lit_coiba.data.fingerprint import fingerprint_of
from tests._testers.tf_shards import click_me, example, jpeg, record, sample, text, whole

release = click_me  # which the tests of configs/data use too


@pytest.fixture
def root(tmp_path):
    return click_me(tmp_path)


def test_samples_are_those_of_the_shards(root):
    data = ClickMe(str(root))
    samples = data.dataset("val")
    assert samples.ids == [f"val-{shard}/{k:06d}" for shard in range(2) for k in range(3)]
    assert samples.labels == [0, 1, 2, 0, 1, 2]
    assert data.dataset("predict") is samples
    assert data.dataset("train").ids[0] == "train-0/000000"
    for index in range(6):
        picture, map, _ = sample(index)
        np.testing.assert_allclose(np.asarray(samples.image(index), float), picture, atol=10)
        if index % 3 == 2:
            assert samples.importance(index) is None
        else:
            np.testing.assert_allclose(samples.importance(index).numpy(), map / 255, atol=0.05)
    assert pickle.loads(pickle.dumps(samples)).image(4).tobytes() == samples.image(4).tobytes()


def test_batches_have_the_maps(root):
    data = ClickMe(str(root), batch_size=6, num_workers=0)
    data.preprocessing = Preprocessing((16, 16), 1.0, "bilinear")
    data.importance_read = True
    batch = next(iter(data.val_dataloader()))
    assert batch.mapped.tolist() == [True, True, False] * 2
    for index in (0, 4):
        at = batch.importance[index].flatten().argmax()
        assert (at // 16, at % 16) == (4 + index, 6)


def test_a_map_of_another_size_is_resized_and_of_other_proportions_refused(root):
    picture, map, _ = sample(0)
    files = {"image": text(jpeg(picture)), "label": whole(0)}
    small, wide = (record(example(heatmap=text(jpeg(one)), **files)) for one in (map[::2, ::2], map[:7]))
    (root / "val/val-1.tfrecords").write_bytes(small + wide)
    samples = ClickMe(str(root)).dataset("val")
    assert samples.importance(3).shape == (16, 16)
    with pytest.raises(OSError, match="the importance map has 16 x 7 pixels, but its image has 16 x 16"):
        samples.importance(4)


def test_a_changed_record_is_noticed_and_a_copied_file_is_not(root):
    data = ClickMe(str(root))
    before = fingerprint_of(data.dataset("val"))
    (root / "val/val-0.tfrecords").touch()
    assert fingerprint_of(ClickMe(str(root)).dataset("val")).versions == before.versions
    picture, map, _ = sample(1)
    records = [
        record(example(image=text(jpeg(picture)), heatmap=text(jpeg(one)), label=whole(0))) for one in (map, map.T)
    ]
    (root / "val/val-1.tfrecords").write_bytes(records[0] + records[1])
    after = ClickMe(str(root)).dataset("val")
    assert fingerprint_of(after).versions[:3] == before.versions[:3]
    assert fingerprint_of(after).versions[3] != before.versions[3]
    assert after.importance_version(3) != after.importance_version(4) != ""


def test_shards_that_are_cut_off_or_damaged(root):
    shard = root / "val/val-1.tfrecords"
    good = shard.read_bytes()
    shard.write_bytes(good[:-10])
    with pytest.raises(InputError, match=r"root: .*val-1.tfrecords is cut off after 2 whole records"):
        ClickMe(str(root)).dataset("val")
    bad = bytearray(good)
    bad[60] ^= 1  # in the picture of the first record, which is not read before it is asked for
    shard.write_bytes(bad)
    samples = ClickMe(str(root)).dataset("val")
    with pytest.raises(OSError, match=r"the record at byte 12 of .*val-1.tfrecords is damaged: copy the file again"):
        samples.image(3)
    assert samples.image(4).size == (16, 16)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (example(image=text(b"x")), "record 0 of .*val-1.tfrecords has no label"),
        (example(label=whole(-1)), "record 0 of .*val-1.tfrecords has the label -1"),
        (b"\x0a\x05abc", "record 0 of .*val-1.tfrecords is no tf.train.Example: a field at byte"),
    ],
)
def test_records_that_make_no_sense(content, message, root):
    (root / "val/val-1.tfrecords").write_bytes(record(content))
    with pytest.raises(InputError, match=message):
        ClickMe(str(root)).dataset("val")


def test_a_record_without_a_picture_is_a_failure_of_its_own(root):
    (root / "val/val-1.tfrecords").write_bytes(record(example(label=whole(1))))
    with pytest.raises(OSError, match="the file is empty"):
        ClickMe(str(root)).dataset("val").image(3)


def test_training_shards_may_be_missing_and_validation_shards_not(root):
    for file in (root / "train").iterdir():
        file.unlink()
    assert len(ClickMe(str(root)).dataset("val")) == 6
    with pytest.raises(InputError, match="has no split train, only val"):
        ClickMe(str(root)).dataset("train")
    for file in (root / "val").iterdir():
        file.write_bytes(b"")
    with pytest.raises(InputError, match=r"root: .*val-0.tfrecords is empty: copy it again"):
        ClickMe(str(root)).dataset("val")
    for file in (root / "val").iterdir():
        file.unlink()
    with pytest.raises(InputError, match="is not ClickMe: none of its files are there"):
        ClickMe(str(root))
