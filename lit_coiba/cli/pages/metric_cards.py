"""What ``lit-coiba metrics`` says of the metrics."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from functools import cache
from inspect import isabstract, signature
from pathlib import Path
from typing import Any

import torchmetrics

from lit_coiba import metrics
from lit_coiba.cli.pages import cards
from lit_coiba.cli.pages.cards import CardPage, Listed, Listing
from lit_coiba.resources import resource

OWN = "a definition of our own"  # in the place of a paper
BETTER = {True: "higher", False: "lower", None: "neither"}
SCORED = "lit-coiba benchmark ... --model.metrics.COLUMN {}"
UNTESTED = "not by `calibrate`"  # needs more than maps of which it is known how good they are
CHECKS = "configs/metric_checks.csv"
EVALUATED = "lit-coiba prototypes ... --evaluate true"


def pages() -> list[CardPage]:
    """All metrics, family by family, by name."""
    configs = cards.configs_of("configs/benchmark", _chosen)
    offered = [getattr(metrics, name) for name in sorted(metrics.__all__, key=str.lower)]
    found = [one for one in offered if issubclass(one, torchmetrics.Metric) and not isabstract(one)]
    return [page(one, configs.get(one.__name__, ())) for one in sorted(found, key=lambda one: str(one.card.family))]


def page(metric: Any, configs: Sequence[str] = ()) -> CardPage:
    """One metric, and the files that set it."""
    card = metric.card
    taken = list(signature(getattr(metric, "score", metric.update)).parameters)[1:]
    facts = {
        "family": card.family,
        "paper": card.paper or OWN,
        "better": BETTER[card.higher_is_better],
        "range": card.range,
        "cost of a score": card.cost,
        "undefined where": card.undefined,
        "needs": ", ".join(f"`{name}`" for name in taken),
        "settings": cards.listed(configs),
        "under test": checked().get(metric.__name__, UNTESTED),
    }
    scored = issubclass(metric, metrics.Metric)
    return CardPage(metric, facts, configs, SCORED.format(metric.__name__) if scored else EVALUATED)


@cache
def checked() -> dict[str, str]:
    """Class -> what became of it where metrics were tested on the shipped network for SyntheticParts."""
    with open(resource(CHECKS), encoding="utf-8") as file:
        return {row["class"]: told_check(row) for row in csv.DictReader(file)}


def told_check(row: dict[str, str]) -> str:
    """A row of the file of checks, in words."""
    return f"{row['verdict']}; oracle {row['oracle']}, random {row['random']}, constant {row['constant']}"


def find_page(name: str) -> CardPage:
    """The metric of this name, in whatever case.

    Raises:
        InputError: There is none.
    """
    return cards.find_page(pages(), name, "metrics")


def listing(found: list[CardPage]) -> Listing:
    """For each metric family and paper; what is better, its range and its cost."""

    def told(one: CardPage) -> Listed:
        card, better = one.card, BETTER[one.card.higher_is_better]
        return Listed(
            one.name, f"{card.family}; {card.paper or OWN}", f"{better} is better; {card.range}; cost: {card.cost}"
        )

    return Listing("", [("", list(map(told, found)))])


def write_pages(folder: Path) -> list[Path]:
    """A Markdown file for each metric, and README.md with a table of all; the files."""
    found = pages()
    text = (
        "Made by `lit-coiba metrics --output docs/metrics` from the docstrings. A cost counts images that run forward"
        " through the model for one score. A score that is undefined is NaN: it is left out of the mean, and counted."
        " Under test: whether the true map of SyntheticParts is first, a random one last, and worse ones in order"
        " (`lit-coiba calibrate`, which does the same on your model)."
    )
    rows = [
        (
            one.name,
            one.card.family,
            one.card.paper or OWN,
            BETTER[one.card.higher_is_better],
            one.card.range,
            one.card.cost,
            one.facts["under test"],
        )
        for one in found
    ]
    head = ("metric", "family", "paper", "better", "range", "cost of a score", "under test")
    return cards.write_pages(folder, found, cards.index("Metrics", text, head, rows))


def _chosen(content: Any) -> Iterator[str]:
    """Class paths of the metrics that a file sets."""
    return (one["class_path"] for one in content["model"]["metrics"].values())
