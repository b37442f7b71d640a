"""Screenshots of a site of the explorer: a page of every kind, light and dark, on a desktop and on a phone.

    python benchmarks/explorer_screenshots.py SITE OUTPUT [--pages classes/00003.html ...] [--first-screen]

Needs Chromium and Playwright for Python (``pip install lit-coiba[browser]``).
Files are called ``class-light-1280.png``.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

from _site_pages import chromium, pages
from playwright.sync_api import Page, ViewportSize

HEIGHTS = {1280: 860, 360: 780}  # width -> height of the window in pixels
THEMES = ("light", "dark")


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
    parser.add_argument("--widths", nargs="*", type=int, default=list(HEIGHTS))
    parser.add_argument("--themes", nargs="*", choices=THEMES, default=list(THEMES))
    args = parser.parse_args()
    site = args.site.resolve()
    taken = {name.replace("/", "-").removesuffix(".html"): site / name for name in args.pages}
    taken = taken or {kind: files[0] for kind, files in pages(site).items()}
    args.output.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        for width, theme in product(args.widths, args.themes):
            size = ViewportSize(width=width, height=HEIGHTS.get(width, 860))
            context = browser.new_context(viewport=size, color_scheme=theme, reduced_motion="reduce")
            page = context.new_page()
            for name, file in taken.items():
                page.goto(file.as_uri())
                settle(page)
                shot = args.output / f"{name}-{theme}-{width}.png"
                page.screenshot(path=shot, full_page=not args.first_screen)
                print(shot)
            context.close()


if __name__ == "__main__":
    main()
