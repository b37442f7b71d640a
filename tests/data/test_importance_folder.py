import os

import numpy as np
import pytest
import torch
from PIL import Image

from lit_coiba.core.errors import InputError
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data import ImageFolder
from lit_coiba.data.fingerprint import difference, fingerprint_of

RECIPE = Preprocessing((8, 12), 1.0, "bilinear", crop_mode="squash")
HEIGHT, WIDTH = 16, 24


@pytest.fixture
def folder(tmp_path):
    """Images in two classes; a has a PNG, b an NPY of lower resolution, c maps of three people, d none."""
    draw = np.random.default_rng(0)
    for name in ("cat/a.jpg", "cat/b.png", "dog/c.jpg", "dog/d.jpg"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)).save(path)
    maps = tmp_path / "maps"
    (maps / "cat").mkdir(parents=True)
    (maps / "dog/c").mkdir(parents=True)
    Image.fromarray(draw.integers(0, 255, (HEIGHT, WIDTH), dtype=np.uint8)).save(maps / "cat/a.png")
    np.save(maps / "cat/b.npy", draw.random((8, 12), dtype=np.float32))
    for person in ("x", "y", "z"):
        np.save(maps / f"dog/c/{person}.npy", draw.random((HEIGHT, WIDTH), dtype=np.float32))
    (maps / "dog/c/.DS_Store").write_bytes(b"")
    return tmp_path


def images_of(folder, **arguments):
    return ImageFolder(str(folder / "images"), importance=str(folder / "maps"), num_workers=0, **arguments)


def test_each_image_has_the_maps_under_its_path(folder):
    samples = images_of(folder).dataset("predict")
    level = np.asarray(Image.open(folder / "maps/cat/a.png")) / 255
    np.testing.assert_allclose(samples.importance(0).numpy(), level, rtol=1e-6)
    assert samples.importance(1).shape == (HEIGHT, WIDTH)
    people = np.stack([np.load(folder / f"maps/dog/c/{person}.npy") for person in "xyz"])
    np.testing.assert_array_equal(samples.importances(2).numpy(), people)
    np.testing.assert_allclose(samples.importance(2).numpy(), people.mean(0), rtol=1e-6)
    assert samples.importance(3) is None
    assert [samples.importances(index) for index in (0, 1, 3)] == [None] * 3


def test_batches_have_the_maps(folder):
    data = images_of(folder, batch_size=4)
    data.preprocessing, data.importance_read = RECIPE, True
    batch = next(iter(data.test_dataloader()))
    assert batch.mapped.tolist() == [True, True, True, False]
    samples = data.dataset("test")
    for index in range(3):
        assert torch.equal(batch.importance[index], data.transform.importance(samples.importance(index)))
    assert batch.targets.tolist() == [0, 0, 1, 1]


def test_boxes_are_weak_maps_where_there_is_no_folder(folder):
    (folder / "boxes.csv").write_text("file,label,x_min,y_min,x_max,y_max\ncat/a.jpg,0,2,3,9,11\ndog/d.jpg,1,,,,\n")
    samples = ImageFolder(str(folder / "images"), csv=str(folder / "boxes.csv")).dataset("predict")
    expected = torch.zeros(HEIGHT, WIDTH)
    expected[3:12, 2:10] = 1
    assert torch.equal(samples.importance(0), expected)
    assert samples.importance(1) is None
    assert samples.importance_version(0) == samples.region_version(0) == "2,3,9,11"
    own = images_of(folder, csv=str(folder / "boxes.csv")).dataset("predict")
    assert own.importance(0) is not None
    assert not torch.equal(own.importance(0), expected)
    assert torch.equal(own.region(0).float(), expected)


def test_a_map_that_does_not_fit_names_both_sizes(folder):
    np.save(folder / "maps/cat/b.npy", np.ones((30, 20), np.float32))
    data = images_of(folder)
    data.preprocessing, data.importance_read = RECIPE, True
    message = r"sample cat/b.png: the importance map .*maps/cat/b.npy has 20 x 30 pixels, but its image has 24 x 16: g"
    with pytest.raises(InputError, match=message):
        list(data.test_dataloader())


def test_several_maps_of_one_image_are_refused(folder):
    (folder / "maps/cat/a").mkdir()
    Image.new("L", (WIDTH, HEIGHT)).save(folder / "maps/cat/a/x.png")
    with pytest.raises(OSError, match=r"it has several importance maps in .*cat, a.png and a/: keep one file"):
        images_of(folder).dataset("predict").importance(0)


def test_a_map_that_is_the_same_everywhere_is_none_and_told(folder):
    Image.new("L", (WIDTH, HEIGHT)).save(folder / "maps/cat/a.png")
    data = images_of(folder, batch_size=4)
    data.preprocessing, data.importance_read = RECIPE, True
    with pytest.warns(UserWarning, match="importance maps that are the same everywhere.* such as that of cat/a.jpg"):
        batch = next(iter(data.test_dataloader()))
    assert batch.mapped.tolist() == [False, True, True, False]


def test_results_notice_a_map_that_was_changed(folder):
    samples = images_of(folder).dataset("predict")
    before = fingerprint_of(samples).with_importance(samples)
    assert before.digest() == fingerprint_of(samples).with_importance(samples).digest()
    os.utime(folder / "maps/dog/c/y.npy", ns=(5, 5))
    after = fingerprint_of(samples).with_importance(samples)
    assert [one != other for one, other in zip(before.versions, after.versions)] == [False, False, True, False]
    assert difference(before.versions[2], after.versions[2]) == "its importance map is another one"
    assert fingerprint_of(samples).versions == [version.split("|~")[0] for version in before.versions]


def test_the_folder_does_not_decide_the_identity(folder):
    assert images_of(folder).identity() == ImageFolder(str(folder / "images")).identity()


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("nowhere", "importance: .*nowhere does not exist: give the folder of the importance maps"),
        ("images/cat/a.jpg", "importance: .*a.jpg is not a folder"),
        ("images", "importance: .*images lies in the folder of the images"),
        ("images/cat", "importance: .*images/cat lies in the folder of the images"),
    ],
)
def test_folders_that_cannot_be_one_are_refused(place, message, folder):
    with pytest.raises(InputError, match=message):
        ImageFolder(str(folder / "images"), importance=str(folder / place))


def test_a_folder_without_any_map_is_told(folder):
    (folder / "empty").mkdir()
    data = ImageFolder(str(folder / "images"), importance=str(folder / "empty"))
    with pytest.warns(UserWarning, match="importance: .*empty has no map of any of 4 images, such as cat/a.jpg"):
        data.dataset("predict")
