"""``lit-coiba`` with a pause before each piece of work, so that a signal comes in the middle of it.

    python slowly.py SECONDS VERB ...

Each piece adds a byte to the file ``progress`` of the working folder. Lightning starts this file again for the second
process.
"""

import sys
import time
import warnings

warnings.simplefilter("ignore")

# ruff: noqa: E402 - warnings are switched off before
from lit_coiba.cli import run
from lit_coiba.data.blocks import BlockDataset
from lit_coiba.data.labelled import LabelledImages
from lit_coiba.store import compaction, export
from lit_coiba.training.feature_cache import FeatureFile

PAUSE = float(sys.argv[1])


def paused(do):
    def wrapped(*arguments):
        with open("progress", "ab") as out:
            out.write(b".")
        time.sleep(PAUSE)
        return do(*arguments)

    return wrapped


if PAUSE:
    BlockDataset.__getitem__ = paused(BlockDataset.__getitem__)
    LabelledImages.__getitems__ = paused(LabelledImages.__getitems__)
    FeatureFile.__getitems__ = paused(FeatureFile.__getitems__)
    export._write = paused(export._write)
    compaction.read_group = paused(compaction.read_group)

if __name__ == "__main__":
    from lit_coiba import cli

    main = cli.main
    cli.main = lambda: main(sys.argv[2:])  # the words after the pause
    run()
