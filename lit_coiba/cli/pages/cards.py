"""What there is to say of a class with a card, a method or a metric, without running it: from docstring and card."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from inspect import Parameter, signature
from pathlib import Path
from shutil import get_terminal_size
from textwrap import wrap
from typing import Any, NamedTuple

import yaml
from docstring_parser import Docstring, parse

from lit_coiba.cli.pages.docstrings import argument_texts
from lit_coiba.core.errors import InputError
from lit_coiba.files.atomic import atomically, remove_leftovers
from lit_coiba.files.owned import begins, check_own_file, check_own_folder
from lit_coiba.files.regular import clause
from lit_coiba.resources import resource

_WIDEST, _NARROWEST = 200, 30  # characters of a line


@dataclass(frozen=True)
class CardPage:
    """The page of one class.

    Args:
        kind: The class.
        facts: What its card says, in words.
        configs: Files of the package's configuration that set it.
        command: An example; empty = none.
    """

    kind: type[Any]
    facts: Mapping[str, str]
    configs: Sequence[str] = ()
    command: str = ""

    @property
    def name(self) -> str:
        """Name of the class."""
        return self.kind.__name__

    @property
    def card(self) -> Any:
        """Its card."""
        return self.kind.card

    @property
    def summary(self) -> str:
        """A sentence or two."""
        return _joined(self._docstring.short_description)

    @property
    def description(self) -> str:
        """Paragraphs."""
        return "\n\n".join(_joined(part) for part in (self._docstring.long_description or "").split("\n\n"))

    @property
    def arguments(self) -> list[tuple[str, str, str]]:
        """Name, default and meaning of each argument, which a base class may explain."""
        told = argument_texts(self.kind)
        parameters = signature(self.kind).parameters.items()
        return [(n, _default(p), told.get(n, "")) for n, p in parameters if p.kind is not Parameter.VAR_KEYWORD]

    def markdown(self) -> str:
        """The page, as it lies in docs."""
        lines = [f"# {self.name}", "", self.summary, "", "| | |", "|---|---|"]
        lines += [f"| {what} | {text} |" for what, text in self.facts.items()]
        if self.description:
            lines += ["", self.description]
        if self.command:
            lines += ["", "```", self.command, "```"]
        if self.arguments:
            lines += ["", "| argument | default | meaning |", "|---|---|---|"]
            lines += [f"| `{name}` | {default} | {_cell(meaning)} |" for name, default, meaning in self.arguments]
        return _single("\n".join(lines)) + "\n"

    @property
    def _docstring(self) -> Docstring:
        return parse(self.kind.__doc__ or "")


def find_page(pages: Sequence[CardPage], name: str, verb: str) -> CardPage:
    """The page of the class of this name, in whatever case.

    Args:
        pages: What there is.
        name: What is looked for.
        verb: The verb that lists them, in the plural: ``methods``.

    Raises:
        InputError: There is none.
    """
    found = {page.name.lower(): page for page in pages}
    if name.lower() not in found:
        near = [found[match].name for match in get_close_matches(name.lower(), found, n=2)]
        hint = f"did you mean {' or '.join(near)}?" if near else f"lit-coiba {verb} lists them"
        raise InputError(f"unknown {verb.removesuffix('s')} {name!r}: {hint}")
    return found[name.lower()]


def line_width() -> int:
    """Number of characters of a line on the console; a pipe gets the longest lines."""
    return max(min(get_terminal_size((_WIDEST, 24)).columns, _WIDEST), _NARROWEST)


class Listed(NamedTuple):
    """A class in a list on the console."""

    name: str
    first: str  # what is told of it in its first line
    second: str  # and below


class Listing(NamedTuple):
    """What there is, group by group."""

    text: str  # before it; empty = none
    groups: list[tuple[str, list[Listed]]]  # title, empty = none, and the classes

    def __str__(self) -> str:
        """Lines for a console of any width: two for each class where they fit, else more."""
        lines = wrap(self.text, line_width())
        for title, members in self.groups:
            lines += [*([""] if lines else []), *([f"{title}:"] if title else []), *_list_lines(members)]
        return "\n".join(lines)


def _list_lines(members: Sequence[Listed]) -> Iterator[str]:
    width = line_width()
    column = max(len(one.name) for one in members) + 2
    column = column if width - column >= _NARROWEST else 2
    for one in members:
        lines = [*wrap(one.first, width - column), *wrap(one.second, width - column)]
        if len(one.name) >= column:
            yield one.name
        start = one.name if len(one.name) < column else ""
        yield from (f"{start if k == 0 else '':<{column}}{line}" for k, line in enumerate(lines))


def index(title: str, text: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """README.md of a folder of pages; the first cell of a row is the name of a class."""
    lines = [f"# {title}", "", text, "", _row(head), "|" + "---|" * len(head)]
    lines += [_row([f"[{name}]({name}.md)", *cells]) for name, *cells in rows]
    return "\n".join(lines) + "\n"


def write_pages(folder: Path, pages: Sequence[CardPage], readme: str) -> list[Path]:
    """A Markdown file for each class, and README.md; the files.

    Raises:
        InputError: The folder has others' files in it, or cannot be written.
    """
    texts = {f"{page.name}.md": page.markdown() for page in pages} | {"README.md": readme}
    beginnings = {name: text.partition("\n\n")[0] for name, text in texts.items()}
    beginnings["README.md"] = readme[: readme.index(" --output")]  # and not only the title
    check_own_folder(folder, "output", lambda found: begins(beginnings["README.md"])(found / "README.md"))
    for name, beginning in beginnings.items():
        check_own_file(folder / name, "output", begins(beginning))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        for name in sorted(texts, key="README.md".__eq__, reverse=True):  # the one that marks the folder is the first
            with atomically(folder / name) as out:
                out.write(texts[name].encode())
    except OSError as error:
        raise InputError(f"output {folder} cannot be written ({clause(error)}): choose another folder") from error
    return [folder / name for name in texts]


def configs_of(folder: str, chosen: Callable[[Any], Iterator[str]]) -> dict[str, list[str]]:
    """Class name -> files of a folder of the package's configuration that set it.

    Args:
        folder: Such as ``configs/method``.
        chosen: The class paths that a file's content names.
    """
    found: dict[str, list[str]] = {}
    for file in sorted(resource(folder).glob("*.yaml")):
        paths = chosen(yaml.safe_load(file.read_text(encoding="utf-8")))
        for name in dict.fromkeys(path.rpartition(".")[2] for path in paths):
            found.setdefault(name, []).append(f"{folder}/{file.name}")
    return found


def listed(configs: Sequence[str]) -> str:
    """Files, as a page names them."""
    return ", ".join(f"`{config}`" for config in configs) or "none"


def _default(parameter: Parameter) -> str:
    if parameter.default is Parameter.empty:
        return "required"
    if parameter.default is None:
        return "null"
    return str(parameter.default).lower() if isinstance(parameter.default, bool) else str(parameter.default)


def _joined(text: str | None) -> str:
    """Words with one space between them."""
    return " ".join((text or "").split())


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _single(text: str) -> str:
    """Code in single backticks, as Markdown has it, but for fences."""
    return re.sub(r"(?<!`)``(?!`)", "`", text)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
