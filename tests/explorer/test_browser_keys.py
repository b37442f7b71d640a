import re

import pytest

from tests._testers.explorer_runs import HOSTILE


def focused(page) -> str:
    return page.evaluate("document.activeElement.id || document.activeElement.textContent")


class TestAnywhere:
    def test_a_slash_searches_and_arrows_choose(self, visitor):
        page = visitor.open("classes/00001.html")
        page.keyboard.press("/")
        page.keyboard.type("twin")
        page.locator("#finder .hits a").nth(1).wait_for()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Enter")
        page.wait_for_url("**/classes/00003.html")

    def test_search_finds_by_parts_of_words_in_any_order(self, visitor):
        page = visitor.open("index.html")
        page.keyboard.press("/")
        page.keyboard.type("SCRIPT unit 0")
        page.locator("#finder .hits a").first.wait_for()
        (hit,) = page.locator("#finder .hits a").all_inner_texts()
        assert hit.splitlines()[0] == "Unit 0"
        assert HOSTILE[0] in hit
        page.locator("#finder input").fill("no such thing")
        assert "Nothing is called" in page.locator("#finder > p").inner_text()
        page.keyboard.press("Escape")
        assert page.locator("dialog[open]").count() == 0

    def test_r_opens_any_class(self, visitor):
        page = visitor.open("failures.html")
        page.keyboard.press("r")
        page.wait_for_url(re.compile(r"/classes/0000[0-4]\.html$"))

    def test_a_question_mark_lists_the_keys(self, visitor):
        page = visitor.open_kind("gallery")
        page.keyboard.press("?")
        assert page.locator("#help dt kbd").first.is_visible()
        page.keyboard.press("r")  # nothing happens behind a dialog
        page.keyboard.press("Escape")
        assert not page.locator("#help").is_visible()
        assert visitor.address().startswith("gallery/")

    def test_keys_are_letters_where_one_types(self, visitor):
        page = visitor.open("search.html")
        page.locator("#search-page input").fill("")
        page.keyboard.type("r/?")
        assert page.locator("#search-page input").input_value() == "r/?"
        assert page.locator("dialog[open]").count() == 0

    def test_the_first_stop_leads_to_the_content(self, visitor):
        page = visitor.open("index.html")
        page.keyboard.press("Tab")
        assert focused(page) == "Skip to the content"
        page.keyboard.press("Enter")
        assert focused(page) == "main"

    def test_arrows_lead_to_the_neighbors_of_a_class(self, visitor):
        page = visitor.open("classes/00001.html")
        page.keyboard.press("ArrowRight")
        page.wait_for_url("**/classes/00002.html")
        page.keyboard.press("ArrowLeft")
        page.wait_for_url("**/classes/00001.html")


class TestTheme:
    @pytest.mark.parametrize(("first", "then"), [("light", "dark"), ("dark", "light")])
    def test_is_switched_and_kept(self, visitor, first, then):
        visitor.page.emulate_media(color_scheme=first)
        page = visitor.open("classes/00000.html")
        theme = "document.documentElement.dataset.theme"
        shade = "getComputedStyle(document.body).backgroundColor"
        assert page.evaluate(theme) == first
        before = page.evaluate(shade)
        page.get_by_role("button", name="Light or dark").click()
        assert page.evaluate(theme) == then
        assert page.evaluate(shade) != before
        assert visitor.open("index.html").evaluate(theme) == then

    def test_graphs_follow(self, visitor):
        page = visitor.open("classes/00000.html")
        figure = page.locator("#shares")
        figure.scroll_into_view_if_needed()
        figure.locator(".main-svg").first.wait_for()
        color = "() => document.querySelector('#shares .main-svg').style.background"
        before = page.evaluate(color)
        page.get_by_role("button", name="Light or dark").click()
        page.wait_for_function(f"(before) => ({color})() !== before", arg=before)


class TestClassPage:
    def test_arrows_walk_among_cards_and_enter_fans_one_out(self, visitor):
        page = visitor.open("classes/00000.html")
        cards = page.locator("[role=tab]")
        cards.first.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        second = cards.nth(1)
        assert second.get_attribute("aria-selected") == "true"
        assert cards.first.get_attribute("aria-selected") == "false"
        name = second.locator("strong").inner_text()
        assert page.locator("[data-panel] h3").inner_text() == name
        assert f"of {name}" in page.locator("[data-fan] .spoke img").first.get_attribute("alt")
        page.keyboard.press("End")
        assert focused(page) == cards.last.get_attribute("id")

    def test_arrows_walk_from_dot_to_dot(self, visitor):
        page = visitor.open("classes/00000.html")
        figure = page.locator("[data-strategies]")
        figure.scroll_into_view_if_needed()
        figure.locator(".main-svg").first.wait_for()
        figure.locator("[data-graph]").focus()
        page.keyboard.press("ArrowRight")
        assert "null" not in figure.locator(".hover-card").inner_text()
        first = page.locator("#live").inner_text()
        seen = {first}
        for key in ("ArrowLeft", "ArrowUp", "ArrowRight", "ArrowDown"):
            page.keyboard.press(key)
            seen.add(page.locator("#live").inner_text())
        assert len(seen) > 2
        assert all("logit" in text for text in seen)
        page.keyboard.press("Escape")
        assert not figure.locator(".hover-card").is_visible()

    def test_pictures_open_large_and_arrows_turn_the_leaves(self, visitor):
        page = visitor.open("classes/00000.html")
        page.locator("[data-fan] .spoke").first.click()
        viewer = page.locator("#viewer")
        shown = viewer.locator("img").get_attribute("src")
        page.keyboard.press("ArrowRight")
        assert viewer.locator("img").get_attribute("src") != shown
        page.keyboard.press("ArrowLeft")
        assert viewer.locator("img").get_attribute("src") == shown
        with page.expect_popup() as opened:  # a file from disk opens beside the page
            viewer.get_by_role("link", name="Download").click()
        assert opened.value.url == shown
        opened.value.close()
        page.keyboard.press("Escape")
        assert not viewer.is_visible()


def test_arrows_walk_among_tiles(visitor):
    page = visitor.open("index.html")
    tiles = page.locator("[data-classes] a.tile")
    tiles.first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    page.wait_for_url("**/classes/00001.html")
