"""The command line. Nothing is imported before it is needed, so that ``lit-coiba --help`` comes at once.

How a verb ends is in docs/guide/exit_statuses.md: 0 = done; 2 = something given is wrong, one line says what; 3 =
finished, but not everything could be done; 130, 143, 129 = ended by Ctrl-C, SIGTERM, SIGHUP; 141 = whoever read the
output has gone; 1 = a bug, with its traceback.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any


def main(args: list[str] | None = None) -> int:
    """Run one command, such as ``main(["explain", "-c", "configs/method/coiba.yaml", ...])``.

    Args:
        args: The words after ``lit-coiba``; None = those of this process.

    Returns:
        The exit status.
    """
    from lit_coiba.cli import terminal
    from lit_coiba.cli.outcome import run_verb
    from lit_coiba.cli.pages.overview import misspelt, overview, version
    from lit_coiba.cli.verbs import all_verbs

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
    signal.signal(signal.SIGINT, _at_once)  # until a verb runs there is nothing to clear up
    from lit_coiba.cli.process import run_process

    sys.exit(run_process(main))


def _at_once(number: int, frame: Any) -> None:
    os.write(2, b"lit-coiba: interrupted\n")
    os._exit(128 + number)
