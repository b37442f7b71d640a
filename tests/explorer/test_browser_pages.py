import csv
import json
from pathlib import Path

import pytest

from tests._testers.browser import page_of, scroll_through


def saved(page, button) -> Path:
    with page.expect_download() as download:
        button.click()
    return Path(download.value.path())


def rows_of(file: Path) -> list[list[str]]:
    return list(csv.reader(file.read_text("utf-8").splitlines()))


class TestClass:
    def test_concepts_have_an_address(self, visitor, site):
        concepts = json.loads((site / "classes/00000.json").read_text("utf-8"))["layers"][0]["concepts"]
        last = concepts[-1]
        page = visitor.open(f"classes/00000.html#concept-{last['id']}")
        assert page.locator(f"#concept-{last['id']}").get_attribute("aria-selected") == "true"
        assert page.locator("[data-panel] h3").inner_text() == last["name"]
        page.locator("#similar a, #proximity tbody a").first.click()
        assert "concept-" in visitor.address()

    def test_cards_bars_and_dots_have_the_colors_of_their_concepts(self, visitor, site):
        layer = json.loads((site / "classes/00000.json").read_text("utf-8"))["layers"][0]
        colors = {concept["id"]: concept["color"] for concept in layer["concepts"]}
        page = visitor.open("classes/00000.html")
        for card in page.locator("[role=tab]").all():
            color = card.evaluate("(card) => getComputedStyle(card).getPropertyValue('--color')")
            assert color == colors[int(card.get_attribute("data-concept"))]
        scroll_through(page)
        page.locator("#shares .main-svg").first.wait_for()
        bars = page.evaluate("document.querySelector('#shares [data-graph]').data[0].marker.color")
        assert bars[: len(colors)] == [colors[concept] for concept in layer["order"]]
        page.locator("[data-strategies] .main-svg").first.wait_for()
        dots = page.evaluate("document.querySelector('[data-strategies] [data-graph]').data[0]")
        assert len(dots["x"]) == layer["n_points"]
        assert set(dots["marker"]["color"]) <= set(colors.values())

    def test_a_dot_shows_its_image_in_the_color_of_its_concept(self, visitor):
        page = visitor.open("classes/00000.html")
        figure = page.locator("[data-strategies]")
        figure.scroll_into_view_if_needed()
        point = figure.locator(".points path").first
        point.wait_for()
        box = point.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        card = figure.locator(".hover-card")
        card.wait_for()
        fill = point.evaluate("(dot) => getComputedStyle(dot).fill")
        assert card.evaluate("(card) => getComputedStyle(card).borderTopColor") == fill

    def test_the_legend_shows_images_of_one_concept_only(self, visitor):
        page = visitor.open("classes/00000.html")
        figure = page.locator("[data-strategies]")
        figure.scroll_into_view_if_needed()
        chip = figure.locator(".legend .chip").first
        chip.click()
        assert chip.get_attribute("aria-pressed") == "true"
        opacities = page.evaluate("document.querySelector('[data-strategies] [data-graph]').data[0].marker.opacity")
        assert sum(value > 0.5 for value in opacities) == int(chip.locator(".soft").inner_text())

    def test_figures_can_be_saved(self, visitor, site):
        layer = json.loads((site / "classes/00000.json").read_text("utf-8"))["layers"][0]
        page = visitor.open("classes/00000.html")
        scroll_through(page)
        figure = page.locator("#shares")
        figure.scroll_into_view_if_needed()
        assert saved(page, figure.get_by_role("button", name="as PNG")).read_bytes().startswith(b"\x89PNG")
        assert b"<svg" in saved(page, figure.get_by_role("button", name="as SVG")).read_bytes()
        rows = rows_of(saved(page, figure.get_by_role("button", name="as CSV")))
        parts = [float(row[1]) for row in rows[1:]]
        assert sum(parts) == pytest.approx(layer["logit"], abs=1e-3)  # concepts, residual and bias make up the logit
        points = rows_of(saved(page, page.locator("[data-strategies]").get_by_role("button", name="as CSV")))
        assert len(points) == layer["n_points"] + 1

    def test_a_fold_has_the_crops_of_its_concept_when_it_is_opened(self, visitor, site):
        layer = json.loads((site / "classes/00000.json").read_text("utf-8"))["layers"][0]
        page = visitor.open("classes/00000.html")
        for concept in layer["order"]:
            fold = page.locator(f"[data-fold='{concept}']")
            assert fold.locator("img").count() == 0
            fold.locator("summary").click()
            fold.locator(".crops img").first.wait_for()
            sources = [image.get_attribute("src") for image in fold.locator(".crops img").all()]
            assert sources == [f"../{crop['picture']['src']}" for crop in layer["concepts"][concept]["crops"]]

    def test_the_json_of_the_page_lies_beside_it(self, visitor, site):
        page = visitor.open("classes/00000.html")
        link = page.get_by_role("link", name="Data (JSON)")
        assert link.evaluate("(link) => link.href") == (site / "classes/00000.json").as_uri()


