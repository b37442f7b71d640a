"""What a head's own explanation owes as an attribution method; what heads compute is tested in tests/heads."""

from functools import partial

import pytest
from torch import nn

from lit_coiba.attribution import HeadAttribution
from lit_coiba.core.errors import InputError
from tests._testers import tiny
from tests._testers.methods import FAMILIES, StateTester


class TestHeadAttribution(StateTester):
    method = HeadAttribution
    arguments = {"top": 3}  # noqa: RUF012
    networks = {name: partial(tiny.with_head, build) for name, build in FAMILIES.items()}  # noqa: RUF012

    def failing(self, model):
        return next(module for module in model.modules() if isinstance(module, nn.Conv2d))


def test_a_model_without_a_head_is_refused():
    with pytest.raises(InputError, match="explains a classifier by its own head, and this model has none"):
        HeadAttribution().explain(tiny.vit(), tiny.images(1, (32, 32)))
