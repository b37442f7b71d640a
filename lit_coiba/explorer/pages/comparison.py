"""Two models on the same classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lit_coiba.explorer.class_part import ClassSummary
from lit_coiba.explorer.page_data import ClassDifference, ClassLink, ComparisonPage, ModelSide
from lit_coiba.explorer.pages.class_comparison import model_names
from lit_coiba.explorer.pages.overview import model_facts
from lit_coiba.explorer.predictions import Predictions
from lit_coiba.explorer.runs import Runs
from lit_coiba.explorer.sources import Sources, comparison_address

SHOWN = 100  # classes in the page itself


def class_differences(sources: Sources, classes: Sequence[ClassSummary]) -> list[ClassDifference]:
    """All classes, those of the largest difference in accuracy first."""
    found = [
        ClassDifference(
            cls=ClassLink(one.id, sources.name(one.id), comparison_address(one.id)),
            accuracy=(one.accuracy, one.other_accuracy),
            n_labelled=(one.n_labelled, one.other_labelled),
            concepts=(one.concepts, one.other_concepts),
        )
        for one in classes
    ]
    return sorted(found, key=lambda one: (-_difference(one), one.cls.id))


def comparison(
    sources: Sources, classes: Sequence[ClassSummary], differences: Sequence[ClassDifference], beside: dict[str, str]
) -> ComparisonPage:
    """What the page of two models says.

    Args:
        sources: All runs.
        classes: Summaries of all classes.
        differences: What `class_differences` found.
        beside: What lies beside the page.
    """
    assert sources.other is not None
    assert sources.other_predictions is not None
    first, second = model_names(sources)
    common = same = only_first = only_second = 0
    for name in sources.predictions.ids:
        one, other = sources.predictions.of(name), sources.other_predictions.of(name)
        if one is None or other is None or one.predicted is None or other.predicted is None:
            continue
        common += 1
        same += one.predicted == other.predicted
        only_first += bool(one.correct) and other.correct is False
        only_second += one.correct is False and bool(other.correct)
    return ComparisonPage(
        title=f"{first} and {second}",
        address="compare.html",
        beside=beside,
        sides=(
            _side(first, sources.runs, sources.predictions, [(c.error, c.sparsity, c.stability) for c in classes]),
            _side(
                second,
                sources.other,
                sources.other_predictions,
                [(c.other_error, c.other_sparsity, c.other_stability) for c in classes],
            ),
        ),
        classes=tuple(differences[:SHOWN]),
        total=len(differences),
        n_common=common,
        agreement=same / common if common else None,
        only_first=only_first,
        only_second=only_second,
    )


def _side(
    name: str,
    runs: Runs,
    predictions: Predictions,
    quality: Sequence[tuple[float | None, float | None, float | None]],
) -> ModelSide:
    labelled, correct = predictions.counts()
    error, sparsity, stability = (_mean(column) for column in zip(*quality))
    return ModelSide(
        name=name,
        facts=model_facts(runs),
        accuracy=correct / labelled if labelled else None,
        n_images=len(predictions),
        error=error,
        sparsity=sparsity,
        stability=stability,
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _difference(one: ClassDifference) -> float:
    first, second = one.accuracy
    return -1.0 if first is None or second is None else abs(first - second)
