"""Names from runs are text, whatever they say."""

import json
import re
from html.parser import HTMLParser

import pytest

from lit_coiba.explorer.rendering import script_json
from tests._testers.explorer_runs import HOSTILE

OURS = {"script"}  # elements with text that is no HTML


class Elements(HTMLParser):
    def __init__(self):
        super().__init__()
        self.scripts, self.texts, self.handlers, self.tags, self._in = [], [], [], set(), None

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.handlers += [name for name, _ in attributes if name.startswith("on")]
        if tag == "script":
            self.scripts.append("")
            self._in = tag

    def handle_endtag(self, tag):
        self._in = None if tag == self._in else self._in

    def handle_data(self, data):
        if self._in == "script":
            self.scripts[-1] += data
        else:
            self.texts.append(data)


def parsed(file):
    found = Elements()
    found.feed(file.read_text(encoding="utf-8"))
    return found


def test_hostile_names_are_text(site):
    for cls, name in enumerate(HOSTILE):
        found = parsed(site / f"classes/{cls:05d}.html")
        assert any(name in text for text in found.texts)
        assert not found.handlers
        assert not any("alert(1)" in script for script in found.scripts if not script.lstrip().startswith("{"))


def test_no_page_has_more_scripts_or_handlers_than_its_template(site):
    for file in site.rglob("*.html"):
        found = parsed(file)
        assert not found.handlers, file
        assert "u" not in found.tags, file  # of ids such as 0000/<u>000.png
        texts = [script for script in found.scripts if script.strip()]
        assert len(texts) <= 2, file
        assert "<" not in "".join(texts), file


def test_the_data_of_a_page_are_those_beside_it(site):
    for file in (*site.glob("concepts/*.html"), site / "failures.html", site / "index.html"):
        text = file.read_text(encoding="utf-8")
        match = re.search(r'<script[^>]*id="page-data"[^>]*>(.*?)</script>', text, re.S)
        assert json.loads(match[1]) == json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))


def test_names_of_files_are_numbers(site):
    for file in (site / "media").rglob("*"):
        assert re.fullmatch(r"[a-z]*-?[\d-]+(\.(webp|png))?", file.name), file


@pytest.mark.parametrize("text", ["</script>", "<!--", "a&b", "\u2028\u2029", "]]>", "\\u003c", '"'])
def test_json_in_a_script_is_safe_and_the_same(text):
    found = script_json({"name": text})
    assert not re.search("[<>&\u2028\u2029]", found)
    assert json.loads(found) == {"name": text}
