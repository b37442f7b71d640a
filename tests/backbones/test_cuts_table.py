"""The table of default layers over timm's architectures: what it says, and that small models of each family keep it."""

import csv
import warnings
from pathlib import Path

import pytest

from benchmarks import cuts

TABLE = Path(__file__).parent / "data" / "cuts.csv"
KEPT = ("class", "cam_layer", "cam_cut", "first", "last", "count", "layers_cut", "misplaced", "writes")
FAST = 1.5  # seconds that a row of the fast suite took


def rows():
    with TABLE.open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["seconds"]]


def families():
    """The row of each class of models that took the least time."""
    least = {}
    for row in sorted(rows(), key=lambda row: -float(row["seconds"])):
        least[row["class"]] = row
    for name, row in sorted(least.items()):
        marks = () if float(row["seconds"]) < FAST else (pytest.mark.slow,)
        yield pytest.param(row, id=f"{name}-{row['model']}", marks=marks)


@pytest.mark.parametrize("row", list(families()))
def test_a_small_model_of_each_family_keeps_its_row(row):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = cuts.row(row["model"], int(row["size"]))
    assert {key: str(found[key]) for key in KEPT} == {key: row[key] for key in KEPT}
    assert int(found["forwards"]) <= 12


def test_nothing_goes_round_a_cut():
    """Read from the graph and measured by forwards, on all architectures of the table."""
    for row in rows():
        assert row["cam_cut"] not in ("yes", "places") or float(row["cam_round"]) == 0, row["model"]
        assert row["layers_cut"] != "yes" or float(row["layers_round"]) == 0, row["model"]


def test_timm_s_models_do_nothing_that_is_refused():
    for row in rows():
        assert (row["writes"], row["misplaced"], float(row["batch"]), float(row["chance"])) == ("0", "0", 0, 0), row


def test_where_there_is_no_cut_it_is_known():
    """Branches to the end, and the pixels beside the patches of TNT.

    CrossViT has two sizes of patches. EfficientViM adds up four classifiers, three of which read hidden states that
    have no places; the last layers that all of it passes are in its stem.
    """
    assert {row["class"] for row in rows() if row["cam_cut"] == "no"} <= {
        "CrossVit",
        "EfficientViM",
        "EfficientViMDistilled",
        "TNT",
    }
