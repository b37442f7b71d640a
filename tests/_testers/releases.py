"""Tiny copies of released datasets in the layouts in which they are published."""

import json
from collections.abc import Callable
from importlib import import_module
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

TESTS = Path(__file__).parents[1]
SIZE = (12, 10)  # width, height of every picture


def picture(path, size=SIZE):
    """A picture whose red channel is its column and whose green one is its row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows, columns = np.mgrid[: size[1], : size[0]]
    Image.fromarray(np.stack([columns, rows, rows * 0], -1).astype(np.uint8)).save(path)


def text(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def cells(values):
    """A MATLAB cell array (N, 1), as the lists of releases are."""
    return np.array([[value] for value in values], dtype=object)


def structs(path, name, fields, rows, **more):
    """A MATLAB struct array, as annotations are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.empty((1, len(rows)), dtype=[(field, object) for field in fields])
    for index, row in enumerate(rows):
        array[0, index] = row
    savemat(path, {name: array, **more})


def annotation(path, *boxes, head=""):
    """A file of boxes in the XML of PASCAL VOC."""
    objects = "".join(
        f"<object><name>x</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax></bndbox>"
        "<part><bndbox><xmin>0</xmin></bndbox></part></object>"
        for a, b, c, d in boxes
    )
    text(path, f"{head}<annotation>\n\t<folder>x</folder>\n\t{objects}\n</annotation>")


CUB_PARTS = ["back", "beak", "belly", "left eye"]


def cub200(root):
    """Two species of five pictures, of which 4 and 6 (the first of each species) and 10 are for testing."""
    folder = root / "CUB_200_2011"
    species = ["001.Black_footed_Albatross", "002.Laysan_Albatross"]
    names = [f"{species[k // 5]}/{species[k // 5][4:]}_{k % 5:04}_{700 + k}.jpg" for k in range(10)]
    for name in names:
        picture(folder / "images" / name)
    text(folder / "images.txt", *(f"{k} {name}" for k, name in enumerate(names, 1)))
    text(folder / "image_class_labels.txt", *(f"{k} {1 + (k > 5)}" for k in range(1, 11)))
    text(folder / "train_test_split.txt", *(f"{k} {int(k not in (1, 6, 10))}" for k in range(1, 11)))
    text(folder / "classes.txt", *(f"{k} {name}" for k, name in enumerate(species, 1)))
    text(folder / "bounding_boxes.txt", *(f"{k} {k - 1}.0 2.0 3.0 4.5" for k in range(1, 11)))
    text(folder / "parts" / "parts.txt", *(f"{k} {name}" for k, name in enumerate(CUB_PARTS, 1)))
    places = [
        f"{k} {part} {k}.0 {part}.5 1" if part != 3 else f"{k} 3 0.0 0.0 0"
        for k in range(1, 11)
        for part in range(1, 5)
    ]
    text(folder / "parts" / "part_locs.txt", *places)
    return folder


CAR_CLASSES = ["AM General Hummer SUV 2000", "Ram C/V Cargo Van Minivan 2012"]
CAR_FIELDS = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname"]


def _cars(count):
    """Bounding box from 1, class and file of cars that are of the two classes in turn."""
    return [(1 + k, 2, 5 + k, 6, 1 + k % 2, f"{k + 1:05}.jpg") for k in range(count)]


def cars_devkit(root):
    folder = root / "stanford_cars"
    for part, count in (("train", 6), ("test", 3)):
        for *_, name in _cars(count):
            picture(folder / f"cars_{part}" / name)
    structs(folder / "devkit" / "cars_train_annos.mat", "annotations", CAR_FIELDS, _cars(6))
    structs(folder / "cars_test_annos_withlabels.mat", "annotations", CAR_FIELDS, _cars(3))
    savemat(folder / "devkit" / "cars_meta.mat", {"class_names": np.array([CAR_CLASSES], dtype=object)})
    return folder


def cars_combined(root):
    folder = root / "cars"
    fields = ["relative_im_path", *CAR_FIELDS[:5], "test"]
    rows = [(f"car_ims/{k + 1:06}.jpg", *car[:5], int(k >= 6)) for k, car in enumerate(_cars(9))]
    for row in rows:
        picture(folder / row[0])
    names = np.array([CAR_CLASSES], dtype=object)
    structs(folder / "cars_annos.mat", "annotations", fields, rows, class_names=names)
    return folder


