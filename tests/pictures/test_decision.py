"""A decision as a picture, and pages of prototypes: what is on them, and that it is right."""

import shutil

import pytest
import torch

from lit_coiba.attribution import HeadAttribution
from lit_coiba.callbacks import Decisions
from lit_coiba.core.errors import InputError
from lit_coiba.data.transforms import Transform
from lit_coiba.heads import EPICHead, LinearHead
from lit_coiba.modules.prototype_search import PrototypeSearch
from lit_coiba.pictures import decision as module
from lit_coiba.pictures.page import Page
from lit_coiba.pictures.prototype_page import framed, unit_page
from lit_coiba.prototypes import Prototypes
from lit_coiba.prototypes.patches import Box
from tests._testers import tiny
from tests._testers.runs import NoiseData, explain, make_trainer

MINUS = "\N{MINUS SIGN}"


@pytest.fixture
def classifier():
    return tiny.infodisent()


@pytest.fixture
def folder(classifier, tmp_path):
    make_trainer().prototypes(PrototypeSearch(classifier), NoiseData(14), str(tmp_path / "p"), pages=0)
    return str(tmp_path / "p")


@pytest.fixture
def written(monkeypatch):
    """The texts of all pages."""
    texts, write = [], Page.text

    def remember(self, x, baseline, text, *args, **kwargs):
        texts.append(text)
        return write(self, x, baseline, text, *args, **kwargs)

    monkeypatch.setattr(Page, "text", remember)
    return texts


def test_a_store_names_the_prototypes_of_each_unit(classifier, folder, tmp_path):
    store = explain(classifier, tmp_path / "s", NoiseData(4), HeadAttribution(top=3, prototypes=folder, patches=2))
    known = Prototypes(folder)
    for row in store:
        for unit, value, rows in zip(*(row.extras[name].tolist() for name in ("units", "contributions", "looks_like"))):
            side = 1 if value > 0 else -1  # weights are not negative
            assert rows == known.rows(unit, side)[:2]
            assert known[rows[0]].unit == unit
        logit = (row.extras["total"] + row.extras["bias"]).item()
        assert row.map.sum().item() == pytest.approx(logit, rel=1e-4)
        assert row.extras["unit_maps"].shape == (3, 4, 4)


def test_explain_draws_decisions_that_add_up(classifier, folder, tmp_path, written):
    store = explain(classifier, tmp_path / "s", NoiseData(4), HeadAttribution(top=3, prototypes=folder), pictures=True)
    assert sorted(file.name for file in (tmp_path / "s" / "decisions").iterdir()) == [f"{i:02d}.png" for i in range(4)]
    sums = [text for text in written if text.startswith("these 3 units")]
    assert len(sums) == 4
    for row, text in zip(store, sums):
        signed = [word.replace(MINUS, "-") for word in text.split() if word[0] in f"+{MINUS}"]
        numbers = [float(word) for word in signed]
        assert numbers[0] + numbers[1] == pytest.approx(numbers[2], abs=0.02 * max(map(abs, numbers)))
        assert numbers[2] == pytest.approx(row.extras["total"].item(), rel=0.01)
    assert written.count("looks like") == 12


def test_decisions_that_are_missing_are_drawn_again(classifier, folder, tmp_path):
    """A run that was killed between the last block and the last picture."""
    trainer = make_trainer(callbacks=[Decisions(count=2)])
    for _ in range(2):
        explain(classifier, tmp_path / "s", NoiseData(4), HeadAttribution(prototypes=folder), trainer=trainer)
        assert sorted(file.name for file in (tmp_path / "s" / "decisions").iterdir()) == ["00.png", "01.png"]
        shutil.rmtree(tmp_path / "s" / "decisions")


