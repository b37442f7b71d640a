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
import subprocess
import sys
import threading
import time
import types
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


class Second:
    """The second process of a run, a fork too: what Lightning needs of `subprocess.Popen`."""

    def __init__(self, pid, pipe):
        self.pid, self.pipe, self.returncode = pid, pipe, None

    def begin(self, words, env, cwd=None):
        """Let it run."""
        self.pipe.write(json.dumps([words[2:], env]) + "\n")
        self.pipe.flush()
        with open("rank", "w") as out:
            out.write(str(self.pid))
        return self

    def poll(self):
        """Its exit status, if it has ended."""
        if self.returncode is None and (found := os.waitpid(self.pid, os.WNOHANG))[0]:
            self.returncode = os.waitstatus_to_exitcode(found[1])
        return self.returncode

    def wait(self, timeout=None):
        """Its exit status, when it has ended."""
        until = time.monotonic() + (timeout or 3600)
        while self.poll() is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired("second process", timeout)
            time.sleep(0.01)
        return self.returncode

    def send_signal(self, number):
        """Send a signal, if it has not ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


def keep_a_second():
    """Fork a process that waits, and have Lightning's launcher take it; a child of this one that has done nothing."""
    from lightning.pytorch.strategies.launchers import subprocess_script

    from lit_coiba.trainer import processes

    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        os.close(writing)
        with open(reading) as pipe:
            if not (line := pipe.readline()):
                os._exit(0)  # it was not needed
        processes._PARENT = os.getppid()
        words, env = json.loads(line)
        sys.argv = [__file__, *words]
        os.environ.clear()
        os.environ.update(env)
        return
    os.close(reading)
    second = Second(pid, os.fdopen(writing, "w"))
    subprocess_script.subprocess = types.SimpleNamespace(Popen=second.begin)


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
    if "ddp" in words:
        keep_a_second()
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
