"""The vocabulary names operations that exist, each once where a method tells kinds apart."""

import operator
from itertools import combinations

import pytest
import torch
from timm.layers import GELUTanh
from torch import nn
from torch.nn import functional as F

from lit_coiba.propagation import operations
from lit_coiba.propagation.constant_norms import CONSTANT_NORMS
from lit_coiba.propagation.operations import Kind, is_activation, is_gate, operation_name, spellings

KINDS = {name: kind for name, kind in vars(operations).items() if isinstance(kind, Kind)}
UNIONS = {"ACTIVATIONS": {"HOMOGENEOUS"}, "SHAPE_OPS": {*KINDS}, "ALIASES": {*KINDS}}  # kinds that hold others
ELSEWHERE = {"drop_path", "stochastic_depth", "boolean_dispatch", "getitem", "getattr", "len"}  # not torch's


@pytest.mark.parametrize("name", KINDS)
def test_every_name_is_one_of_torch_s_or_an_operator(name):
    places = (torch, F, torch.Tensor, operator)
    for word in KINDS[name].names - ELSEWHERE:
        assert any(hasattr(place, form) for place in places for form in (word, f"__{word}__")), word


def test_no_operation_is_of_two_kinds():
    for (first, one), (second, other) in combinations(KINDS.items(), 2):
        if second not in UNIONS.get(first, ()) and first not in UNIONS.get(second, ()):
            assert not one.names & other.names, (first, second)
            assert not set(one.modules) & set(other.modules), (first, second)


def test_functions_methods_and_operators_have_one_name():
    for calls in ((torch.add, "add", "add_", operator.add, torch.Tensor.__add__), (torch.relu_, F.relu, "relu")):
        assert len({operation_name(call) for call in calls}) == 1


def test_spellings_leave_out_functions_of_others():
    def relu(x):
        return x

    found = spellings(["relu"])
    assert {torch.relu, F.relu, "relu"} == found
    assert relu not in found


def test_attn_lrp_has_a_rule_for_every_norm_over_the_input():
    assert set(CONSTANT_NORMS) == operations.INPUT_NORMS.names | {"normalize"}


def test_activations_of_timm_are_activations_and_sigmoids_are_gates():
    assert all(is_activation(module) for module in (nn.ReLU(), nn.Sigmoid(), GELUTanh()))
    assert not any(is_activation(module) for module in (nn.Identity(), nn.Softmax(1), nn.Conv2d(3, 3, 1)))
    assert is_gate(nn.Hardsigmoid())
    assert not is_gate(nn.Tanh())
