"""The command line. Nothing heavy is imported before a verb needs it, so that ``lit-coiba --help`` comes at once.

Exit status: 0 = done; 2 = something given is wrong, one line says what; 3 = finished, but some samples failed; 130 =
interrupted, 143 = terminated; 1 = a bug, with its traceback.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

from lit_coiba.cli import terminal
from lit_coiba.cli.outcome import run_verb
from lit_coiba.cli.pages.overview import misspelt, overview, version
from lit_coiba.cli.verbs import all_verbs


def main(args: list[str] | None = None) -> int:
    """Run one command, such as ``main(["explain", "-c", "configs/method/coiba.yaml", ...])``.

    Args:
        args: The words after ``lit-coiba``; None = those of this process.

    Returns:
        The exit status.
    """
    args = sys.argv[1:] if args is None else list(args)
    if args and args[0] == "--version":
        print(version())
        return 0
    verbs = all_verbs()
    if not args or args[0] in ("-h", "--help", "help"):
        print(overview(verbs))
        return 0
    if args[0] not in verbs:
        terminal.fail(misspelt(args[0], verbs))
        return 2
    return run_verb(verbs[args[0]], args[1:])


def run() -> None:
    """Entry point of the command ``lit-coiba``."""
    terminal.accept_any_text()
    warnings.filterwarnings("ignore", ".*LeafSpec.*", FutureWarning)  # between Lightning and torch
    warnings.showwarning = _show_warning
    sys.path.append(os.getcwd())  # the user's own classes, as `python -m` finds them; after everything installed
    sys.exit(main())


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """A warning in one line, without the line of code that it comes from."""
    terminal.warn(message)
