import pytest
import torch
from torch import nn

from lit_coiba.core.errors import Unsupported
from lit_coiba.propagation.tracing import list_steps, modules_around, place


class Inner(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return torch.exp(self.conv(x))


class Outer(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(Inner())

    def forward(self, x):
        return -self.block(x)


def test_steps_know_the_module_that_they_are_or_run_in():
    nodes = {node.name: node for node in list_steps(Outer().eval(), lambda module: False).nodes}
    assert list(nodes) == ["x", "block_0_conv", "exp", "neg", "output"]
    assert [place(nodes[name]) for name in ("block_0_conv", "exp", "neg")] == ["block.0.conv", "block.0", ""]
    assert modules_around(nodes["exp"])[-2:] == ["block", "block.0"]


def test_a_module_may_be_one_step():
    graph = list_steps(Outer().eval(), lambda module: isinstance(module, Inner))
    assert [str(node.target) for node in graph.nodes if node.op == "call_module"] == ["block.0"]


def test_a_forward_that_depends_on_values_or_writes_over_what_it_reads_is_refused():
    class Branching(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    class Overwriting(nn.Module):
        def forward(self, x):
            y = x + 1
            return torch.relu_(y) + y.neg_() + y

    with pytest.raises(Unsupported, match="a forward that depends on values or shapes"):
        list_steps(Branching().eval(), lambda module: False)
    with pytest.raises(Unsupported, match="writes in place"):
        list_steps(Overwriting().eval(), lambda module: False)
