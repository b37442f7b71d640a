"""Runs a verb, and turns how it ended into an exit status and a line or two of text.

Imports are where they are needed: the help of a typed function comes without any of them.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import traceback
from collections.abc import Callable
from contextlib import suppress

from lit_coiba.cli import terminal
from lit_coiba.cli.verb import FunctionVerb, TrainerVerb, Verb
from lit_coiba.core.ending import ProcessLost, Stopped, is_first, leaving_on_signals

LOADING = "loading PyTorch and the model's libraries, a few seconds"
# A disk that is full or not to be written to; a folder, a file or a link that is in the way; a name that is none.
_DISK = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ESTALE),
    *(errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTEMPTY, errno.EMFILE),
}
# What torch says of memory that cannot be had, without a class of its own.
_NO_MEMORY = re.compile(r"can't allocate memory|could not create a (memory|primitive)|bad_alloc|out of memory", re.I)
_WORKER = re.compile(r"DataLoader worker \(pid(?:\(s\))? [\d, ]+\)")
_SIGNAL = re.compile(r"killed by signal: ([\w ]+)")
_FULL = re.compile(r"No space left on device|Disk quota exceeded|File too large|Read-only file system")


def run_verb(verb: Verb, args: list[str]) -> int:
    """Run one verb with the words after it; its exit status."""
    with leaving_on_signals():
        try:
            return _run(verb, args)
        except BrokenPipeError:
            raise  # whoever read what was printed has gone, see `cli.process`
        except Exception as error:
            return _failed(error)
        except KeyboardInterrupt:
            return _interrupted(verb, 128 + signal.SIGINT)
        except Stopped as stop:
            return _interrupted(verb, int(stop.code or 0), stop.advice)
        except SystemExit as stop:
            if isinstance(stop.__context__, KeyboardInterrupt):  # what Lightning makes of one
                return _interrupted(verb, 128 + signal.SIGINT)
            if stop.code == 128 + signal.SIGTERM:
                return _interrupted(verb, stop.code)
            return stop.code if isinstance(stop.code, int) else int(stop.code is not None)


def _run(verb: Verb, args: list[str]) -> int:
    """Do what a verb says, or print its help page."""
    asked = {"-h", "--help"} & set(args)
    if isinstance(verb, FunctionVerb):
        if asked:
            from lit_coiba.cli.pages import function_help

            terminal.page(function_help.help_page(verb))
            return 0
        from lit_coiba.cli.parsing.function_arguments import function_arguments

        _refuse_empty(args)
        return verb.function(**function_arguments(verb, args))
    assert isinstance(verb, TrainerVerb)
    if asked:
        from lit_coiba.cli.pages.static import known_page

        page = known_page(verb) if set(args) <= asked else None
        if page is None:  # other words may name a class of the model
            terminal.announce(LOADING)
            from lit_coiba.cli.pages.trainer_help import help_page

            page = help_page(verb, args)
        terminal.page(str(page))
        return 0
    from lit_coiba.cli.parsing.quick_check import check_words

    check_words(verb, args)
    terminal.announce(LOADING)

    from lit_coiba.cli.trainer_command import TrainerCommand

    _refuse_empty(args)
    command = TrainerCommand(verb, args)
    result = command.execute()
    return verb.report(result, command) if command.trainer.is_global_zero else 0  # one process speaks for all


def _refuse_empty(args: list[str]) -> None:
    """Refuse an empty word, which a variable of the shell leaves that is not set; a logger may have an empty name.

    Raises:
        InputError: There is one.
    """
    from lit_coiba.core.errors import InputError

    for before, word in zip(["", *args], args):
        key, given, value = word.partition("=")
        if word and not (given and not value and key.startswith("--")):
            continue
        key = key or before
        if not key.startswith("--trainer.logger"):
            what = key if key.startswith("-") else "an argument"
            raise InputError(f"{what} is empty: give a value (a variable of the shell may not be set)")


def _failed(error: Exception) -> int:
    """Say what the user can do about an error, or raise it: then it is one of ours, or of a class of the user's."""
    if isinstance(error, ProcessLost):
        _say(terminal.fail, str(error))
        return error.status
    message = _fault(error)
    if message is None:
        if whose := _whose(error):
            _say(terminal.remark, f"the error comes from {whose}, which is not part of lit-coiba")
        raise error
    if os.environ.get("LIT_COIBA_DEBUG", "0") not in ("", "0"):
        traceback.print_exception(error)
    if not vars(error).get("told"):
        _say(terminal.fail, message)
    return 2


def _fault(error: Exception) -> str | None:
    """What the user can do something about, in one line; None for an error of ours."""
    from lit_coiba.cli.parsing.messages import one_line
    from lit_coiba.core.errors import InputError
    from lit_coiba.core.printable import printable, sentence

    text = str(error)
    if isinstance(error, InputError):
        return str(error)  # with the drawing below it
    if isinstance(error, FileNotFoundError) and not _has_working_folder():
        return "the working folder does not exist any more: change to one that does"
    if isinstance(error, OSError) and error.errno in _DISK:
        return sentence(f"{printable(error.filename or 'a file')}: {error.strerror}")
    if found := _FULL.search(text):  # of libraries that write files in their own way
        return f"a file cannot be written: {found[0]} (is the disk full, or the folder for temporary files, TMPDIR?)"

    import torch  # what is not imported has raised nothing, but this way a wrong word costs no seconds
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    if isinstance(error, MisconfigurationException):
        return one_line(error)
    if isinstance(error, torch.OutOfMemoryError):
        return f"the accelerator is out of memory: set a smaller data.batch_size ({one_line(error).partition('. ')[0]})"
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _NO_MEMORY.search(text)):
        return "the memory of this machine does not suffice: set a smaller data.batch_size, or a smaller image_size"
    if (isinstance(error, RuntimeError) and _WORKER.search(text)) or _is_broken_queue(error):
        how = f"was killed ({found[1].strip()})" if (found := _SIGNAL.search(text)) else "has ended"
        return (
            f"a process that reads files {how}, as happens where memory is short: set a smaller "
            "data.num_workers or data.batch_size, and run the same command again"
        )
    return None


def _is_broken_queue(error: Exception) -> bool:
    """Whether the connection to a process that reads files has ended, before it shows that the process has."""
    frames = traceback.extract_tb(error.__traceback__)
    loading = any(frame.filename.endswith(os.path.join("utils", "data", "dataloader.py")) for frame in frames)
    return loading and isinstance(error, EOFError | ConnectionError)


def _whose(error: Exception) -> str | None:
    """The file where an error came up, if that is none of ours and of no installed package."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return None
    file = os.path.abspath(frames[-1].filename)
    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    installed = any(part in file for part in ("site-packages", "dist-packages", f"{os.sep}lib{os.sep}python", "<"))
    return None if installed or file.startswith(ours + os.sep) else f"{file}, line {frames[-1].lineno}"


def _has_working_folder() -> bool:
    try:
        return bool(os.getcwd())
    except OSError:
        return False


def _interrupted(verb: Verb, status: int, advice: str | None = None) -> int:
    """Say how to go on, once for all processes of a run."""
    again = "the same command continues where it stopped" if verb.resumable else "run the same command again"
    if is_first():
        _say(terminal.remark, f"interrupted{'' if (advice or '').startswith('at ') else ';'} {advice or again}")
    return status


def _say(how: Callable[[str], None], message: str) -> None:
    with suppress(OSError, ValueError):  # nobody listens
        how(message)
