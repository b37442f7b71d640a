"""Refusals of the lower layers become sentences of the method that was asked."""

import copy
import pickle

import pytest

from lit_coiba.core.errors import InputError, Unsupported, advise


@pytest.mark.parametrize(
    ("refusal", "sentence"),
    [
        (Unsupported("torch's exp"), "A does not support torch's exp: take B"),
        (Unsupported("LayerNorm", "norm"), "A does not support LayerNorm (at norm): take B"),
        (Unsupported("LayerNorm", "norm", "drop it"), "A does not support LayerNorm (at norm): drop it, or take B"),
    ],
)
def test_a_refusal_becomes_a_sentence_of_the_method(refusal, sentence):
    with pytest.raises(InputError) as advised, advise("A", "take B"):
        raise refusal
    assert str(advised.value) == sentence
    assert type(advised.value) is InputError
    assert advised.value.__cause__ is refusal


def test_a_refusal_is_a_sentence_by_itself_and_crosses_processes():
    refusal = Unsupported("LayerNorm", "norm", "start behind it")
    assert str(refusal) == "LayerNorm (at norm) is not supported: start behind it"
    for other in (pickle.loads(pickle.dumps(refusal)), copy.copy(refusal)):
        assert (other.what, other.where, other.remedy) == ("LayerNorm", "norm", "start behind it")
        assert str(other) == str(refusal)


def test_other_errors_stay_as_they_are():
    with pytest.raises(InputError, match=r"^radius is -1$"), advise("A", "take B"):
        raise InputError("radius is -1")
