"""What tests of the Trainer share."""

import pytest

from lit_coiba.modules.statistics import StatisticsModule
from tests._testers import tiny


@pytest.fixture(scope="module")
def model():
    return tiny.vit()


@pytest.fixture
def observed(monkeypatch):
    """Numbers of the blocks that passes for statistics have seen."""
    seen = []
    step = StatisticsModule.predict_step
    monkeypatch.setattr(
        StatisticsModule, "predict_step", lambda self, batch: (seen.append(batch.block), step(self, batch))[1]
    )
    return seen
