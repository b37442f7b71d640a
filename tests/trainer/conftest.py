"""What tests of the Trainer share."""

from functools import partial

import pytest

from lit_coiba.callbacks import RunLog
from lit_coiba.modules.statistics import StatisticsModule
from tests._testers import tiny


@pytest.fixture(autouse=True, scope="module")
def quick_sheet():
    """Pictures take longer than all the rest; one test has the real thing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "lit_coiba.trainer.trainer.contact_sheet", lambda store, data, preprocessing, file, named: file.touch()
        )
        patch.setattr("lit_coiba.trainer.trainer.RunLog", partial(RunLog, panels=0))
        yield


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
