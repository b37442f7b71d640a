"""``lit-coiba`` with a pause before each piece of work, so that a signal comes in the middle of it.

    python slowly.py SECONDS VERB ...
    python slowly.py serve

Each piece adds a byte to the file ``progress`` of the working folder. Lightning starts this file again for the second
process. With ``serve`` everything is imported once, and each run is a fork of that: see `benchmarks.signals.warm`.
"""

import atexit
import gc
import json
import os
import signal
import sys
import threading
import time
import warnings

warnings.simplefilter("ignore")

# ruff: noqa: E402 - warnings are switched off before
from lit_coiba import cli
from lit_coiba.data.blocks import BlockDataset
from lit_coiba.data.labelled import LabelledImages
from lit_coiba.store import compaction, export
from lit_coiba.training.feature_cache import FeatureFile


def paused(do, seconds):
    def wrapped(*arguments):
        with open("progress", "ab") as out:
            out.write(b".")
        time.sleep(seconds)
        return do(*arguments)

    return wrapped


def command():
    """Run the command of this process, as the installed script does."""
    if seconds := float(sys.argv[1]):
        BlockDataset.__getitem__ = paused(BlockDataset.__getitem__, seconds)
        LabelledImages.__getitems__ = paused(LabelledImages.__getitems__, seconds)
        FeatureFile.__getitems__ = paused(FeatureFile.__getitems__, seconds)
        export._write = paused(export._write, seconds)
        compaction.read_group = paused(compaction.read_group, seconds)
    main = cli.main
    cli.main = lambda: main(sys.argv[2:])  # the words after the pause
    cli.run()


def forked(folder, words):
    """In a process of its own group: as if it had just been started in this folder with these words."""
    os.setsid()
    for number in (signal.SIGHUP, signal.SIGINT):  # which nohup and a shell's & have set to be ignored
        signal.signal(number, signal.SIG_DFL if number == signal.SIGHUP else signal.default_int_handler)
    os.chdir(folder)
    os.makedirs("tmp", exist_ok=True)
    os.environ["TMPDIR"] = os.path.join(folder, "tmp")
    for name, number, how in ((os.devnull, 0, os.O_RDONLY), (os.devnull, 1, os.O_WRONLY), ("stderr", 2, os.O_WRONLY)):
        os.dup2(os.open(name, how | (os.O_CREAT | os.O_TRUNC if number == 2 else 0)), number)
    sys.argv = [__file__, *words]
    try:
        command()
    except SystemExit as stop:
        # What Python does at the end, but without taking a gigabyte of modules apart that is shared with the parent.
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stderr.flush()
        os._exit(stop.code if isinstance(stop.code, int) else int(stop.code is not None))


def serve():
    """Fork for each line ``[folder, words]``, and tell the number of the process and, when it is asked for, its end."""
    import lit_coiba.backbones
    import lit_coiba.cli.trainer_command
    import lit_coiba.pictures
    import lit_coiba.trainer  # noqa: F401

    gc.collect()
    gc.freeze()
    ended = {}
    for line in iter(sys.stdin.readline, ""):
        asked = json.loads(line)
        if isinstance(asked, list):
            if (answer := os.fork()) == 0:
                return forked(*asked)
        else:
            if asked not in ended and (found := os.waitpid(asked, os.WNOHANG))[0]:
                ended[asked] = os.waitstatus_to_exitcode(found[1])
            answer = ended.get(asked)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve() if sys.argv[1] == "serve" else command()
