"""Runs a verb, and turns how it ended into an exit status and a line or two of text.

Imports are where they are needed: the help of a typed function comes without any of them.
"""

from __future__ import annotations

import errno
import os
import traceback

from lit_coiba.cli import terminal
from lit_coiba.cli.verb import FunctionVerb, TrainerVerb, Verb

LOADING = "loading PyTorch and the model's libraries, a few seconds"
_DISK = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.ENOTDIR}  # full, or not to be written to


def run_verb(verb: Verb, args: list[str]) -> int:
    """Run one verb with the words after it; its exit status."""
    try:
        return _run(verb, args)
    except Exception as error:
        message = _fault(error)
        if message is None:
            raise
        if os.environ.get("LIT_COIBA_DEBUG", "0") not in ("", "0"):
            traceback.print_exception(error)
        terminal.fail(message)
        return 2
    except KeyboardInterrupt:
        return _interrupted(verb, 130)
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):  # what Lightning makes of one
            return _interrupted(verb, 130)
        if stop.code == 143:  # SIGTERM
            return _interrupted(verb, 143)
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

        return verb.function(**function_arguments(verb, args))
    assert isinstance(verb, TrainerVerb)
    if asked:
        terminal.announce(LOADING)
        from lit_coiba.cli.pages import trainer_help

        terminal.page(trainer_help.help_page(verb))
        return 0
    from lit_coiba.cli.parsing.quick_check import check_words

    check_words(verb, args)
    terminal.announce(LOADING)

    from lit_coiba.cli.trainer_command import TrainerCommand

    command = TrainerCommand(verb, args)
    result = command.execute()
    return verb.report(result, command) if command.trainer.is_global_zero else 0  # one process speaks for all


def _fault(error: Exception) -> str | None:
    """What the user can do something about, in one line; None for an error of ours."""
    from lit_coiba.cli.parsing.messages import one_line
    from lit_coiba.core.errors import InputError
    from lit_coiba.core.printable import printable, sentence

    if isinstance(error, InputError):
        return str(error)  # with the drawing below it
    if isinstance(error, OSError) and error.errno in _DISK:
        return sentence(f"{printable(error.filename or 'a file')}: {error.strerror}")

    import torch  # what is not imported has raised nothing, but this way a wrong word costs no seconds
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    if isinstance(error, MisconfigurationException):
        return one_line(error)
    if isinstance(error, torch.OutOfMemoryError):
        return f"the accelerator is out of memory: set a smaller data.batch_size ({one_line(error).partition('. ')[0]})"
    return None


def _interrupted(verb: Verb, status: int) -> int:
    again = "; the same command continues where it stopped" if verb.resumable else ""
    terminal.remark(f"interrupted{again}")
    return status
