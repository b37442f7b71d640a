"""The staleness matrix: a result never outlives what it was made from (kind C; reliability.md, section 3).

Each cell compares what a verb gives in the folder of before with what an undisturbed run gives in a new one.
"""

from __future__ import annotations

import pytest

from benchmarks.staleness import CHANGES, VERBS, cell

REFUSED = {
    "explain": {"picture replaced", "another folder", "another seed", "weights changed"},
    "explain labels": {"picture replaced", "label corrected", "class list changed", "another folder"},
    "explain class:NAME": {"picture replaced", "class list changed", "another folder", "another seed"},
    "explain by IBA": {"picture replaced", "another folder", "another seed", "weights changed"},
    "statistics": set(),
    "fit with cache": set(),
    "prototypes": {"picture replaced", "another folder", "another seed", "weights changed"},
    "benchmark": {"picture replaced", "box corrected", "another folder", "another seed", "weights changed"},
    "benchmark of a store": {"picture replaced", "box corrected", "another folder", "another seed", "weights changed"},
    "merge": {"picture replaced", "label corrected", "class list changed", "another folder", "another seed"},
}
# What must be brought up to date or made again without being asked.
UP_TO_DATE = {
    "explain": {"label corrected", "class list changed"},
    "explain class:NAME": {"label corrected"},
    "explain by IBA": {"label corrected", "class list changed"},
    "statistics": {"picture replaced", "another folder", "another seed", "weights changed"},
    "fit with cache": {"picture replaced", "label corrected", "class list changed", "another folder", "another seed"},
    "prototypes": {"label corrected", "class list changed"},
    "benchmark": {"label corrected", "class list changed"},
    "benchmark of a store": {"label corrected", "class list changed"},
}

pytestmark = pytest.mark.filterwarnings("ignore")  # a cell looks at warnings itself

ALWAYS = "picture replaced"  # the other cells take minutes


@pytest.mark.parametrize("change", [pytest.param(c, marks=() if c == ALWAYS else pytest.mark.slow) for c in CHANGES])
@pytest.mark.parametrize("verb", VERBS)
def test_a_result_is_refused_or_made_again_and_never_stale(tmp_path, verb, change):
    found, message = cell(verb, change, tmp_path)
    if change in REFUSED[verb]:
        assert found == "refused"
        assert len(message) < 500 + 2 * len(str(tmp_path))
        if change in ("picture replaced", "label corrected"):
            assert "3.bmp" in message
    elif change in UP_TO_DATE.get(verb, ()):
        assert found in ("refreshed", "made again")
    elif change == "moved folder":
        assert found == ("made again" if verb == "merge" else "the same")  # a merge gives what its first shard did not
    else:
        assert found in ("the same", "made again", "refused")
