"""Pages of a site of the explorer, and the Chromium that opens them."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Kind of page -> where its pages lie.
KINDS = {
    "overview": "index.html",
    "class": "classes/*.html",
    "concept": "concepts/*.html",
    "prototypes": "prototypes.html",
    "prototype": "prototypes/[0-9]*.html",
    "gallery_index": "gallery.html",
    "gallery": "gallery/*.html",
    "failures": "failures.html",
    "comparison": "compare.html",
    "class_comparison": "compare/*.html",
    "search": "search.html",
}


def pages(site: Path) -> dict[str, list[Path]]:
    """Kind -> its pages, in order; only kinds that the site has."""
    found = {kind: sorted(site.glob(pattern)) for kind, pattern in KINDS.items()}
    return {kind: files for kind, files in found.items() if files}


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium; without it the program ends with a sentence."""
    names = ("chromium", "chromium-browser", "google-chrome")
    binary = next((found for name in names if (found := shutil.which(name))), None)
    if binary is None:
        sys.exit("Chromium is not installed: on Debian, apt-get install chromium")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    from playwright.sync_api import sync_playwright  # the list of pages needs none

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=arguments)
        yield browser
        browser.close()
