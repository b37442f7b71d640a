"""What ``lit-coiba methods`` says of a method: a line of a table, or a page, from its docstring and its card."""

from __future__ import annotations

import re
from difflib import get_close_matches
from inspect import Parameter, signature
from pathlib import Path
from typing import NamedTuple

import yaml
from docstring_parser import parse

from lit_coiba import attribution
from lit_coiba.cli.pages.docstrings import argument_texts
from lit_coiba.core.errors import InputError
from lit_coiba.core.method import AttributionMethod, Card
from lit_coiba.resources import resource

NEEDS = {
    "gradients": "gradients through the model",
    "layer": "a layer whose activations lie on a grid",
    "attention": "attention over all tokens",
    "statistics": "activation statistics of a dataset",
    "head": "a head that explains itself, trained by lit-coiba fit",
    "modules": "modules that there are rules for",
    "package": "another package, see below",
}


class MethodPage(NamedTuple):
    """Everything that is known of a method without running it."""

    name: str
    card: Card
    summary: str  # a sentence or two
    description: str  # paragraphs
    arguments: list[tuple[str, str, str]]  # name, default, meaning
    configs: list[str]  # files of configs/method that set it

    def markdown(self) -> str:
        """The page, as it lies in docs/methods."""
        card = self.card
        facts = {
            "paper": card.paper or "none: a floor for comparisons",
            "cost of a map": card.cost,
            "needs": "; ".join(NEEDS[need] for need in card.needs) or "nothing but logits",
            "explains": ", ".join(card.families),
            "depends on the class": "yes" if card.class_dependent else "no",
            "settings": ", ".join(f"`{config}`" for config in self.configs) or "none",
        }
        lines = [f"# {self.name}", "", self.summary, "", "| | |", "|---|---|"]
        lines += [f"| {what} | {text} |" for what, text in facts.items()]
        if self.description:
            lines += ["", self.description]
        if self.configs:
            command = f"lit-coiba explain -c {self.configs[0]} --model.backbone.name NAME --data.root DIR --store DIR"
            lines += ["", "```", command, "```"]
        if self.arguments:
            lines += ["", "| argument | default | meaning |", "|---|---|---|"]
            lines += [f"| `{name}` | {default} | {_cell(meaning)} |" for name, default, meaning in self.arguments]
        return _single("\n".join(lines)) + "\n"


def pages() -> list[MethodPage]:
    """All methods, by name."""
    configs = _configs()
    return [page(getattr(attribution, name), configs) for name in sorted(attribution.__all__, key=str.lower)]


def page(method: type[AttributionMethod], configs: dict[str, list[str]] | None = None) -> MethodPage:
    """One method; `configs` as `_configs` has them."""
    text = parse(method.__doc__ or "")
    texts = argument_texts(method)
    arguments = [
        (name, _default(parameter), texts.get(name, "")) for name, parameter in signature(method).parameters.items()
    ]
    configs = _configs() if configs is None else configs
    summary = " ".join((text.short_description or "").split())
    description = "\n\n".join(" ".join(part.split()) for part in (text.long_description or "").split("\n\n"))
    return MethodPage(method.__name__, method.card, summary, description, arguments, configs.get(method.__name__, []))


def find_page(name: str) -> MethodPage:
    """The method of this name, in whatever case.

    Raises:
        InputError: There is none.
    """
    found = {page.name.lower(): page for page in pages()}
    if name.lower() not in found:
        near = [found[match].name for match in get_close_matches(name.lower(), found, n=2)]
        hint = f"did you mean {' or '.join(near)}?" if near else "lit-coiba methods lists them"
        raise InputError(f"there is no method {name!r}: {hint}")
    return found[name.lower()]


def table(found: list[MethodPage]) -> str:
    """Two lines for each method: its paper; what it costs, needs and explains."""
    column = max(len(page.name) for page in found) + 2
    lines = []
    for page in found:
        card = page.card
        needs = ", ".join(card.needs) or "logits only"
        lines.append(f"{page.name:<{column}}{card.paper or 'a floor for comparisons'}")
        lines.append(f"{'':<{column}}{card.cost}; needs {needs}; {', '.join(card.families)}")
    return "\n".join(lines)


def write_pages(folder: Path) -> list[Path]:
    """A Markdown file for each method, and README.md with a table of all."""
    folder.mkdir(parents=True, exist_ok=True)
    found, files = pages(), []
    for one in found:
        files.append(folder / f"{one.name}.md")
        files[-1].write_text(one.markdown(), encoding="utf-8")
    files.append(folder / "README.md")
    files[-1].write_text(_index(found), encoding="utf-8")
    return files


def _index(found: list[MethodPage]) -> str:
    lines = [
        "# Methods",
        "",
        "Made by `lit-coiba methods --output docs/methods` from the docstrings. A cost counts images that run through"
        " the model for one map, with the defaults in brackets.",
        "",
        "| method | paper | cost of a map | needs | explains |",
        "|---|---|---|---|---|",
    ]
    for one in found:
        needs = ", ".join(one.card.needs) or "logits"
        name, paper = f"[{one.name}]({one.name}.md)", one.card.paper or "none: a floor"
        lines.append(f"| {name} | {paper} | {one.card.cost} | {needs} | {', '.join(one.card.families)} |")
    return "\n".join(lines) + "\n"


def _configs() -> dict[str, list[str]]:
    """Class name -> files of configs/method that set it."""
    found: dict[str, list[str]] = {}
    for file in sorted(resource("configs/method").glob("*.yaml")):
        method = yaml.safe_load(file.read_text(encoding="utf-8"))["model"]["method"]
        found.setdefault(method["class_path"].rpartition(".")[2], []).append(f"configs/method/{file.name}")
    return found


def _default(parameter: Parameter) -> str:
    if parameter.default is Parameter.empty:
        return "required"
    if parameter.default is None:
        return "null"
    return str(parameter.default).lower() if isinstance(parameter.default, bool) else str(parameter.default)


def _single(text: str) -> str:
    """Code in single backticks, as Markdown has it, but for fences."""
    return re.sub(r"(?<!`)``(?!`)", "`", text)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
