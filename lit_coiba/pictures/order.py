"""Which explanations of a store are drawn, and in which order."""

from __future__ import annotations

from typing import Literal, NamedTuple

from lit_coiba.core.errors import check_choice
from lit_coiba.pictures.about import explains_predictions
from lit_coiba.pictures.names import Names
from lit_coiba.store import ExplanationStore, Row
from lit_coiba.store.records import PREDICTION

Order = Literal["spread", "wrong_first", "least_certain_first"]
WORDS = {
    "spread": "evenly spaced",
    "wrong_first": "wrong predictions first",
    "least_certain_first": "least certain predictions first",
}
Key = tuple[str, int]  # id and target


class Predicted(NamedTuple):
    """What the model predicted for an image, as far as a store knows."""

    cls: int  # -1 = unknown
    probability: float


def predicted(row: Row, always: bool) -> Predicted:
    """What the model predicted for the image of a row.

    Args:
        row: The explanation.
        always: Whether the store explains predictions.
    """
    if row.extras.keys() >= set(PREDICTION):
        index, probability = (row.extras[name] for name in PREDICTION)
        return Predicted(int(index), float(probability))
    return Predicted(row.target, row.probability) if always else Predicted(-1, float("nan"))


def choose(store: ExplanationStore, count: int, order: Order, names: Names) -> list[Key]:
    """Keys of the explanations to draw, at most `count`.

    Evenly spaced ones need no look at the rows; any other order goes once through the store, one block in memory.

    Args:
        store: The store.
        count: Number of explanations.
        order: ``spread``; ``wrong_first``: predictions that contradict the label, the most certain first, then the
            others; ``least_certain_first``: by the probability of the prediction.
        names: What labels and classes are called, which says what contradicts what.

    Raises:
        InputError: There is no such order.
    """
    check_choice(order, Order, "order")
    if order == "spread":
        keys = store.keys()
        count = min(count, len(keys))
        return [keys[i * len(keys) // count] for i in range(count)]
    always = explains_predictions(store.manifest)
    ranked = []
    for row in store:
        found = predicted(row, always)
        certain = found.probability if found.cls >= 0 else row.probability
        wrong = found.cls >= 0 and bool(names.wrong(row.label, found.cls))
        rank = (not wrong, -certain) if order == "wrong_first" else (False, certain)
        ranked.append((rank, (row.id, row.target)))
    return [key for _, key in sorted(ranked)[:count]]
