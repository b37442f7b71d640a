"""Every link resolves, every picture is there, nothing outside is named, and pages are small."""

import json
import re
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from PIL import Image

LARGEST = 150_000  # bytes of a page
# What may name an address outside: a library's own text, and names of XML.
LIBRARY = "plotly.min.js"
XML = "http://www.w3.org/2000/svg"


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.ids = [], set()

    def handle_starttag(self, tag, attributes):
        told = dict(attributes)
        self.ids |= {told[name] for name in ("id", "name") if name in told}
        self.found += [told[name] for name in ("href", "src", "data-src", "poster") if told.get(name)]


def read(file):
    links = Links()
    links.feed(file.read_text(encoding="utf-8"))
    return links


@pytest.fixture(scope="module")
def pages(site):
    found = {file: read(file) for file in sorted(site.rglob("*.html"))}
    for file in site.glob("gallery/*.html"):  # a script goes to these: samples are shown one at a time
        told = json.loads(file.with_suffix(".json").read_text())
        found[file].ids |= {sample["anchor"] for sample in told["samples"]}
    return found


def test_there_is_a_page_of_every_kind(site):
    for pattern in ("index", "classes/*", "concepts/*", "prototypes/*", "gallery/*", "failures", "search", "gallery"):
        assert list(site.glob(f"{pattern}.html")), pattern


def test_links_of_pages_resolve(pages, site):
    count = 0
    for file, links in pages.items():
        for link in links.found:
            address, _, anchor = link.partition("#")
            target = (file.parent / unquote(address.partition("?")[0])).resolve() if address else file
            assert target.is_relative_to(site.resolve()), (file, link)
            assert target.is_file(), (file, link)
            if anchor and target.suffix == ".html":
                assert unquote(anchor) in pages[site / target.relative_to(site.resolve())].ids, (file, link)
            count += 1
    assert count > 100


def addresses(value):
    if isinstance(value, dict):
        yield from (one for part in value.values() for one in addresses(part))
    elif isinstance(value, list):
        yield from (one for part in value for one in addresses(part))
    elif isinstance(value, str) and re.fullmatch(r"[a-z]+(/[\w.-]+)*\.(html|js|webp|png)(#s\d+)?", value):
        yield value


def test_addresses_in_data_resolve(site):
    found = {one for file in site.rglob("*.json") for one in addresses(json.loads(file.read_text()))}
    for file in site.glob("data/*.js"):
        name, value = re.fullmatch(r'litCoiba\.receive\("([\w-]+)",(.*)\);\n', file.read_text(), re.S).groups()
        assert name == file.stem
        found |= set(addresses(json.loads(value)))
    assert len(found) > 100
    for address in found:
        assert (site / address.partition("#")[0]).is_file(), address


def test_pictures_are_what_their_pages_say(site):
    def pictures(value):
        if isinstance(value, dict):
            if "src" in value and "width" in value:
                yield value["src"], value["width"], value["height"]
            yield from (one for part in value.values() for one in pictures(part))
        elif isinstance(value, list):
            yield from (one for part in value for one in pictures(part))

    found = {one for file in site.rglob("*.json") for one in pictures(json.loads(file.read_text()))}
    assert len(found) > 50
    for src, width, height in found:
        with Image.open(site / src) as image:
            assert image.size == (width, height)
    assert {src for src, *_ in found} == {str(f.relative_to(site)) for f in (site / "media").rglob("*.*")}


def test_nothing_outside_is_named(site):
    for file in site.rglob("*"):
        if file.suffix in (".html", ".css", ".js", ".json", ".svg") and file.name != LIBRARY:
            text = file.read_text(encoding="utf-8").replace(XML, "")
            assert not re.search(r"https?:|//[a-z0-9-]+\.[a-z]|file:/", text, re.I), file
            assert str(site.parent) not in text, file


def test_pages_are_small(site):
    for file in site.rglob("*.html"):
        assert file.stat().st_size < LARGEST, file
