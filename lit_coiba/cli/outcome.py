"""Runs a verb, and turns how it ended into an exit status and a line or two of text.

Imports are where they are needed: the help of ``demo`` comes without any of them.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from typing import Any

SHOWN = 5  # failures whose reasons are told at the end
_DISK = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.ENOTDIR}  # full, or not to be written to
_RESUMABLE = ("explain", "statistics", "benchmark", "prototypes", "merge", "export")


def run_verb(verb: str, args: list[str]) -> int:
    """Run one verb with the words after it; its exit status."""
    try:
        return _run(verb, args)
    except Exception as error:
        message = _fault(error)
        if message is None:
            raise
        if os.environ.get("LIT_COIBA_DEBUG", "0") not in ("", "0"):
            traceback.print_exception(error)
        print(f"lit-coiba: error: {message}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return _interrupted(verb, 130)
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):  # what Lightning makes of one
            return _interrupted(verb, 130)
        if stop.code == 143:  # SIGTERM
            return _interrupted(verb, 143)
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)


def _run(verb: str, args: list[str]) -> int:
    if verb == "demo":
        from lit_coiba.cli.verbs.demo import run_demo

        return run_demo(args)
    if verb == "methods":
        from lit_coiba.cli.verbs.methods import run_methods

        return run_methods(args)
    if verb in ("merge", "export"):
        from lit_coiba.cli.verbs.stores import run_store_verb

        return run_store_verb(verb, args)
    if {"-h", "--help"} & set(args):
        from lit_coiba.cli.pages.verb_help import help_page

        print(help_page(verb))
        return 0
    from lit_coiba.cli.verbs.trainer import VerbCLI

    cli = VerbCLI(verb, args)
    result = cli.execute()
    if not cli.trainer.is_global_zero:
        return 0
    if verb == "explain":
        return _report(result)
    if verb == "fit" and (saved := getattr(cli.trainer.checkpoint_callback, "best_model_path", "")):
        print(f"The checkpoint is {os.path.relpath(saved)}")
    if verb == "statistics":
        print(f"Statistics of {result.count} images are in {cli.config.file} for {', '.join(result.layers)}")
    if verb == "prototypes":
        told, units = result.summary, result.units
        print(
            f"Prototypes of {units} units are in {result.path}, drawn in its folders units and classes;"
            f" {len(told['silent'])} answer to no image, {len(told['unused'])} are used by no class,"
            f" {len({unit for pair in result.twins for unit in pair})} show the same as another"
        )
        if cli.config.evaluate:
            print((result.path / "evaluation.md").read_text(encoding="utf-8").rstrip())
    if verb == "benchmark":
        from rich.console import Console

        result.show(Console())
        print(f"The table is in {cli.config.output}/leaderboard.md, its numbers in leaderboard.csv")
    return 0


def _report(store: Any) -> int:
    """Say where the explanations are, and what failed."""
    failures = store.failures()
    explained = len(store.ids())
    of = f"{explained} of {explained + len(failures)}" if failures else f"{explained}"
    print(f"{len(store)} explanations of {of} images are in {store.path}; some are drawn in its contact_sheet.png")
    if not failures:
        return 0
    count = f"{len(failures)} image{'s' if len(failures) > 1 else ''}"
    print(
        f"lit-coiba: finished, but {count} failed; when mended, run it again with --retry_failed true", file=sys.stderr
    )
    for failure in failures[:SHOWN]:
        print(f"  {failure.id}: {failure.reason}", file=sys.stderr)
    if len(failures) > SHOWN:
        every = f"ExplanationStore({str(store.path)!r}).failures()"
        print(f"  and {len(failures) - SHOWN} more, which {every} lists", file=sys.stderr)
    return 3


def _fault(error: Exception) -> str | None:
    """What the user can do something about, in one line; None for an error of ours."""
    import torch
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    from lit_coiba.cli.parsing.messages import one_line
    from lit_coiba.core.errors import InputError

    if isinstance(error, InputError | MisconfigurationException):
        return one_line(error)
    if isinstance(error, torch.OutOfMemoryError):
        return f"the accelerator is out of memory, lower data.batch_size ({one_line(error).partition('. ')[0]})"
    if isinstance(error, OSError) and error.errno in _DISK:
        return f"{error.filename or 'a file'}: {error.strerror}"
    return None


def _interrupted(verb: str, status: int) -> int:
    again = "; the same command goes on where it stopped" if verb in _RESUMABLE else ""
    print(f"lit-coiba: interrupted{again}", file=sys.stderr)
    return status
