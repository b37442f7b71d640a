"""What ``lit-coiba methods`` says of the attribution methods."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import isabstract
from pathlib import Path

from lit_coiba import attribution
from lit_coiba.cli.pages import cards
from lit_coiba.cli.pages.cards import CardPage, Listed, Listing
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
GROUPS = {
    "bottleneck: information that the model needs, in bits": ("CoIBA", "IBA", "InputIBA", "NIB"),
    "readouts: networks that were trained to say the map at once": ("LearnedRanking", "ReadoutCoIBA", "ReadoutIBA"),
    "class activation maps: a layer's channels, weighted": ("GradCAM", "HiResCAM", "LayerCAM", "ScoreCAM"),
    "gradient": ("InputXGradient", "IntegratedGradients", "Saliency", "SmoothGrad", "UNI"),
    "perturbation: scores of changed images": (
        "EVA",
        "HSIC",
        "KernelSHAP",
        "LIME",
        "Occlusion",
        "RISE",
        "Sobol",
        "ViTCX",
    ),
    "relevance propagation: rules for each operation": ("AttnLRP", "CompositeLRP", "DeepLift"),
    "attention": ("AttentionRollout", "Chefer"),
    "heads that explain themselves": ("HeadAttribution",),
    "baseline": ("CenterGaussian", "EdgeDetector", "RandomMap"),
}
RECOMMENDED = """\
Where to start: GradCAM is fast and works on CNNs, ViTs and Swin; IBA and CoIBA say how many bits each place
contributes; RISE needs no gradients. Which of them to believe for your model: lit-coiba benchmark scores them on your
images, beside random maps and gradient saliency."""
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


def listing(found: list[CardPage]) -> Listing:
    """Group by group, for each method its paper; what it costs, needs and explains."""

    def told(one: CardPage) -> Listed:
        if one.card.baseline:
            return Listed(one.name, TRIVIAL, f"cost: {one.card.cost}")
        needs = ", ".join(one.card.needs) or "logits only"
        return Listed(one.name, one.card.paper, f"{one.card.cost}; needs {needs}; {', '.join(one.card.families)}")

    return Listing(RECOMMENDED, [(group, list(map(told, members))) for group, members in grouped(found).items()])


def grouped(found: list[CardPage]) -> dict[str, list[CardPage]]:
    """The pages of each group, in the order of `GROUPS`; what is in none comes last."""
    groups = {group: [one for one in found if one.name in names] for group, names in GROUPS.items()}
    groups["other"] = [one for one in found if not any(one.name in names for names in GROUPS.values())]
    return {group: members for group, members in groups.items() if members}


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
