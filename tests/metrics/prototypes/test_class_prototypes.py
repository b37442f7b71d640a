import torch

from lit_coiba.metrics.prototypes.class_prototypes import class_prototypes


def test_the_largest_weights_are_the_prototypes_and_equal_ones_keep_their_order():
    weights = torch.tensor([[0.2, 0.9, 0.2, 0.5], [1.0, 0.0, -3.0, 0.0]])
    assert class_prototypes(weights, 4, 2, top=3).tolist() == [[1, 3, 0], [0, -1, -1]]


def test_there_may_be_fewer_units_than_asked_for():
    assert class_prototypes(torch.ones(2, 3), 3, 2).tolist() == [[0, 1, 2]] * 2


def test_without_weights_every_unit_is_a_prototype_of_every_class():
    assert class_prototypes(None, 3, 4, top=1).tolist() == [[0, 1, 2]] * 4
