"""Pictures of a table: each is drawn where there is something to draw, whatever the names are."""

import warnings

import pytest
import torch
from PIL import Image

from lit_coiba.benchmark import Leaderboard
from lit_coiba.benchmark.plots import PICTURES, radar
from lit_coiba.core.errors import InputError
from lit_coiba.metrics.batch import TakenBaseline

HOSTILE = ["$\\frac{", "a\x1b[31mb\n", "_hidden", "\u65b9\u6cd5", "x" * 300, r"\$ $", "Edges"]


def board(names, metrics=("insertion", "deletion", "pointing_game"), curves=True):
    generator = torch.Generator().manual_seed(0)
    scores = {name: {m: torch.rand(12, generator=generator).double() for m in metrics} for name in names}
    bands = {"insertion": {name: torch.rand(2, 5, generator=generator) for name in names}} if curves else {}
    higher = dict(zip(metrics, (True, False, True)))
    return Leaderboard(scores, names[0], higher=higher, left_out=frozenset({"Edges"}), curves=bands)


def test_every_picture_is_drawn_whatever_methods_are_called(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        files = board(HOSTILE).draw(tmp_path)
    assert [file.name for file in files] == list(PICTURES)
    for file in files:
        with Image.open(file) as picture:
            assert min(picture.size) > 200
    assert board(HOSTILE).draw(tmp_path) == files  # which are ours, and are replaced


def test_a_name_that_begins_with_an_underscore_is_in_the_legend():
    figure = radar(board(HOSTILE))
    (legend,) = figure.legends
    assert len(legend.get_texts()) == len(HOSTILE) - 1  # without the trivial baseline


def test_no_picture_where_there_is_nothing(tmp_path):
    undefined = Leaderboard({"a": {"m": torch.full((3,), torch.nan)}}, "a", higher={"m": True})
    assert undefined.draw(tmp_path) == []
    alone = board(["a"], ("insertion",), curves=False).draw(tmp_path)
    assert [file.name for file in alone] == ["leaderboard.png"]
    assert list(tmp_path.iterdir()) == alone


def test_a_metric_without_a_direction_is_neither_ranked_nor_in_the_profile(tmp_path):
    made = board(["a", "b", "c"], curves=False)
    free = Leaderboard(made.scores, "a")
    assert [file.name for file in free.draw(tmp_path)] == ["leaderboard.png"]


def test_what_the_note_says_of_baselines():
    scores = {name: {"insertion - deletion": torch.rand(4), "s_r_g": torch.rand(4)} for name in ("a", "b")}
    taken = {
        "insertion": TakenBaseline("blur", "blur"),
        "deletion": TakenBaseline("zero", "zero"),
        "s_r_g": TakenBaseline("auto", "tokens"),
    }
    told = Leaderboard(scores, "a", baselines=taken).note()
    assert "s_r_g: baseline auto = tokens." in told
    assert "insertion - deletion has the baselines blur and zero: it is not the symmetric relevance gain (SRG)" in told
    same = Leaderboard(scores, "a", baselines={**taken, "insertion": TakenBaseline("zero", "zero")}).note()
    assert "has the baselines zero and zero." in same
    assert "baselines" not in Leaderboard(scores, "a").note()


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_of_others_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(InputError, match=f"{name} is there, and is not what this version"):
        board(["a"], ("insertion",)).save(tmp_path)
    assert (tmp_path / name).read_bytes() == b"mine"
