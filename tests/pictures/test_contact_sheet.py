"""The contact sheet: which explanations it shows, and what it says about them."""

import random
from importlib import import_module

import pytest
import torch
from PIL import Image

from lit_coiba.core.batch import Failure
from lit_coiba.core.preprocessing import Preprocessing
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.transforms import Transform
from lit_coiba.pictures.contact_sheet import contact_sheet
from lit_coiba.pictures.names import class_name
from lit_coiba.pictures.numbers import percent
from lit_coiba.store import BlockRecord, ExplanationStore, Manifest

module = import_module("lit_coiba.pictures.contact_sheet")  # the package has a function of that name

SIZE = 32


class Colours(ImageDataset):
    """Sample i is a picture of one color; those in `broken` cannot be read."""

    def __init__(self, ids, broken=(), classes=("cat", "dog")):
        self.ids = sorted(ids)
        self.labels = [index % 2 for index in range(len(ids))]
        self.classes = list(classes)
        self.broken = broken

    @staticmethod
    def color(index):
        return tuple(random.Random(index).choices(range(0, 250), k=3))

    def image(self, index):
        if index in self.broken:
            raise OSError("truncated")
        return Image.new("RGB", (SIZE, SIZE), self.color(index))


class Recorder(module.Page):
    """A page that remembers what is put on it."""

    drawn: list

    def __init__(self, *size):
        super().__init__(*size)
        self.texts, self.pictures = [], []
        Recorder.drawn.append(self)

    def text(self, x, baseline, text, *args, **kwargs):
        self.texts.append(text)
        return super().text(x, baseline, text, *args, **kwargs)

    def picture(self, x, y, pixels):
        self.pictures.append((x, y, pixels))
        super().picture(x, y, pixels)


@pytest.fixture
def drawn(monkeypatch):
    """The last page that was drawn."""
    Recorder.drawn = []
    monkeypatch.setattr(module, "Page", Recorder)
    return lambda: Recorder.drawn[-1]


def fill(path, dataset, maps=None, targets=None, ranks=1, extras=None, failures=(), **identity):
    """A store with a row for each sample and rank, in blocks of two samples."""
    store = ExplanationStore.open(path, Manifest({"method": {"class": "CoIBA", "beta": 1.0}, **identity}))
    for block, start in enumerate(range(0, len(dataset), 2)):
        rows = [i for i in range(start, min(start + 2, len(dataset))) for _ in range(ranks)]
        wanted = [k % ranks for k in range(len(rows))] if targets is None else [targets[i] for i in rows]
        store.write(
            BlockRecord(
                block,
                tuple(dataset.ids[i] for i in rows),
                torch.tensor(wanted),
                torch.tensor([dataset.labels[i] for i in rows]),
                torch.full((len(rows),), 0.75),
                torch.ones(len(rows), 4, 4) if maps is None else maps[rows],
                {name: torch.ones(len(rows)) for name in extras or ()},
                tuple(failures) if block == 0 else (),
            )
        )
    return ExplanationStore(path)


PLAIN = Preprocessing(size=(SIZE, SIZE), crop_pct=1.0)


def shown(page, dataset):
    """Indices of the samples whose pictures are on a page: every third panel, after the color scale."""
    colors = {dataset.color(index): index for index in range(len(dataset))}
    return [colors[tuple(pixels[:, 5, 5].tolist())] for _, _, pixels in page.pictures[1::3]]


def test_rows_are_evenly_spaced(tmp_path, drawn):
    dataset = Colours([f"{i:03d}" for i in range(40)])
    contact_sheet(fill(tmp_path / "s", dataset), dataset, PLAIN, tmp_path / "x.png", count=10)
    assert shown(drawn(), dataset) == list(range(0, 40, 4))


def test_all_rows_where_there_are_few(tmp_path, drawn):
    dataset = Colours(["a", "b", "c"])
    contact_sheet(fill(tmp_path / "s", dataset, ranks=2), dataset, PLAIN, tmp_path / "x.png")
    assert shown(drawn(), dataset) == [0, 0, 1, 1, 2, 2]  # each for two targets
    assert [text for text in drawn().texts if text in ("cat", "dog")] == ["cat", "dog"] * 3


def test_captions(tmp_path, drawn):
    dataset = Colours(["a.png", "b.png", "c.png"])
    store = fill(tmp_path / "s", dataset, maps=torch.full((3, 4, 4), 12.34), targets=[0, 0, 7], extras=["bits"])
    contact_sheet(store, dataset, PLAIN, tmp_path / "x.png")
    texts = drawn().texts
    assert [text for text in texts if text in ("cat", "dog", "class 7")] == ["cat", "cat", "class 7"]
    assert texts.count("  75%") == 3
    assert [text for text in texts if text.startswith("label")] == ["label: dog", "label: cat"]  # b, c
    assert texts.count("0 to 12.3 bits") == 3
    assert [text for text in texts if text.endswith(".png")] == ["a.png", "b.png", "c.png"]
    assert "CoIBA" in texts


@pytest.mark.parametrize("certified", [True, False])
def test_certified_radii(tmp_path, drawn, certified):
    """An extra of this name that a method gave is no certificate."""
    dataset = Colours(["a.png"])
    identity = {"certified": True} if certified else {}
    contact_sheet(fill(tmp_path / "s", dataset, extras=["radius"], **identity), dataset, PLAIN, tmp_path / "x.png")
    assert ("radius 1" in drawn().texts) == certified
    assert any("Radius: within it (L2" in text for text in drawn().texts) == certified


