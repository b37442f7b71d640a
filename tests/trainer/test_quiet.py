import logging
import warnings

import pytest
from lightning.pytorch.utilities.rank_zero import rank_zero_info, rank_zero_warn

from lit_coiba.trainer.quiet import NOISE, quiet, without_tips


@pytest.fixture(autouse=True)
def heard(caplog):
    """Lightning's loggers as they are where nobody has touched them."""
    with caplog.at_level(logging.INFO, "lightning.pytorch"):
        yield


def test_remarks_are_left_out_and_come_again_afterwards(caplog):
    with quiet():
        rank_zero_info("GPU available: False, used: False")
        logging.getLogger("lightning.fabric.utilities.distributed").info("Initializing distributed")
    assert caplog.records == []
    rank_zero_info("Tip: buy something")
    assert [record.getMessage() for record in caplog.records] == ["Tip: buy something"]


def test_errors_and_warnings_are_not(caplog):
    with quiet():
        logging.getLogger("lightning.pytorch.trainer").error("the disk is full")
        with pytest.warns(UserWarning, match="GPU available but not used"):
            rank_zero_warn("GPU available but not used")
    assert [record.getMessage() for record in caplog.records] == ["the disk is full"]


def test_a_user_who_wants_less_gets_less():
    logger = logging.getLogger("lightning.pytorch")
    logger.setLevel(logging.ERROR)
    with quiet():
        assert logger.level == logging.ERROR
    assert logger.level == logging.ERROR


@pytest.mark.parametrize(
    "message",
    [
        "`isinstance(treespec, LeafSpec)` is deprecated",
        "The 'predict_dataloader' does not have many workers which may be a bottleneck.",
        "predict returned None if it was on purpose, ignore this warning...",
        "Couldn't infer the batch indices fetched from your dataloader: `DataLoader`",
    ],
)
def test_warnings_that_do_not_apply_are_left_out(message):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with quiet():
            warnings.warn(message, UserWarning, stacklevel=1)
            warnings.warn("the map is not finite", UserWarning, stacklevel=1)
    assert [str(warning.message) for warning in caught] == ["the map is not finite"]
    assert len(NOISE) == 4


def test_levels_and_filters_are_given_back_after_an_error():
    filters, level = list(warnings.filters), logging.getLogger("lightning.pytorch").level
    with pytest.raises(RuntimeError), quiet():
        raise RuntimeError
    assert warnings.filters == filters
    assert logging.getLogger("lightning.pytorch").level == level


def test_advertisements_alone_are_left_out(caplog):
    with without_tips():
        rank_zero_info("Tip: buy something")
        rank_zero_info("GPU available: False, used: False")
    rank_zero_info("Tip: buy something else")
    assert [record.getMessage() for record in caplog.records] == [
        "GPU available: False, used: False",
        "Tip: buy something else",
    ]
