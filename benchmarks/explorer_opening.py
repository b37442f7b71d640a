"""How heavy the pages of a site of the explorer are, and how long they take to open from disk.

    python benchmarks/explorer_opening.py SITE [--opens 5] [--limit 2.0]

For every kind of page: the largest file, and the median time until the page and what it loads at once are there.
Ends with status 1 if the overview takes longer than the limit, a page has more than 1 MB, or that of a class more than
150 kB.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import median

from _site_pages import chromium, pages
from playwright.sync_api import Browser

LIMITS = {"class": 150_000}  # bytes; of other kinds:
LIMIT = 1_000_000
READY = "main h1, main input"  # every page has one of these


def opening(browser: Browser, file: Path, kind: str) -> float:
    """Seconds until a page is there; the overview, until it has its classes."""
    page = browser.new_page(viewport={"width": 1280, "height": 860})
    page.goto(file.as_uri(), wait_until="load")
    page.locator("[data-classes][data-filled]" if kind == "overview" else READY).first.wait_for()
    taken: float = page.evaluate("performance.now()")
    page.close()
    return taken / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("site", type=Path)
    parser.add_argument("--opens", type=int, default=5)
    parser.add_argument("--limit", type=float, default=2.0, help="Seconds that the overview may take.")
    args = parser.parse_args()
    site = args.site.resolve()
    faults = []
    print(f"{'kind':<18}{'pages':>8}{'largest (kB)':>14}{'opens in (s)':>14}")
    with chromium() as browser:
        for kind, files in pages(site).items():
            largest = max(files, key=lambda file: file.stat().st_size)
            size = largest.stat().st_size
            seconds = median(opening(browser, largest, kind) for _ in range(args.opens))
            print(f"{kind:<18}{len(files):>8,}{size / 1000:>14.1f}{seconds:>14.2f}")
            if size > LIMITS.get(kind, LIMIT):
                faults.append(f"{largest.name} has {size:,} bytes")
            if kind == "overview" and seconds > args.limit:
                faults.append(f"the overview takes {seconds:.2f} s")
    total = sum(file.stat().st_size for file in site.rglob("*") if file.is_file())
    print(f"all files: {total / 1e6:,.1f} MB")
    if faults:
        sys.exit("; ".join(faults))


if __name__ == "__main__":
    main()
