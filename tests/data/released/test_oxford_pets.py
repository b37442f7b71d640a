import pytest
from PIL import Image
from torchvision.datasets import OxfordIIITPet

from lit_coiba.core.errors import InputError
from lit_coiba.data import OxfordPets
from tests._testers.releases import oxford_pets, picture, text

release = oxford_pets  # which the tests of configs/data use too


@pytest.fixture
def root(tmp_path):
    return oxford_pets(tmp_path)


def test_ids_labels_and_classes_are_those_of_the_lists(root):
    data = OxfordPets(str(root), validation=0)
    test, train = data.dataset("test"), data.dataset("train")
    assert (test.ids, test.labels) == (["Abyssinian_2.jpg", "american_bulldog_2.jpg"], [0, 1])
    assert train.ids == [f"{breed}_{k}.jpg" for breed in ("Abyssinian", "american_bulldog") for k in (1, 10, 100)]
    assert train.labels == [0, 0, 0, 1, 1, 1]
    assert test.classes == ["Abyssinian", "american bulldog"]


def test_torchvision_reads_the_same_folder_alike(root):
    theirs = OxfordIIITPet(str(root.parent), "trainval", ["category", "segmentation"])
    ours = OxfordPets(str(root), validation=0).dataset("train")
    samples = {path.name: theirs[index][1] for index, path in enumerate(theirs._images)}
    assert {name: label for name, (label, _) in samples.items()} == dict(zip(ours.ids, ours.labels))
    assert [name.lower() for name in theirs.classes] == [name.lower() for name in ours.classes]
    for index, name in enumerate(ours.ids):
        trimap = samples[name][1]
        surely = [[trimap.getpixel((x, y)) == 1 for x in range(trimap.width)] for y in range(trimap.height)]
        assert ours.region(index).tolist() == surely


def test_the_region_is_what_is_surely_the_animal(root):
    test = OxfordPets(str(root)).dataset("test")
    assert test.region(0).nonzero().tolist() == [[row, column] for row in (3, 4) for column in (4, 5, 6)]
    (root / "annotations" / "trimaps" / "Abyssinian_2.png").unlink()
    assert test.region(0) is None
    picture(root / "annotations" / "trimaps" / "american_bulldog_2.png", (3, 3))
    with pytest.raises(OSError, match="has 3 x 3 pixels, but its image has 12 x 10"):
        test.region(1)


def test_without_trimaps_there_is_no_region(root):
    (root / "annotations" / "trimaps").rename(root / "elsewhere")
    assert OxfordPets(str(root)).dataset("test").region(0) is None


def test_a_picture_that_is_none_is_a_matter_of_its_own(root):
    """A few of the release are GIF or PNG inside."""
    Image.new("P", (12, 10)).save(root / "images" / "Abyssinian_2.jpg", format="GIF")
    assert OxfordPets(str(root)).dataset("test").image(0).size == (12, 10)


def test_splits_are_apart_and_the_held_out_one_has_every_class(root):
    data = OxfordPets(str(root), split="val")
    train, val, test = (data.dataset(split) for split in ("train", "val", "test"))
    assert (train.labels, val.labels) == ([0, 0, 1, 1], [0, 1])
    assert len({*train.ids, *val.ids, *test.ids}) == 8
    assert data.dataset("predict") is val
    assert OxfordPets(str(root)).dataset("val").ids == val.ids


@pytest.mark.parametrize("given", ["..", "images", "annotations", "annotations/trimaps"])
def test_a_folder_above_or_in_it_will_do(given, root):
    assert OxfordPets(str(root / given)).place.folder.samefile(root)


def test_archives_unpacked_into_folders_of_their_own(root):
    for name in ("images", "annotations"):
        (root / name).rename(root / "moved")
        (root / name).mkdir()
        (root / "moved").rename(root / name / name)
    test = OxfordPets(str(root)).dataset("test")
    assert test.ids == ["Abyssinian_2.jpg", "american_bulldog_2.jpg"]
    assert test.region(0).sum() == 6


def test_an_incomplete_folder_is_drawn(root):
    (root / "annotations" / "test.txt").unlink()
    (root / "images").rename(root / "pictures")
    with pytest.raises(InputError) as caught:
        OxfordPets(str(root))
    assert str(caught.value) == (
        f"root: {root} is not Oxford-IIIT Pet: images/*.jpg, annotations/test.txt are missing. Expected:\n"
        "oxford-iiit-pet/\n"
        "|-- images/*.jpg               MISSING\n"
        "|-- annotations/trainval.txt   image class_id species breed_id\n"
        "|-- annotations/test.txt       MISSING: image class_id species breed_id\n"
        "|-- annotations/trimaps/*.png  optional"
    )


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["Abyssinian_2 1 1"],
            r"line 1 of .*test.txt is 'Abyssinian_2 1 1', but must be: image class_id species breed_id",
        ),
        (
            ["Abyssinian_2 1 1 1", "Abyssinian_2 1 1 1"],
            r"line 2 of .*test.txt has image Abyssinian_2, like an earlier line",
        ),
        (
            ["Abyssinian_7 1 1 1"],
            r"1 of the 1 images that .*test.txt lists are not in .*images: Abyssinian_7.jpg; unpack",
        ),
        (
            ["Abyssinian_2 2 1 1"],
            r"one name and number per class: Abyssinian \(1\), Abyssinian \(2\), american_bulldog",
        ),
        (["#Image CLASS-ID SPECIES BREED ID"], r"test.txt is empty; it should have lines of: image"),
    ],
)
def test_lists_that_make_no_sense(lines, message, root):
    text(root / "annotations" / "test.txt", *lines)
    with pytest.raises(InputError, match=message):
        OxfordPets(str(root)).dataset("test")
