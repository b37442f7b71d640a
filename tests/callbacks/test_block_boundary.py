"""The order of things around a block."""

import pytest
from lightning import Callback

from lit_coiba.callbacks import BlockBoundary
from lit_coiba.modules.explainer import Explainer
from tests._testers import tiny
from tests._testers.runs import NoiseData, Shade, make_trainer


def run(seen, method):
    class Writes(Callback):
        def on_predict_batch_end(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0):
            seen.append("written")

    boundary = BlockBoundary(*(lambda name=name: seen.append(name) for name in ("start", "begin", "end")))
    trainer = make_trainer(callbacks=[Writes(), boundary], inference_mode=False)
    trainer.predict(Explainer(tiny.vit(), method), datamodule=NoiseData(4, 2), return_predictions=False)


@pytest.mark.filterwarnings("ignore:predict returned None", "ignore:Couldn't infer the batch indices")
def test_a_block_is_in_hand_until_it_is_written():
    seen = []
    run(seen, Shade())
    assert seen == ["start", *2 * ("begin", "written", "end")]


def test_a_block_that_fails_is_no_longer_in_hand():
    seen = []
    with pytest.raises(RuntimeError, match="the power went out"):
        run(seen, Shade(fails_at=3))
    assert seen == ["start", "begin", "written", "end", "begin", "end"]
