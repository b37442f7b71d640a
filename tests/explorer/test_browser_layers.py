import pytest

from tests._testers.browser import Visitor, scroll_through, serious_faults
from tests._testers.explorer_concepts import write_concepts
from tests._testers.explorer_runs import World


@pytest.fixture(scope="module")
def layered(tmp_path_factory):
    """A site of concepts at two layers; class 1 has none at the second."""
    from lit_coiba.explorer import build

    folder = tmp_path_factory.mktemp("layers")
    world = World(classes=2, images=30, r=3)
    upper = write_concepts(folder / "upper", world, "blocks.2")
    lower = write_concepts(folder / "lower", world, "blocks.1", empty=(1,))
    return build([upper, lower], folder / "site").path


@pytest.fixture
def guest(browser, layered):
    someone = Visitor(browser, layered, viewport={"width": 1280, "height": 860})
    yield someone
    someone.close()


def test_layers_are_switched(guest):
    page = guest.open("classes/00000.html")
    layers = page.locator("[data-layer]")
    assert [layer.is_visible() for layer in layers.all()] == [True, False]
    page.get_by_role("group", name="Layer").get_by_role("button").nth(1).click()
    assert [layer.is_visible() for layer in layers.all()] == [False, True]
    scroll_through(page)
    for figure in layers.nth(1).locator(".figure:has([data-graph])").all():
        figure.scroll_into_view_if_needed()
        figure.locator(".main-svg").first.wait_for()
    assert serious_faults(page) == []


def test_a_concept_of_the_second_layer_has_an_address(guest):
    page = guest.open("classes/00000.html#concept-2-1")
    assert page.locator("#concept-2-1").get_attribute("aria-selected") == "true"
    assert page.locator("#concept-2-1").is_visible()
    link = page.locator("[data-layer='1'] [data-panel] p a").last
    link.click()
    page.wait_for_url("**/concepts/00000-02-1.html")
    page.get_by_role("link", name="On the page of its class").click()
    page.wait_for_load_state()
    assert page.locator("#concept-2-1").get_attribute("aria-selected") == "true"


def test_a_layer_without_concepts_says_why(guest):
    page = guest.open("classes/00001.html")
    page.get_by_role("group", name="Layer").get_by_role("button").nth(1).click()
    assert "too few images" in page.locator("[data-layer='1'] .note").inner_text()
