"""A concept as a target: a plain value, bound to coefficients, that refuses what a concept has not."""

import pytest
import torch

from lit_coiba.core.errors import InputError
from lit_coiba.core.targets import Concept, Target, resolve

FOUND = torch.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, 0.5]])


@pytest.mark.parametrize("target", [Concept(), Concept(2), Concept(0, output=("concepts", 1))])
def test_survives_a_trip_through_json(target):
    again = Target.from_json(target.to_json())
    assert again == target
    assert hash(again) == hash(target)
    assert target.identity() == {**target.to_json(), "version": 1}


def test_chooses_the_strongest_once_and_keeps_it():
    rows = Concept().resolve(FOUND)
    assert rows.index.tolist() == [1, 0]
    assert rows.name == ("concept 1", "concept 0")
    assert rows.clean.tolist() == [2.0, 3.0]
    assert rows.score(FOUND.flip(1)).tolist() == [2.0, 0.5]
    assert rows.take(torch.tensor([1, 0, 1])).score(FOUND[[1, 0, 1]]).tolist() == [3.0, 2.0, 3.0]
    assert rows.scored_by("prob").score(FOUND).tolist() == [2.0, 3.0]  # never a softmax over concepts


def test_one_concept_of_all_images():
    rows = resolve(Concept(2), torch.zeros(2, 3, 4, 4), 3, lambda: FOUND)
    assert rows.score(FOUND).tolist() == [1.0, 0.5]


def test_images_without_finite_coefficients_have_no_row():
    rows = Concept(1).resolve(torch.tensor([[1.0, torch.nan], [0.0, 4.0]]))
    assert rows.image.tolist() == [1]
    assert rows.clean.tolist() == [4.0]
    assert list(rows.reasons) == [0]


@pytest.mark.parametrize("index", [-1, True, "weakest", 1.5])
def test_other_numbers_are_refused(index):
    with pytest.raises(InputError, match="give the number of a concept, 0 or more, or strongest"):
        Concept(index)


def test_refuses_what_a_concept_has_not():
    with pytest.raises(InputError, match="concept 3 does not exist, since the model has concepts 0 to 2"):
        Concept(3).resolve(FOUND)
    with pytest.raises(InputError, match=r"\(2, 3, 1\), and a concept target needs coefficients"):
        Concept(0).resolve(FOUND.unsqueeze(-1))
    rows = Concept(0).resolve(FOUND)
    with pytest.raises(InputError, match="no loss in nats"):
        rows.fidelity(FOUND)
    with pytest.raises(InputError, match="no verified bounds"):
        rows.linear()
    with pytest.raises(InputError, match="UNI explains classes"):
        rows.classes("UNI")