def cars_class_folders(root):
    """As the archive of the mirror unpacks: the tables two folders above train and test."""
    folders = [name.replace("/", "-") for name in CAR_CLASSES]
    for part, count in (("train", 6), ("test", 3)):
        for *_, label, name in _cars(count):
            picture(root / "car_data" / "car_data" / part / folders[label - 1] / name)
        text(root / f"anno_{part}.csv", *(",".join(map(str, (row[5], *row[:5]))) for row in _cars(count)))
    text(root / "names.csv", *reversed(CAR_CLASSES))
    return root / "car_data" / "car_data"


def stanford_dogs(root):
    """Two breeds, of each three pictures for training and one for testing; of the first, each has two boxes."""
    folder = root / "stanford_dogs"
    breeds = ["n02085620-Chihuahua", "n02099601-golden_retriever"]
    names = [f"{breed}/{breed[:9]}_{k}.jpg" for breed in breeds for k in (10, 2, 33, 4)]
    for name in names:
        picture(folder / "Images" / name)
    for name in names[:4]:
        annotation(folder / "Annotation" / name[:-4], (1, 0, 3, 2), (9, 9, 30, 30))
    for part, chosen in (("train", [0, 1, 2, 4, 5, 6]), ("test", [3, 7])):
        listed = [names[k] for k in chosen]
        content = {
            "file_list": cells(listed),
            "annotation_list": cells([name[:-4] for name in listed]),
            "labels": np.array([[1 + k // 4] for k in chosen], dtype=np.uint8),
        }
        savemat(folder / f"{part}_list.mat", content)
    return folder


WNIDS = ["n01440764", "n01443537", "n03126707"]


def imagenet_class_folders(root):
    """As torchvision and most scripts have it: three classes, two pictures for training and one for validation."""
    folder = root / "imagenet"
    for k, wnid in enumerate(WNIDS):
        for number in (18, 7):
            picture(folder / "train" / wnid / f"{wnid}_{number}.JPEG")
        picture(folder / "val" / wnid / f"ILSVRC2012_val_0000000{3 - k}.JPEG")
    return folder


def imagenet_kaggle(root):
    """As Kaggle's archive unpacks: validation images lie flat, their classes in a CSV."""
    folder = root / "kaggle"
    data = folder / "ILSVRC" / "Data" / "CLS-LOC"
    for k, wnid in enumerate(WNIDS):
        for number in (18, 7):
            picture(data / "train" / wnid / f"{wnid}_{number}.JPEG")
        picture(data / "val" / f"ILSVRC2012_val_0000000{3 - k}.JPEG")
        annotation(folder / "ILSVRC" / "Annotations" / "CLS-LOC" / "train" / wnid / f"{wnid}_7.xml", (k, 1, k + 2, 3))
    names = ["tench, Tinca tinca", "goldfish, Carassius auratus", "crane"]
    text(folder / "LOC_synset_mapping.txt", *(f"{wnid} {name}" for wnid, name in zip(WNIDS, names)))
    rows = ["ILSVRC2012_val_00000002,n01443537 1 2 3 4 n01443537 6 0 6 99 "]
    rows += ["ILSVRC2012_val_00000001,n03126707 0 0 11 9 ", "ILSVRC2012_val_00000003,n01440764"]
    text(folder / "LOC_val_solution.csv", "ImageId,PredictionString", *rows)
    text(folder / "LOC_train_solution.csv", "ImageId,PredictionString", "n01440764_18,n01440764 5 5 6 6 ")
    return folder


def imagenet_devkit(root):
    """As the official archives unpack: validation images lie flat, their classes in the development kit."""
    folder = root / "official"
    for k in range(3):
        picture(folder / "val" / f"ILSVRC2012_val_0000000{k + 1}.JPEG")
    data = folder / "ILSVRC2012_devkit_t12" / "data"
    fields = ["ILSVRC2012_ID", "WNID", "words", "num_children"]
    rows = [(1, WNIDS[1], "goldfish", 0), (2, WNIDS[2], "crane", 0), (3, WNIDS[0], "tench, Tinca tinca", 0)]
    structs(data / "meta.mat", "synsets", fields, [*rows, (1001, "n00001740", "entity", 3)])
    text(data / "ILSVRC2012_validation_ground_truth.txt", "2", "1", "3")
    return folder


def oxford_pets(root):
    """Two breeds, of each three pictures for training and one for testing."""
    folder = root / "oxford-iiit-pet"
    listed = {"trainval": [], "test": []}
    for label, breed in enumerate(("Abyssinian", "american_bulldog"), 1):
        for number in (10, 1, 100, 2):
            name = f"{breed}_{number}"
            picture(folder / "images" / f"{name}.jpg")
            trimap = np.full(SIZE[::-1], 2, dtype=np.uint8)
            trimap[2:6, 3:8] = 3
            trimap[3:5, 4:7] = 1
            (folder / "annotations" / "trimaps").mkdir(parents=True, exist_ok=True)
            Image.fromarray(trimap).save(folder / "annotations" / "trimaps" / f"{name}.png")
            listed["test" if number == 2 else "trainval"].append(f"{name} {label} {label} 1")
    for part, lines in listed.items():
        text(folder / "annotations" / f"{part}.txt", *lines)
    return folder


BIRD_PARTS = ("beak", "eye", "foot", "tail", "wing")
BIRD_COLORS = {
    "beak": (255, 255, 0),
    "eye": (255, 255, 253),
    "foot": (255, 0, 1),
    "tail": (0, 0, 255),
    "wing": (0, 255, 1),
}
BIRD_CLASSES = ((0, 0, 0, 0, 0), (0, 0, 1, 1, 1), (1, 1, 0, 0, 1))


def bird(label, kept=BIRD_PARTS, things=(0, 1), colors=None):
    """A picture of 12 x 10: part p in column 2p, whose level is its variant; things in the last column."""
    image = np.full((10, 12, 4), 255, dtype=np.uint8)
    image[..., :3] = 0 if colors else 100
    for place, part in enumerate(BIRD_PARTS):
        if part in kept:
            image[2:6, 2 * place, :3] = colors[part] if colors else 30 * BIRD_CLASSES[label][place] + 10 * place
    for number in things:
        image[3 * number : 3 * number + 2, 11, :3] = (204, 204, 204 + number) if colors else 50
    return Image.fromarray(image)


def funny_birds(root):
    """Three classes of two pictures each for training and one for testing, which has its interventions."""
    folder = root / "FunnyBirds"
    rows = [dict(zip(BIRD_PARTS, row)) for row in BIRD_CLASSES]
    looks = {part: [{"model": f"{part}{k}.glb"} for k in range(2)] for part in BIRD_PARTS}
    text(folder / "parts.json", json.dumps(looks))
    text(folder / "classes.json", json.dumps([{"class_idx": k, "parts": row} for k, row in enumerate(rows)]))
    for split, labels in (("train", (0, 0, 1, 1, 2, 2)), ("test", (0, 1, 2))):
        scenes = [{"class_idx": label, "camera_roll": 0.5, "bg_objects": "4,2,"} for label in labels]
        text(folder / f"dataset_{split}.json", json.dumps(scenes))
        for number, label in enumerate(labels):
            name = f"{label}/{number:06d}"
            _saved(bird(label), folder / split / f"{name}.png")
            _saved(bird(label, colors=BIRD_COLORS), folder / f"{split}_part_map" / f"{name}.png")
            if split == "train":
                continue
            below = folder / "test_interventions" / name
            for size in range(6):
                for kept in combinations(BIRD_PARTS, size):
                    _saved(bird(label, kept), below / f"body_{'_'.join(kept)}.png")
            for gone in (0, 1):
                _saved(bird(label, things=(1 - gone,)), below / "background_interventions" / f"{gone}.png")
    return folder


def _saved(image, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def release_of(name: str) -> Callable[[Path], Path]:
    """What makes a tiny copy of the dataset of ``configs/data/NAME.yaml``: `release` in the dataset's own test."""
    (file,) = (TESTS / "data").rglob(f"test_{name}.py")
    module = ".".join(("tests", *file.relative_to(TESTS).with_suffix("").parts))
    make: Callable[[Path], Path] = import_module(module).release
    return make
