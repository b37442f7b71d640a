import pytest

from tests._testers.browser import Visitor, chromium
from tests._testers.explorer_runs import World, write_runs


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """A site of two models with pages of every kind and hostile names."""
    from lit_coiba.explorer import build

    folder = tmp_path_factory.mktemp("explorer")
    first = write_runs(folder / "first", World(classes=5, images=24, r=4))
    second = write_runs(folder / "second", World(classes=5, images=24, r=4, model="other", seed=1))
    return build(first, folder / "site", other=second).path


@pytest.fixture(scope="session")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def visitor(browser, site):
    """A visitor with a window of a desktop; what goes wrong on any page fails the test."""
    someone = Visitor(browser, site, viewport={"width": 1280, "height": 860})
    yield someone
    someone.close()
