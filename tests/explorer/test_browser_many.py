import json
import shutil

import pytest

from tests._testers.browser import Visitor

CLASSES = 1000


@pytest.fixture(scope="module")
def many(site, tmp_path_factory):
    """The first pages of a site of a thousand classes: their tables are drawn, there are no pages of classes."""
    folder = tmp_path_factory.mktemp("many")
    for name in ("index.html", "search.html"):
        shutil.copy(site / name, folder)
    for name in ("assets", "data", "media"):
        shutil.copytree(site / name, folder / name)
    text = (site / "data/classes.js").read_text("utf-8")
    few = json.loads(text[text.index("{") : text.rindex("}") + 1])
    columns = {name: [column[i % len(column)] for i in range(CLASSES)] for name, column in few.items()}
    columns |= {"id": list(range(CLASSES)), "name": [f"kind {i}" for i in range(CLASSES)]}
    (folder / "data/classes.js").write_text(f'litCoiba.receive("classes",{json.dumps(columns)});')
    entries = [["class", f"kind {i}", f"class {i}", f"classes/{i:05d}.html", None] for i in range(CLASSES)]
    images = [["image", f"{i % CLASSES}/{i}.png", f"kind {i % CLASSES}", "index.html", None] for i in range(9000)]
    shards = [entries, *(images[k : k + 3000] for k in range(0, 9000, 3000))]
    for number, shard in enumerate(shards):
        name = f"search-{number:03d}"
        (folder / f"data/{name}.js").write_text(f'litCoiba.receive("{name}",{json.dumps(shard)});')
    (folder / "data/search.js").write_text(f'litCoiba.receive("search",{len(shards)});')
    return folder


@pytest.fixture
def guest(browser, many):
    someone = Visitor(browser, many, viewport={"width": 1280, "height": 860})
    yield someone
    someone.close()


def test_a_thousand_classes_are_shown_part_by_part(guest, many):
    page = guest.open("index.html")
    tiles = page.locator("[data-classes] a.tile")
    tiles.first.wait_for()
    took = page.evaluate("performance.now()")
    weight = (many / "index.html").stat().st_size + (many / "data/classes.js").stat().st_size
    print(f"overview of {CLASSES} classes: {took:.0f} ms to the first tiles, {weight:,} bytes with its table")
    assert tiles.count() <= 120
    assert weight < 1_000_000
    assert page.evaluate("document.querySelectorAll('*').length") < 2500
    page.wait_for_load_state("networkidle")
    assert not any("plotly" in url for url in guest.requests)  # graphs further down wait until they are seen
    page.get_by_placeholder("Filter by name or number").fill("kind 777")
    assert tiles.all_inner_texts()[0].startswith("kind 777")
    assert tiles.count() == 1


def test_pictures_are_loaded_when_they_come_into_view(guest):
    page = guest.open("index.html")
    page.locator("[data-classes] a.tile").first.wait_for()
    page.wait_for_load_state("networkidle")
    assert page.evaluate(
        "[...document.images].every((image) => image.loading === 'lazy' && image.width && image.height)"
    )


def test_ten_thousand_entries_are_searched(guest):
    page = guest.open("search.html")
    page.get_by_role("searchbox").fill("99.png kind")
    line = page.locator("[data-line]")
    page.wait_for_function("/^[\\d,]+ found/.test(document.querySelector('[data-line]').textContent)")
    page.wait_for_function("document.querySelectorAll('.hits li').length === 90")
    assert line.inner_text() == "90 found"
    page.get_by_role("searchbox").fill("kind 12")
    assert page.locator(".hits li").first.inner_text().startswith("kind 12\n")
