"""What ``lit-coiba methods`` says of the attribution methods."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import isabstract
from pathlib import Path

from lit_coiba import attribution
from lit_coiba.cli.pages import cards
from lit_coiba.cli.pages.cards import CardPage
from lit_coiba.core.method import AttributionMethod

NEEDS = {
    "gradients": "gradients through the model",
    "layer": "a layer whose activations lie on a grid",
    "attention": "attention over all tokens",
    "statistics": "activation statistics of a dataset",
    "head": "a head that explains itself, trained by lit-coiba fit",
    "modules": "modules that there are rules for",
    "package": "another package, see below",
}
TRIVIAL = "trivial baseline (sanity check)"  # in the place of a paper


def pages() -> list[CardPage]:
    """All methods, by name."""
    configs = cards.configs_of("configs/method", lambda content: iter([content["model"]["method"]["class_path"]]))
    found = [getattr(attribution, name) for name in sorted(attribution.__all__, key=str.lower)]
    return [page(method, configs.get(method.__name__, ())) for method in found if not isabstract(method)]


def page(method: type[AttributionMethod], configs: Sequence[str] = ()) -> CardPage:
    """One method, and the files that set it."""
    card = method.card
    facts = {
        "paper": card.paper or f"none: {TRIVIAL}",
        "cost of a map": card.cost,
        "needs": "; ".join(NEEDS[need] for need in card.needs) or "nothing but logits",
        "explains": ", ".join(card.families),
        "depends on the class": "yes" if card.class_dependent else "no",
        "settings": cards.listed(configs),
    }
    command = "lit-coiba explain -c {} --model.backbone.name NAME --data.root DIR --store DIR"
    return CardPage(method, facts, configs, command.format(configs[0]) if configs else "")


def find_page(name: str) -> CardPage:
    """The method of this name, in whatever case.

    Raises:
        InputError: There is none.
    """
    return cards.find_page(pages(), name, "methods")


def table(found: list[CardPage]) -> str:
    """Two lines for each method: its paper; what it costs, needs and explains."""

    def told(one: CardPage) -> tuple[str, str]:
        needs = ", ".join(one.card.needs) or "logits only"
        return one.card.paper or TRIVIAL, f"{one.card.cost}; needs {needs}; {', '.join(one.card.families)}"

    return cards.two_lines(found, told)


def write_pages(folder: Path) -> list[Path]:
    """A Markdown file for each method, and README.md with a table of all; the files."""
    found = pages()
    text = (
        "Made by `lit-coiba methods --output docs/methods` from the docstrings. A cost counts images that run through"
        " the model for one map, with the defaults in brackets."
    )
    rows = [
        (
            one.name,
            one.card.paper or f"none: {TRIVIAL}",
            one.card.cost,
            ", ".join(one.card.needs) or "logits",
            ", ".join(one.card.families),
        )
        for one in found
    ]
    head = ("method", "paper", "cost of a map", "needs", "explains")
    return cards.write_pages(folder, found, cards.index("Methods", text, head, rows))
