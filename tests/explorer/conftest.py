"""One world, its runs and those of a second model, and the site of them, made once."""

import shutil
from functools import partial

import pytest

from lit_coiba.explorer import build
from tests._testers.browser import Visitor, chromium
from tests._testers.explorer_runs import World, write_runs


@pytest.fixture(scope="session")
def world():
    """What the first model's runs are of, with hostile names."""
    return World(classes=5, images=24, r=4)


@pytest.fixture(scope="session")
def rebuild(world, tmp_path_factory):
    """Builds a site with pages of every kind in a folder."""
    folder = tmp_path_factory.mktemp("runs")
    first = write_runs(folder / "first", world)
    second = write_runs(folder / "second", World(classes=5, images=24, r=4, model="other", seed=1))
    return partial(build, first, other=second)


@pytest.fixture(scope="session")
def site(rebuild, tmp_path_factory):
    """The folder of that site, which no test may change."""
    return rebuild(tmp_path_factory.mktemp("site")).path


@pytest.fixture
def copied(site, tmp_path):
    """A copy of the site that a test may change."""
    return shutil.copytree(site, tmp_path / "copy")


@pytest.fixture(scope="module")  # its event loop runs as long as it is open, and other tests have loops of their own
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def visitor(browser, site):
    """A visitor with a window of a desktop; what goes wrong on any page fails the test."""
    someone = Visitor(browser, site, viewport={"width": 1280, "height": 860})
    yield someone
    someone.close()
