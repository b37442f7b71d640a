"""Similar concepts of other classes, found in blocks, are those of one large matrix."""

import numpy as np
import pytest

from lit_coiba.concepts.concept_run import ConceptRun
from lit_coiba.explorer import similar
from lit_coiba.explorer.similar import Similar
from tests._testers.explorer_concepts import directions, write_concepts
from tests._testers.explorer_runs import World

WORLD = World(7, 2)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return ConceptRun(write_concepts(tmp_path_factory.mktemp("similar") / "concepts", WORLD))


def oracle(threshold, kept):
    rows = [(cls, k, row.double().numpy()) for cls in range(7) for k, row in enumerate(directions(WORLD, cls))]
    found = {}
    for cls, k, row in rows:
        cosines = [
            (-(row @ other) / np.linalg.norm(row) / np.linalg.norm(other), place, c, j)
            for place, (c, j, other) in enumerate(rows)
            if c != cls
        ]
        found[cls, k] = [(c, j, -cosine) for cosine, _, c, j in sorted(cosines)[:kept] if -cosine >= threshold]
    return found


@pytest.mark.parametrize("block", [1, 4, 1024])
@pytest.mark.parametrize(("threshold", "kept"), [(0.8, 5), (-1.0, 3), (0.05, 2)])
def test_matches_are_those_of_all_pairs(run, tmp_path, monkeypatch, block, threshold, kept):
    monkeypatch.setattr(similar, "_BLOCK", block)
    found = Similar(run, tmp_path, threshold, kept)
    for (cls, k), expected in oracle(threshold, kept).items():
        matches = found.of(cls, k)
        assert [match[:2] for match in matches] == [match[:2] for match in expected]
        assert np.allclose([match.cosine for match in matches], [match[2] for match in expected], atol=1e-4)
    assert not list(tmp_path.iterdir())


def test_the_planted_pairs_are_found(run, tmp_path):
    found = Similar(run, tmp_path)
    assert [match[:2] for match in found.of(0, 0)] == [(1, 0)]
    assert [match[:2] for match in found.of(3, 0)] == [(2, 0)]
    assert found.of(6, 0) == []
    assert found.of(0, 1) == []


def test_classes_without_concepts_are_left_out(tmp_path):
    run = ConceptRun(write_concepts(tmp_path / "concepts", WORLD, empty=(1,)))
    assert Similar(run, tmp_path).of(0, 0) == []
    assert [match.cls for match in Similar(run, tmp_path).of(2, 0)] == [3]