def test_decisions_of_which_some_are_missing_do_not_count(classifier, folder, tmp_path, monkeypatch):
    """Killed between two of them."""
    trainer, save = make_trainer(callbacks=[Decisions()]), Page.save

    def killed(self, file):
        if file.name == "02.png":
            raise KeyboardInterrupt
        return save(self, file)

    with monkeypatch.context() as patch:
        patch.setattr(Page, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            explain(classifier, tmp_path / "s", NoiseData(4), HeadAttribution(prototypes=folder), trainer=trainer)
    assert not (tmp_path / "s" / "decisions").exists()
    explain(classifier, tmp_path / "s", NoiseData(4), HeadAttribution(prototypes=folder), trainer=trainer)
    assert len(list((tmp_path / "s" / "decisions").iterdir())) == 4
    assert not list((tmp_path / "s").glob(".*"))


def test_decisions_need_prototypes(classifier, tmp_path):
    explain(classifier, tmp_path / "s", NoiseData(2), HeadAttribution(), trainer=make_trainer(callbacks=[Decisions()]))
    assert not (tmp_path / "s" / "decisions").exists()


@pytest.mark.parametrize("head", [LinearHead, EPICHead])
def test_a_head_of_one_side_looks_like_nothing_where_a_unit_is_negative(head, tmp_path, written):
    backbone = tiny.vit()
    backbone.attach(head(32, tiny.CLASSES))
    with torch.no_grad():
        next(parameter for name, parameter in backbone.head.named_parameters() if "weight" in name).normal_()
    make_trainer().prototypes(PrototypeSearch(backbone), NoiseData(14), str(tmp_path / "p"), pages=0)
    method, trainer = HeadAttribution(top=8, prototypes=str(tmp_path / "p")), make_trainer(callbacks=[Decisions()])
    store = explain(backbone, tmp_path / "s", NoiseData(4), method, trainer=trainer)
    weights, seen = backbone.head.unit_weights(), {True: 0, False: 0}
    known = Prototypes(tmp_path / "p")
    for row in store:
        for unit, value, rows in zip(*(row.extras[name].tolist() for name in ("units", "contributions", "looks_like"))):
            negative = value * weights[row.target, unit].item() < 0
            assert (rows[0] == -1) == (negative or not known.rows(unit))
            seen[negative] += 1
    assert min(seen.values()) > 2
    assert "is negative" in written


def test_without_prototypes_nothing_is_drawn(classifier, tmp_path):
    explain(classifier, tmp_path / "s", NoiseData(2), HeadAttribution())
    assert not (tmp_path / "s" / "decisions").exists()


def test_prototypes_of_another_classifier_are_refused(classifier, folder, tmp_path):
    with torch.no_grad():
        classifier.head.weight += 1
    with pytest.raises(InputError, match="belong to another classifier"):
        explain(classifier, tmp_path / "s", NoiseData(2), HeadAttribution(prototypes=folder))
    assert not (tmp_path / "s").exists()


def test_a_folder_by_another_name_resumes_the_same_store(classifier, folder, tmp_path):
    explain(classifier, tmp_path / "s", NoiseData(4), HeadAttribution(prototypes=folder), limit=2)
    (tmp_path / "p").rename(tmp_path / "q")
    moved = HeadAttribution(prototypes=str(tmp_path / "q"))
    assert len(explain(classifier, tmp_path / "s", NoiseData(4), moved, limit=2)) == 2


def test_an_image_that_is_gone_is_left_out(classifier, folder, tmp_path):
    store = explain(classifier, tmp_path / "s", NoiseData(4), HeadAttribution(prototypes=folder))
    torn = NoiseData(4, broken=(1,)).dataset("predict")
    drawn = module.draw_decisions(store, torn, classifier.preprocessing, Prototypes(folder), tmp_path / "d")
    assert [file.name for file in drawn] == ["00.png", "02.png", "03.png"]


def test_the_patch_that_is_shown_is_where_the_unit_is_strongest(classifier, folder, tmp_path, monkeypatch):
    """The frame around the patch of the image holds the cell of the largest value of the unit's map."""
    shown = []

    def remember(pixels, box, side, color):
        shown.append((pixels, box))
        return torch.zeros(3, side, side, dtype=torch.uint8)

    monkeypatch.setattr(module, "framed", remember)
    data = NoiseData(1)
    (row,) = explain(classifier, tmp_path / "s", data, HeadAttribution(top=2, prototypes=folder))
    shown.clear()
    dataset, transform = data.dataset("predict"), Transform(classifier.preprocessing)
    module.decision(row, dataset, 0, transform, Prototypes(folder))
    picture = transform.pixels(dataset.image(0))
    for (pixels, box), map in zip(shown, row.extras["unit_maps"]):
        y, x = divmod(int(map.argmax()), 4)
        cell = pixels[:, box.top : box.bottom, box.left : box.right]
        assert torch.equal(cell, picture[:, 8 * y : 8 * y + 8, 8 * x : 8 * x + 8])


def test_names_of_classes_are_text_and_nothing_else(classifier, folder, tmp_path):
    """Neither mathematics nor control characters do anything."""
    data = NoiseData(1)
    data.pictures.classes = [r"$\frac{1}{0}$", "<script>", *["\x1b[31m"] * 8]
    store = explain(classifier, tmp_path / "s", data, HeadAttribution(prototypes=folder), pictures=True)
    assert (tmp_path / "s" / "decisions" / "00.png").exists()
    assert len(store) == 1


def test_a_frame_is_around_the_box():
    grey = torch.full((3, 10, 20), 7, dtype=torch.uint8)
    picture = framed(grey, Box(2, 4, 8, 16), 40, torch.tensor([1, 2, 3]))
    frame = (picture == torch.tensor([1, 2, 3])[:, None, None]).all(0)
    assert frame[8:32, 8:32].sum() == frame.sum() == 24 * 24 - 20 * 20
    assert (picture[:, ~frame] == 7).all()


def test_pages_name_units_classes_and_scores(classifier, folder, written):
    known = Prototypes(folder)
    unit_page(known, known.important[:2], "Title")
    assert "Title" in written
    assert {f"unit {unit}" for unit in known.important[:2]} <= set(written)
    units = known.important[:2]
    patches = {side: sum(len(known.rows(unit, side)[:5]) for unit in units) for side in (1, -1)}
    assert patches[-1] > 0
    assert sum(text.startswith("+") for text in written) == 2 * 3 + patches[1]  # weights of classes, scores
    assert sum(text.startswith(MINUS) for text in written) == patches[-1]
