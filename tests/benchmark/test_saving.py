"""Files of a table: scores of every sample, agreement of the metrics, runs of TensorBoard; files of others stay."""

import csv
import math

import pyarrow.parquet as pq
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lit_coiba.benchmark import Leaderboard
from lit_coiba.benchmark.saving import EVENTS, TABLES, log_runs
from lit_coiba.core.errors import InputError

KEYS = [("x", 1), ("x", 2), ("=y", 1)]


@pytest.fixture
def board():
    values = torch.tensor([[0.1, 0.2, torch.nan], [0.3, 0.4, 0.5], [0.6, 0.8, 0.7]]).double()
    scores = {name: {"m": row, "n, o": -row} for name, row in zip(("a", "b", "c"), values)}
    settings = {"a": {"class": "Saliency"}, "b/../c": {}, "c": {"beta": 10, "layers": ["x"], "method": "other"}}
    return Leaderboard(scores, "a", higher={"m": True, "n, o": True}, keys=KEYS, settings=settings)


def test_scores_of_every_sample(board, tmp_path):
    files = board.save(tmp_path)
    assert [file.name for file in files] == ["leaderboard.md", "leaderboard.csv", "agreement.csv", "scores.parquet"]
    rows = pq.read_table(tmp_path / "scores.parquet").to_pylist()
    assert len(rows) == 3 * 2 * 3
    found = {(row["method"], row["metric"], row["id"], row["target"]): row["score"] for row in rows}
    assert found["b", "m", "x", 2] == pytest.approx(0.4)
    assert found["c", "n, o", "=y", 1] == pytest.approx(-0.7)
    assert math.isnan(found["a", "m", "=y", 1])


def test_agreement_of_the_metrics(board, tmp_path):
    board.save(tmp_path)
    rows = list(csv.reader((tmp_path / "agreement.csv").read_text().splitlines()))
    assert rows[0] == ["metric", "m", "n, o"]
    assert [float(value) for value in rows[1][1:]] == [1, -1]
    assert "Kendall's tau" in board.markdown()


def test_a_table_without_a_defined_score(tmp_path):
    nothing = Leaderboard({"a": {"m": torch.full((2,), torch.nan)}}, "a", higher={"m": True})
    nothing.save(tmp_path)
    assert not (tmp_path / "agreement.csv").exists()
    assert (tmp_path / "leaderboard.csv").read_text().startswith("method,metric,mean,low,high,samples,")
    assert "Bold" not in nothing.markdown()


def test_what_bold_means_is_told_of_two_methods_too(board):
    two = Leaderboard({name: board.scores[name] for name in ("b", "c")}, "b", higher=board.higher)
    assert "**" in two.markdown()
    assert "Bold: no other method" in two.markdown()
    assert "Kendall" not in two.markdown()


@pytest.mark.parametrize("name", [name for name in TABLES if not name.endswith(".png")])
def test_files_of_others_are_refused(board, tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match="is there, and is not what this version of lit-coiba writes"):
        board.save(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_run_of_each_method_for_tensorboards_hyperparameters(board, tmp_path):
    for _ in range(2):  # the second time replaces the first
        log_runs(board, tmp_path)
    folders = sorted(folder.name for folder in (tmp_path / EVENTS).iterdir())
    assert folders == ["00_a", "01_b_.._c", "02_c"]
    assert all(len(list((tmp_path / EVENTS / name).iterdir())) == 1 for name in folders)
    events = EventAccumulator(str(tmp_path / EVENTS / "02_c")).Reload()
    assert events.Scalars("score/m")[0].value == pytest.approx(0.7)
    fewer = Leaderboard(board.scores, "a", higher=board.higher, settings={"a": {}})
    (tmp_path / EVENTS / "mine").mkdir()
    (tmp_path / EVENTS / "mine" / "events.out.tfevents.1").write_text("mine")
    log_runs(fewer, tmp_path)
    assert sorted(folder.name for folder in (tmp_path / EVENTS).iterdir()) == ["00_a", "mine"]
