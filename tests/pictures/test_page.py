"""Texts and pictures on a page, without a display and without warnings."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from lit_coiba.pictures.page import Page, fitted

ODD = {
    "mathematics": r"$\frac{1}{2}$ and $\undefined{$ and one $",
    "TeX": r"\input{/etc/passwd} % # & _ ^ ~ {",
    "controls": "a\nb\tc\x00d\x1b[31m\u202ee\ufeff",
    "not in the font": "\u65e5\u672c\u8a9e \U0001f600 \U00012000",
    "half a character": "a\ud800b",
    "combining": "e\u0301\u0301\u0301",
    "right to left": "\u05d0\u05d1 \u0627\u0644",
}


def ink(page):
    """Columns and rows with something dark in them."""
    dark = page.pixels().amin(0) < 200
    return dark.any(0).nonzero().flatten(), dark.any(1).nonzero().flatten()


@pytest.mark.parametrize("text", ODD.values(), ids=ODD.keys())
def test_odd_text_is_drawn_as_it_is_in_one_line(text):
    page = Page(500, 60)
    page.text(10, 30, text, width=480)
    columns, rows = ink(page)
    assert len(columns) > 5
    assert rows.min() > 10
    assert rows.max() < 40


def test_dollars_are_no_mathematics():
    plain, dollars = Page(300, 40), Page(300, 40)
    assert dollars.text(5, 25, "$x$") > plain.text(5, 25, "x") + 10


def test_text_that_is_too_long_is_cut_to_its_width():
    page = Page(600, 40)
    drawn = page.text(10, 25, "M" * 1000, width=200)
    columns, _ = ink(page)
    assert 170 < drawn <= 200
    assert columns.max() <= 10 + 200


def test_the_kept_end_is_what_is_drawn():
    start, end = Page(400, 40), Page(400, 40)
    start.text(0, 25, "i" * 30 + "M" * 30, width=100, keep="start")
    end.text(0, 25, "i" * 30 + "M" * 30, width=100, keep="end")
    assert (end.pixels() < 128).sum() > 1.3 * (start.pixels() < 128).sum()  # M has more ink than i


def test_alignment():
    for align, expected in (("left", (100, 140)), ("center", (80, 120)), ("right", (60, 100))):
        page = Page(200, 40)
        width = page.text(100, 25, "HHHH", align=align)
        columns, _ = ink(page)
        left = {"left": 100, "center": 100 - width / 2, "right": 100 - width}[align]
        assert abs(columns.min() - left) <= 2
        assert abs(columns.max() - (left + width)) <= 2, expected


def test_pictures_lie_where_they_are_put():
    page = Page(30, 20)
    pixels = torch.randint(0, 256, (3, 5, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    page.picture(11, 4, pixels)
    shown = page.pixels()
    assert torch.equal(shown[:, 4:9, 11:18], pixels)
    assert (shown.clone().index_fill_(1, torch.arange(4, 9), 255) == 255).all()


def test_saved_page_is_what_was_drawn_and_equal_each_time(tmp_path):
    files = []
    for name in ("a", "b"):
        page = Page(120, 40)
        page.text(5, 25, "caption")
        files.append(page.save(tmp_path / "new" / f"{name}.png"))
    assert files[0].read_bytes() == files[1].read_bytes()
    with Image.open(files[0]) as image:
        assert image.size == (120, 40)
    assert sorted(path.name for path in files[0].parent.iterdir()) == ["a.png", "b.png"]  # nothing temporary


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    file = Page(20, 20).save(tmp_path / "page.png")
    before = file.read_bytes()
    monkeypatch.setattr(Image.Image, "save", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        Page(30, 30).save(file)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["page.png"]


def test_settings_of_the_user_do_not_change_the_page():
    own = {"font.size": 30, "text.usetex": True, "savefig.dpi": 300, "font.family": "cursive", "figure.facecolor": "k"}
    shown = []
    for settings in ({}, own):
        with matplotlib.rc_context(settings):
            page = Page(200, 50)
            page.text(5, 30, "some $text$")
            shown.append(page.pixels())
    assert torch.equal(*shown)


def test_no_figure_is_left_in_pyplot():
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    page = Page(100, 30)
    page.text(5, 20, "text")
    page.pixels()
    assert pyplot.get_fignums() == before


def test_fitted():
    pixels = torch.full((3, 10, 20), 77, dtype=torch.uint8)
    assert fitted(pixels, (10, 20)) is pixels
    small = fitted(pixels, (5, 8))
    assert small.shape == (3, 5, 8)
    assert small.unique().tolist() == [77]


def test_a_page_is_what_matplotlib_draws_over_a_picture_of_its_own():
    texts = [
        (20, 30, "over the picture", 9, "#6f6f7a"),
        (60, 52, "98%", 11.5, "#b3261e"),
        (5, 90, "below", 8, "#1b1b1f"),
    ]
    page, noise = Page(240, 100), torch.randint(0, 256, (3, 60, 200), generator=torch.Generator().manual_seed(0))
    page.picture(10, 5, noise.to(torch.uint8))
    for x, y, text, size, color in texts:
        page.text(x, y, text, size=size, color=color)

    below = np.full((100, 240, 3), 255, np.uint8)
    below[5:65, 10:210] = noise.permute(1, 2, 0)
    figure = Figure(figsize=(2.4, 1), dpi=100, frameon=False)
    figure.figimage(below, origin="upper", zorder=-1)
    font = Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf")
    for x, y, text, size, color in texts:
        figure.text(x / 240, 1 - y / 100, text, font=font, fontsize=size, color=color, va="baseline", parse_math=False)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    expected = torch.from_numpy(np.asarray(canvas.buffer_rgba())[..., :3].copy()).permute(2, 0, 1)
    assert torch.equal(page.pixels(), expected)
    assert torch.equal(page.pixels(), expected)  # to look does not change it
