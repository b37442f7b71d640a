"""Fixtures that tests of several packages need."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

# No test waits for a network. The hub package reads this when it is imported; processes that tests start inherit it.
os.environ["HF_HUB_OFFLINE"] = "1"

# The same examples in every run, and no deadline: a loaded machine is no failure.
settings.register_profile("tests", derandomize=True, deadline=None, max_examples=50, database=None)
settings.load_profile("tests")


@pytest.fixture(autouse=True)
def seed() -> None:
    """Random weights that a test does not seed are those of every run: some draws have no positive evidence."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder of real weights and images: LIT_COIBA_ASSETS, else shared/assets beside the checkout."""
    given = os.environ.get("LIT_COIBA_ASSETS")
    folder = Path(given) if given else Path(__file__).parents[2] / "shared" / "assets"
    if not folder.is_dir():
        pytest.skip(f"needs real weights and images, and there is no {folder} (set LIT_COIBA_ASSETS)")
    return folder
