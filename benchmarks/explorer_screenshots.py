"""Screenshots of a site of the explorer: a page of every kind, light and dark, on a desktop and on a phone.

    python benchmarks/explorer_screenshots.py SITE OUTPUT [--pages classes/00003.html ...] [--first-screen]

Needs Chromium and Playwright for Python (``pip install lit-coiba[browser]``).
Files are called ``class-light-1280.png``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from itertools import product
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

WIDTHS = {1280: 860, 360: 780}  # width -> height of the window in pixels
THEMES = ("light", "dark")
# Kind of page -> where its pages lie; the first of each is taken.
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


def pages(site: Path) -> dict[str, Path]:
    """The first page of every kind that the site has."""
    found = {kind: sorted(site.glob(pattern)) for kind, pattern in KINDS.items()}
    return {kind: files[0] for kind, files in found.items() if files}


def settle(page: Page) -> None:
    """Scroll through a page, so that what loads when it is seen is there, and back."""
    page.evaluate(
        """async () => {
            for (let y = 0; y < document.body.scrollHeight; y += 400) {
                window.scrollTo(0, y);
                await new Promise((resolve) => setTimeout(resolve, 60));
            }
            window.scrollTo(0, 0);
        }"""
    )
    page.wait_for_timeout(900)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("site", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--pages", nargs="*", default=[], help="Pages of the site instead of one of every kind.")
    parser.add_argument("--first-screen", action="store_true", help="What the window shows, not the whole page.")
    parser.add_argument("--widths", nargs="*", type=int, default=list(WIDTHS))
    parser.add_argument("--themes", nargs="*", choices=THEMES, default=list(THEMES))
    args = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        sys.exit("Chromium is not installed: on Debian, apt-get install chromium")
    site = args.site.resolve()
    taken = {name.replace("/", "-").removesuffix(".html"): site / name for name in args.pages} or pages(site)
    args.output.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        for width, theme in product(args.widths, args.themes):
            context = browser.new_context(
                viewport={"width": width, "height": WIDTHS.get(width, 860)},
                color_scheme=theme,
                reduced_motion="reduce",
            )
            page = context.new_page()
            for name, file in taken.items():
                page.goto(file.as_uri())
                settle(page)
                page.screenshot(path=args.output / f"{name}-{theme}-{width}.png", full_page=not args.first_screen)
                print(args.output / f"{name}-{theme}-{width}.png")
            context.close()
        browser.close()


if __name__ == "__main__":
    main()
