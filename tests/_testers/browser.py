"""Chromium for tests of the explorer: a page that is opened from disk, and all that goes wrong on it."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import pytest

from benchmarks._site_pages import KINDS

LOCAL = ("file:", "data:", "blob:")


def page_of(site: Path, kind: str) -> str:
    """Address of the first page of a kind."""
    return sorted(site.glob(KINDS[kind]))[0].relative_to(site).as_posix()


@contextmanager
def chromium():
    """The system's Chromium; the test is skipped where there is none, or no Playwright."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install playwright")
    binary = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if binary is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


class Visitor:
    """Someone who opens pages of a site.

    Args:
        browser: Chromium.
        site: Folder of the site.
        options: Of Playwright's context, such as ``viewport`` and ``color_scheme``.
    """

    def __init__(self, browser, site: Path, **options) -> None:
        self.site = site
        self.context = browser.new_context(reduced_motion="reduce", accept_downloads=True, **options)
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.page.on("request", lambda request: self._requested(request.url))
        self.page.on("requestfailed", self._failed)
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("console", self._said)
        self.page.on("dialog", self._dialog)

    def open(self, address: str):
        """Open a page by its address in the site, and give it."""
        name, _, anchor = address.partition("#")
        self.page.goto((self.site / name).as_uri() + (f"#{anchor}" if anchor else ""))
        return self.page

    def open_kind(self, kind: str):
        """Open the first page of a kind, and give it."""
        return self.open(page_of(self.site, kind))

    def address(self) -> str:
        """The address in the site of what is open, with its anchor."""
        return self.page.url.removeprefix(self.site.as_uri() + "/")

    def close(self) -> None:
        """Fail if anything was wrong on any page.

        Raises:
            AssertionError: Saying what.
        """
        self.context.close()
        assert not self.faults, self.faults

    def _requested(self, url: str) -> None:
        self.requests.append(url)
        if not url.startswith(LOCAL):
            self.faults.append(f"asked for {url}")

    def _failed(self, request) -> None:
        if "ABORTED" not in (request.failure or ""):  # else the page was left while it loaded
            self.faults.append(f"failed: {request.url}")

    def _said(self, message) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"console: {message.text}")

    def _dialog(self, dialog) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()


def scroll_through(page) -> None:
    """Bring every part of a page into view once."""
    page.evaluate(
        """async () => {
            for (let y = 0; y < document.body.scrollHeight; y += 500) {
                window.scrollTo(0, y);
                await new Promise((resolve) => setTimeout(resolve, 40));
            }
        }"""
    )


def serious_faults(page) -> list[str]:
    """What axe-core calls serious or critical on a page: rule and elements."""
    source = files(pytest.importorskip("axe_playwright_python")).joinpath("axe.min.js").read_text("utf-8")
    page.evaluate(source)
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations'], preload: false})")["violations"]
    return [
        f"{fault['id']}: {'; '.join(node['html'][:160] for node in fault['nodes'][:4])}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]
