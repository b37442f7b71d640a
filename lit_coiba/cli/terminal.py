"""All that the command line prints passes here: names from files are escaped, whatever the terminal's encoding."""

from __future__ import annotations

import logging
import os
import sys
from io import TextIOWrapper
from typing import Any

from lit_coiba.core.printable import printable, sentence

_PROGRAM = "lit-coiba"


def accept_any_text() -> None:
    """Have stdout and stderr write what their encoding lacks as an escape, and loggers what is not printable."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    logging.setLogRecordFactory(_PrintableRecord)


class _PrintableRecord(logging.LogRecord):
    """What any library logs, Lightning about the name of a checkpoint for example; it keeps its lines."""

    def getMessage(self) -> str:
        """The message with everything that is not printable escaped."""
        return "\n".join(map(printable, super().getMessage().split("\n")))


def say(*lines: object, file: Any = None) -> None:
    """Print lines, on stdout unless `file` says otherwise."""
    for line in lines:
        print(printable(line), file=file)


def page(text: str) -> None:
    """Print a text of several lines."""
    say(*text.split("\n"))


def remark(text: object) -> None:
    """Print a sentence about a run on stderr."""
    say(f"{_PROGRAM}: {sentence(text)}", file=sys.stderr)


def warn(text: object) -> None:
    """Print a warning on stderr, in one line."""
    remark(f"warning: {sentence(text)}")


def fail(message: str) -> None:
    """Print an error on stderr: a sentence, and a drawing below it where there is one."""
    told, *drawing = message.split("\n")
    say(f"{_PROGRAM}: error: {told}", *drawing, file=sys.stderr)


def is_watched() -> bool:
    """Whether someone sits before this process: stderr is a terminal, and no other process of the run says the same."""
    return sys.stderr.isatty() and not any(int(os.environ.get(name) or 0) for name in ("LOCAL_RANK", "RANK"))


def announce(text: str) -> None:
    """Say at once on a terminal what takes seconds before there is anything else to say; a log is spared it."""
    if is_watched():
        remark(text)
        sys.stderr.flush()
