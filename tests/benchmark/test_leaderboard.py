"""The table: paired intervals against an oracle, what is left out, what is written."""

import csv
import math
from io import StringIO

import pytest
import torch
from rich.console import Console

from lit_coiba.benchmark import Leaderboard
from lit_coiba.benchmark.table import lines
from lit_coiba.store import BlockRecord, ExplanationStore, Manifest

METRICS = {"insertion": True, "deletion": False}


@pytest.fixture
def scores():
    generator = torch.Generator().manual_seed(3)
    base = torch.rand(200, generator=generator).double()
    noise = torch.rand(200, generator=generator).double()
    return {
        "CoIBA": {"insertion": base + 0.02, "deletion": noise},
        "Saliency": {"insertion": base, "deletion": noise.flip(0)},
        "Random": {"insertion": noise, "deletion": noise},
    }


def test_a_small_difference_is_seen_since_samples_are_paired(scores):
    cells = Leaderboard(scores).cells()
    ours, saliency = cells["CoIBA", "insertion"], cells["Saliency", "insertion"]
    assert ours.low < saliency.high  # the intervals of the means overlap
    assert ours.gain == pytest.approx(0.02)
    assert ours.gain_low == pytest.approx(0.02)
    assert ours.differs
    assert not saliency.differs
    assert not cells["CoIBA", "deletion"].differs


def test_intervals_are_those_of_the_normal_law(scores):
    values = scores["Random"]["insertion"]
    cell = Leaderboard(scores).cells()["Random", "insertion"]
    half = 1.96 * float(values.std()) / math.sqrt(len(values))
    assert cell.mean == pytest.approx(float(values.mean()))
    assert (cell.mean - cell.low, cell.high - cell.mean) == pytest.approx((half, half), rel=0.1)


def test_undefined_scores_are_left_out_and_counted(scores):
    scores["CoIBA"]["insertion"][:50] = torch.nan
    cell = Leaderboard(scores).cells()["CoIBA", "insertion"]
    assert cell.samples == 150
    assert cell.mean == pytest.approx(float(scores["CoIBA"]["insertion"][50:].mean()))
    assert cell.gain == pytest.approx(0.02)


def test_a_metric_that_is_undefined_everywhere_is_no_column(scores):
    for found in scores.values():
        found["energy"] = torch.full((200,), torch.nan, dtype=torch.float64)
    assert Leaderboard(scores).metrics == ["insertion", "deletion"]


def test_a_table_without_the_reference_marks_nothing(scores):
    del scores["Saliency"]
    cells = Leaderboard(scores).cells()
    assert not any(cell.differs for cell in cells.values())
    assert all(math.isnan(cell.gain) for cell in cells.values())


def test_what_is_shown_and_written(scores, tmp_path):
    board = Leaderboard({"a|b [red]": scores["CoIBA"], **scores})
    text = StringIO()
    board.show(Console(file=text, width=120))
    assert "a|b [red]" in text.getvalue()
    assert "200 explanations" in text.getvalue()
    markdown, table, *_ = board.save(tmp_path)
    lines = markdown.read_text().splitlines()
    assert str(board) == board._repr_markdown_() == markdown.read_text()
    assert lines[0] == "| method | insertion | deletion |"
    assert lines[2].startswith("| a\\|b \\[red\\] | 0.")
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [(r["method"], r["metric"]) for r in rows][:2] == [("a|b [red]", "insertion"), ("a|b [red]", "deletion")]
    found = board.cells()["CoIBA", "insertion"]
    ours = next(r for r in rows if (r["method"], r["metric"]) == ("CoIBA", "insertion"))
    assert [float(ours[name]) for name in found._fields[:-1]] == pytest.approx(list(found[:-1]))
    assert ours["leads"] == str(found.leads)


def test_only_what_all_methods_have_is_compared(tmp_path):
    def store(name, ids, value):
        made = ExplanationStore.open(tmp_path / name, Manifest({"name": name}))
        targets = torch.zeros(len(ids), dtype=torch.long)
        numbers = value + torch.arange(len(ids)).float()
        extras = {"insertion": numbers, "deletion": numbers / 2}
        made.write(BlockRecord(0, ids, targets, targets, numbers, torch.empty(len(ids), 0, 0), extras))
        return made

    board = Leaderboard.of(
        {"A": store("a", ("x", "y", "z"), 0.0), "B": store("b", ("y", "z"), 5.0)}, METRICS, reference="A"
    )
    assert board.scores["A"]["insertion"].tolist() == [1.0, 2.0]
    assert board.scores["B"]["insertion"].tolist() == [5.0, 6.0]
    assert board.scores["A"]["insertion - deletion"].tolist() == [0.5, 1.0]
    assert board.cells()["B", "insertion"].gain == 4.0
    assert board.to_pandas().index.tolist() == [("y", 0), ("z", 0)]
    assert board.to_pandas()["A", "deletion"].tolist() == [0.5, 1.0]


def test_a_metric_of_no_direction_has_no_arrow_and_a_users_column_stays_as_it_is(tmp_path):
    one = torch.ones(1, dtype=torch.long)
    made = ExplanationStore.open(tmp_path / "a", Manifest({}))
    extras = {"insertion": one / 2, "deletion": one / 4, "insertion - deletion": one / 8, "spread": one / 1}
    made.write(BlockRecord(0, ("x",), one, one, one / 1, torch.empty(1, 0, 0), extras))
    directions = {**METRICS, "insertion - deletion": None, "spread": None}
    board = Leaderboard.of({"A": made}, directions, reference="A")
    assert board.scores["A"]["insertion - deletion"].tolist() == [0.125]
    head = next(lines(board, str))
    assert head == ["method", "insertion \u2191", "deletion \u2193", "insertion - deletion", "spread"]


def test_what_the_table_says_about_itself(scores):
    for found in scores.values():
        found["energy"] = torch.full((200,), torch.nan, dtype=torch.float64)
    board = Leaderboard(scores, higher={**METRICS, "energy": True}, pending=3)
    head = next(lines(board, str))
    assert head == ["method", "insertion \u2191", "deletion \u2193"]
    assert "3 more are not scored by all" in board.note()
    assert "Not computed: energy." in board.note()
    assert "more" not in Leaderboard(scores, higher=METRICS).note()
