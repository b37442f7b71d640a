"""Options that take several words: ``--stores a b``."""

from __future__ import annotations

import yaml

_LINE = 2**20  # characters of a list of words


def listed_words(args: list[str], option: str) -> list[str]:
    """The words with those that follow `option` as one list, as YAML writes it."""
    if option not in args:
        return args
    start = args.index(option) + 1
    end = next((k for k, word in enumerate(args) if k >= start and word.startswith("-")), len(args))
    if end == start or args[start].startswith("["):
        return args
    words = yaml.safe_dump(args[start:end], default_style='"', default_flow_style=True, allow_unicode=True, width=_LINE)
    return [*args[:start], words.strip(), *args[end:]]
