import pytest

from tests._testers.browser import Visitor, scroll_through, serious_faults


@pytest.fixture(scope="module")
def single(site, tmp_path_factory):
    """A class page as one file, alone in its folder."""
    from lit_coiba.explorer import single_page

    return single_page(site, 0, tmp_path_factory.mktemp("single") / "class.html")


def test_a_class_in_one_file_works_alone(browser, single):
    someone = Visitor(browser, single.parent, viewport={"width": 1280, "height": 860})
    page = someone.open("class.html#concept-1")
    assert page.locator("#concept-1").get_attribute("aria-selected") == "true"
    scroll_through(page)
    for figure in page.locator(".figure:has([data-graph])").all():
        figure.scroll_into_view_if_needed()
        figure.locator(".main-svg").first.wait_for()
    assert page.evaluate("[...document.images].filter((i) => i.complete && i.naturalWidth === 0).length") == 0
    page.locator("[data-fan] a.view").first.click()
    assert page.locator("#viewer img").is_visible()
    page.keyboard.press("Escape")
    assert serious_faults(page) == []
    inward = "() => [...document.querySelectorAll('a[href]')].every((a) => /^(#|data:)/.test(a.getAttribute('href')))"
    assert page.evaluate(inward)
    outward = [url for url in someone.requests if not url.startswith(("data:", "blob:"))]
    assert outward == [single.as_uri()]
    someone.close()