def test_numbers_without_a_unit(tmp_path, drawn):
    dataset = Colours(["a"])
    contact_sheet(fill(tmp_path / "s", dataset), dataset, PLAIN, tmp_path / "x.png")
    assert "0 to 1" in drawn().texts


@pytest.mark.parametrize(("first", "told"), [(0.0, "0"), (-1.0, "against"), (5.0, "lowest")])
def test_the_bar_says_what_its_dark_end_is(tmp_path, drawn, first, told):
    dataset = Colours(["a"])
    maps = torch.linspace(first, 6.0, 16).view(1, 4, 4)
    contact_sheet(fill(tmp_path / "s", dataset, maps=maps), dataset, PLAIN, tmp_path / "x.png")
    assert told in drawn().texts


def test_panels(tmp_path, drawn):
    dataset = Colours(["a"])
    values = torch.zeros(1, 4, 4)
    values[0, 0, 3] = 2.0
    contact_sheet(fill(tmp_path / "s", dataset, maps=values), dataset, PLAIN, tmp_path / "x.png")
    (x, y, image), (_, _, heat), (right, _, overlay) = drawn().pictures[1:]
    assert [panel.shape for panel in (image, heat, overlay)] == [(3, 160, 160)] * 3
    assert image.flatten(1).unique(dim=1).flatten().tolist() == list(dataset.color(0))
    brightness = heat.float().sum(0)
    assert brightness[:20, 140:].min() > 600
    assert brightness[80:].max() < 20
    assert len(overlay[:, 159, 0].unique()) == 1  # grey where the map is 0
    with Image.open(tmp_path / "x.png") as sheet:
        assert sheet.getpixel((x + 5, y + 5)) == dataset.color(0)
        assert sheet.size[0] >= right + 160


def test_the_picture_is_what_the_model_saw(tmp_path, drawn):
    class Photograph(Colours):
        def image(self, index):
            generator = torch.Generator().manual_seed(index)
            noise = torch.randint(0, 256, (10, 300, 3), dtype=torch.uint8, generator=generator)
            return Image.fromarray(noise.numpy()).resize((300, 200), Image.Resampling.BICUBIC)

    dataset = Photograph(["a"])
    preprocessing = Preprocessing(size=(160, 120), crop_pct=0.9, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    contact_sheet(fill(tmp_path / "s", dataset), dataset, preprocessing, tmp_path / "x.png")
    expected = Transform(preprocessing)(dataset.image(0))
    pixels = drawn().pictures[1][2]
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (preprocessing.mean, preprocessing.std))
    torch.testing.assert_close((pixels.float() / 255 - mean) / std, expected)


def test_images_that_cannot_be_read_or_are_not_there_are_left_out(tmp_path, drawn):
    dataset = Colours(["a", "b", "c", "d"])
    store = fill(tmp_path / "s", dataset, failures=[Failure("z", "the file is empty")])
    fewer = Colours(["a", "b", "c"], broken=[1])
    contact_sheet(store, fewer, PLAIN, tmp_path / "x.png")
    assert shown(drawn(), dataset) == [0, 2]
    assert any("2 of 4 explanations" in text and "1 failed" in text for text in drawn().texts)


def test_an_empty_store_gives_a_page_that_says_so(tmp_path, drawn):
    dataset = Colours([])
    file = contact_sheet(fill(tmp_path / "s", dataset), dataset, PLAIN, tmp_path / "x.png")
    assert any("no explanation" in text for text in drawn().texts)
    assert file.stat().st_size > 0


def test_ids_and_names_of_any_kind(tmp_path):
    ids = [r"a$\frac{$.png", "b\x00\n\x1b.png", "c\u65e5\u672c\U0001f600.png", "d" * 5000, "e\u202e&<b>%s{0}.png"]
    classes = [r"$\input{x}$", "\u65e5\n" * 200]
    dataset = Colours(ids, classes=classes)
    files = []
    for name in ("x", "y"):
        store = fill(tmp_path / name, dataset, targets=[1, 0, 1, 0, 1])
        files.append(contact_sheet(store, dataset, PLAIN, tmp_path / f"{name}.png"))
    assert files[0].read_bytes() == files[1].read_bytes()
    with Image.open(files[0]) as sheet:
        assert sheet.width < 1200  # a long id does not widen the page


def test_one_map_at_a_time(tmp_path, monkeypatch):
    dataset = Colours([f"{i:03d}" for i in range(20)])
    store = fill(tmp_path / "s", dataset, maps=torch.ones(20, 64, 64))
    read = []
    original = ExplanationStore.__getitem__
    monkeypatch.setattr(ExplanationStore, "__getitem__", lambda self, key: read.append(key) or original(self, key))
    monkeypatch.setattr(ExplanationStore, "__iter__", lambda self: pytest.fail("read the whole store"))
    contact_sheet(store, dataset, PLAIN, tmp_path / "x.png", count=4)
    assert read == [("000", 0), ("005", 0), ("010", 0), ("015", 0)]


def test_class_name():
    assert class_name(1, ["a", "b"]) == "b"
    assert class_name(2, ["a", "b"]) == "class 2"
    assert class_name(0, [" "]) == "class 0"
    assert class_name(-1, ["a"]) == "class -1"


@pytest.mark.parametrize(
    ("probability", "text"),
    [(1.0, "100%"), (0.954, "95%"), (0.0996, "10%"), (0.099, "9.9%"), (0.001, "0.1%"), (0.0, "<0.1%")],
)
def test_percent(probability, text):
    assert percent(probability) == text
    assert percent(float("nan")) == "?"
