import re

import pytest

from benchmarks._site_pages import KINDS
from tests._testers.browser import Visitor, page_of, scroll_through, serious_faults
from tests._testers.explorer_runs import HOSTILE

GRAPHS = {"overview": 1, "class": 4, "comparison": 1}  # kind -> least number of graphs


@pytest.mark.parametrize("kind", KINDS)
class TestEveryKindOfPage:
    def test_opens_from_disk_without_a_fault_or_a_request_elsewhere(self, kind, visitor):
        page = visitor.open_kind(kind)
        assert page.locator("h1").count() == 1
        assert page.title().endswith(page.locator(".brand").inner_text().strip())
        scroll_through(page)
        for figure in page.locator(".figure:has([data-graph])").all():
            figure.scroll_into_view_if_needed()
            figure.locator(".main-svg").first.wait_for()
        page.wait_for_load_state("networkidle")
        assert page.locator("[data-drawn]").count() >= GRAPHS.get(kind, 0)
        assert kind in GRAPHS or not any("plotly" in url for url in visitor.requests)
        broken = "() => [...document.images].filter((i) => i.complete && i.naturalWidth === 0).map((i) => i.src)"
        assert page.evaluate(broken) == []
        assert re.findall(r"null|undefined|NaN|\[object", page.locator("body").inner_text()) == []

    def test_fits_a_phone(self, kind, browser, site):
        someone = Visitor(browser, site, viewport={"width": 360, "height": 780}, has_touch=True, is_mobile=True)
        page = someone.open_kind(kind)
        scroll_through(page)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        someone.close()

    def test_has_no_serious_fault_of_accessibility_in_light_and_dark(self, kind, visitor):
        page = visitor.open_kind(kind)
        page.evaluate("document.querySelectorAll('main details').forEach((fold) => { fold.open = true; })")
        scroll_through(page)
        page.wait_for_load_state("networkidle")
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            page.wait_for_function("(theme) => document.documentElement.dataset.theme === theme", arg=theme)
            assert serious_faults(page) == []

    def test_is_light(self, kind, site):
        limit = 150_000 if kind == "class" else 1_000_000
        assert (site / page_of(site, kind)).stat().st_size < limit


def test_dialogs_have_no_serious_fault_of_accessibility(visitor):
    page = visitor.open_kind("class")
    page.keyboard.press("?")
    assert serious_faults(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("twin")
    page.locator("#finder .hits a").first.wait_for()
    assert serious_faults(page) == []
    page.keyboard.press("Escape")
    page.locator("[data-fan] a.view").first.click()
    assert serious_faults(page) == []


def test_names_are_shown_as_they_are_given(visitor):
    for cls, name in enumerate(HOSTILE):
        page = visitor.open(f"classes/{cls:05d}.html")
        assert page.locator("h1").inner_text() == f"{name} ({cls})"
        scroll_through(page)
        assert page.locator("main script, main [onerror], main b > x").count() == 0
    page = visitor.open("index.html")
    page.locator("[data-classes] .tile").first.wait_for()
    assert [tile.inner_text() for tile in page.locator("[data-classes] strong").all()] == list(HOSTILE)
    page.get_by_role("button", name="Table", exact=True).click()
    assert [cell.inner_text() for cell in page.locator("[data-classes] tbody th").all()] == list(HOSTILE)


def test_repeated_names_have_a_page_each(visitor):
    page = visitor.open("search.html")
    page.get_by_role("searchbox").fill("twin")
    links = page.locator(".hits a:has(.tag:text-is('Class'))")
    links.nth(1).wait_for()
    addresses = [re.sub(r".*/(?=classes/)", "", link.evaluate("(link) => link.href")) for link in links.all()]
    assert addresses == ["classes/00003.html", "classes/00004.html"]


def test_every_script_and_style_is_named_by_a_page(site):
    named = {name for file in site.rglob("*.html") for name in re.findall(r"assets/([\w.]+)", file.read_text("utf-8"))}
    assert {file.name for file in (site / "assets").iterdir()} - {"plotly.min.js"} == named
