"""The rows that every table has: the oracle, and trivial baselines."""

from __future__ import annotations

from collections.abc import Mapping

from lit_coiba.attribution import CenterGaussian, EdgeDetector, RandomMap, Saliency
from lit_coiba.benchmark.sources import MethodSource, RegionSource, described_method
from lit_coiba.core.errors import InputError
from lit_coiba.core.method import AttributionMethod
from lit_coiba.core.old_names import current_identity
from lit_coiba.modules.scorer import Keys
from lit_coiba.store import ExplanationStore

REFERENCE = "Saliency"  # the row that the others are compared with
ORACLE = "Oracle"
# What knows neither the model nor the class: a metric that they win measures edges, or how objects lie in pictures.
TRIVIAL = {"Edges": EdgeDetector(), "Center": CenterGaussian(), "Random": RandomMap()}


def reference_row(stores: Mapping[str, ExplanationStore]) -> str:
    """Name of the row that the others are compared with: gradient saliency, from a store or made for the table."""
    return _row_of(Saliency(), stores) or REFERENCE


def references(
    keys: Keys, stores: Mapping[str, ExplanationStore], oracle: RegionSource | None = None
) -> dict[str, MethodSource | RegionSource]:
    """Rows that every table has: the oracle, if there is one, gradient saliency, and trivial baselines.

    Where a store has the maps of one of them already, it is that row.

    Args:
        keys: What is scored.
        stores: What is in the table, by name.
        oracle: Where the data know where the evidence is.

    Raises:
        InputError: A store of something else has such a name.
    """
    rows: dict[str, MethodSource | RegionSource] = {} if oracle is None else {ORACLE: oracle}
    for name, method in {REFERENCE: Saliency(), **TRIVIAL}.items():
        if _row_of(method, stores) is None:
            rows[name] = MethodSource(method, keys)
    reserved = {name.casefold() for name in rows}  # some file systems do not distinguish Oracle from oracle
    for name, store in stores.items():
        if name.casefold() in reserved:
            raise InputError(
                f"stores: {store.path} has the name of a row that the table always has, but other explanations: "
                "rename the folder"
            )
    return rows


def no_explanations(stores: Mapping[str, ExplanationStore]) -> frozenset[str]:
    """Names of the rows that are no explanations: the oracle and trivial baselines, made for the table or in stores."""
    rows = (_row_of(method, stores) for method in TRIVIAL.values())
    return frozenset({ORACLE, *TRIVIAL, *(row for row in rows if row is not None)})


def _row_of(method: AttributionMethod, stores: Mapping[str, ExplanationStore]) -> str | None:
    """Name of the first store that was made by this method with these arguments, if there is one."""
    wanted = described_method(method)
    made = {name: current_identity(store.manifest.identity).get("method") for name, store in stores.items()}
    return next((name for name, method in made.items() if method == wanted), None)
