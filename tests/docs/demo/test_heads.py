"""The demo's interpretable head: trained, looked at, and not trained again."""

from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from lit_coiba.core.errors import InputError
from lit_coiba.demo import heads, report
from lit_coiba.demo.runs import Runner

FEW = {"train": 128, "val": 20, "test": 3, "predict": 3}


def call(folder):
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()), pytest.MonkeyPatch.context() as patch:
        patch.setattr(heads, "IMAGES", FEW)
        patch.setattr(heads, "EPOCHS", 2)
        return heads.explain(Runner(Console(file=StringIO()), steps=3), folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def first(folder):
    return call(folder)


def test_it_learns_and_leaves_pictures_of_units_classes_and_decisions(first):
    assert 0.05 < first.accuracy <= 1  # chance
    assert first.prototypes.units == 128
    assert len(first.decisions) == 3
    for line in report.pictures(first):
        assert Path(line.split("  ")[0]).read_bytes().startswith(b"\x89PNG")
    assert f"{first.accuracy:.1%} of the validation images" in report.head_summary(first)


def test_prototypes_are_of_training_images_alone(first):
    ids = {patch.id for unit in range(128) for patch in first.prototypes.of(unit)}
    assert len(ids) > 20
    assert not ids & set(first.decisions.ids())


def test_every_decision_adds_up(first):
    for row in first.decisions:
        assert row.map.sum().item() == pytest.approx(row.extras["total"].item(), rel=1e-3)
        assert (row.extras["looks_like"][:, 0] >= 0).any()


def test_a_second_call_trains_nothing_and_says_the_same(folder, first, monkeypatch):
    monkeypatch.setattr(Runner, "fitting", lambda *a: pytest.fail("trained again"))
    again = call(folder)
    assert again.accuracy is None
    assert again.decisions.digest() == first.decisions.digest()
    assert "validation" not in report.head_summary(again)


def test_damaged_weights_are_told(folder, first):
    weights = folder / heads.WEIGHTS
    content = weights.read_bytes()
    weights.write_bytes(content[:100])
    try:
        with pytest.raises(InputError, match=heads.WEIGHTS):
            call(folder)
    finally:
        weights.write_bytes(content)