class TestOverview:
    def test_classes_are_filtered_and_sorted(self, visitor):
        page = visitor.open("index.html")
        names = page.locator("[data-classes] strong")
        names.first.wait_for()
        page.get_by_placeholder("Filter by name or number").fill("twin")
        assert names.all_inner_texts() == ["twin", "twin"]
        page.get_by_placeholder("Filter by name or number").fill("")
        page.get_by_role("button", name="Table", exact=True).click()
        numbers = page.locator("[data-classes] tbody td:first-child")
        assert [int(text) for text in numbers.all_inner_texts()] == [0, 1, 2, 3, 4]
        page.get_by_role("button", name="Number").click()
        assert [int(text) for text in numbers.all_inner_texts()] == [4, 3, 2, 1, 0]
        assert page.locator("[aria-sort]").get_attribute("aria-sort") == "descending"

    def test_the_leaderboard_is_sorted_by_a_metric(self, visitor):
        page = visitor.open("index.html")
        head = page.locator(".board th button").nth(1)
        head.click()
        values = page.locator(".board tbody tr td:nth-child(2)")
        first = [float(cell.get_attribute("data-value")) for cell in values.all()]
        head.click()
        second = [float(cell.get_attribute("data-value")) for cell in values.all()]
        assert first == second[::-1]
        assert sorted(first) in (first, second)


class TestGallery:
    def test_methods_are_switched(self, visitor, site):
        address = page_of(site, "gallery")
        data = json.loads((site / address.replace(".html", ".json")).read_text("utf-8"))
        page = visitor.open(address)
        overlay = page.locator("[data-layers] .overlay")
        for number, method in enumerate(data["methods"]):
            page.get_by_label(method, exact=True).first.check(force=True)
            expected = next(kept for kept in data["samples"][0]["maps"] if kept["method"] == number)
            assert overlay.get_attribute("src").endswith(expected["overlay"]["src"])
        page.keyboard.press("1")
        assert page.locator("input[name=method]").first.is_checked()

    def test_the_slider_and_o_fade_the_map(self, visitor):
        page = visitor.open_kind("gallery")
        opacity = "Number(getComputedStyle(document.querySelector('[data-layers] .overlay')).opacity)"
        page.locator("[data-opacity]").fill("30")
        assert page.evaluate(opacity) == pytest.approx(0.3)
        page.locator("h1").click()
        page.keyboard.press("o")
        assert page.evaluate(opacity) == 0

    def test_images_are_walked_filtered_and_have_addresses(self, visitor, site):
        address = page_of(site, "gallery")
        samples = json.loads((site / address.replace(".html", ".json")).read_text("utf-8"))["samples"]
        page = visitor.open(f"{address}#{samples[2]['anchor']}")
        title = page.locator("[data-title]")
        assert title.inner_text() == samples[2]["id"]
        page.locator("h1").click()
        page.keyboard.press("ArrowRight")
        assert title.inner_text() == samples[3]["id"]
        page.get_by_role("button", name="Previous image").click()
        assert title.inner_text() == samples[2]["id"]
        assert visitor.address().endswith(f"#{samples[2]['anchor']}")
        page.locator("[data-correct]").select_option("wrong")
        assert page.locator("[data-strip] button").count() == sum(sample["correct"] is False for sample in samples)

    def test_values_of_a_map_are_read_and_saved(self, visitor, site):
        address = page_of(site, "gallery")
        kept = json.loads((site / address.replace(".html", ".json")).read_text("utf-8"))["samples"][0]["maps"][0]
        page = visitor.open(address)
        rows = rows_of(saved(page, page.get_by_role("button", name="Values (CSV)")))
        values = [float(value) for row in rows for value in row]
        assert (len(rows), len(rows[0])) == tuple(kept["grid"])
        assert min(values) == pytest.approx(kept["low"], abs=1e-6)
        assert max(values) == pytest.approx(kept["high"], abs=1e-6)
        page.locator("[data-layers]").hover(position={"x": 5, "y": 5})
        assert "Row 1, column 1" in page.locator("[data-value]").inner_text()

    def test_another_class_is_chosen(self, visitor):
        page = visitor.open_kind("gallery")
        page.locator("[data-class]").focus()
        page.locator("[data-class] option").nth(1).wait_for(state="attached")
        page.locator("[data-class]").select_option(index=1)
        page.wait_for_url("**/gallery/00001-000.html")


def test_tables_of_failures_are_saved(visitor):
    page = visitor.open("failures.html")
    rows = rows_of(saved(page, page.get_by_role("button", name="worst classes as CSV")))
    assert rows[0][0] == "Class"
    assert len(rows) > 1
