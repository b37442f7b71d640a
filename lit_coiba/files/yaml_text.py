"""YAML from files, looked through before it is read: how much it becomes, and whether it ends at all.

A kilobyte of anchors and aliases becomes a million values, and a mapping may contain itself.
"""

from __future__ import annotations

from typing import Any

import yaml

from lit_coiba.core.errors import InputError
from lit_coiba.core.printable import printable

LIMIT = 256 * 1024  # bytes of a configuration
DEPTH, VALUES = 40, 20_000  # of mappings and lists in one another, of values in all
_LONGEST = 400  # digits of a number


def check_yaml(text: str, source: str) -> None:
    """Refuse YAML that is larger, deeper or longer than any configuration.

    Args:
        text: The text.
        source: What to call it in an error.

    Raises:
        InputError: Saying what.
        yaml.YAMLError: It is no YAML.
    """
    if len(text) > LIMIT:
        raise InputError(f"{source} has {len(text):,} characters: a configuration has no more than {LIMIT:,}")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    depth = 0
    for size, event in enumerate(yaml.parse(text, Loader=loader)):  # before anything follows it down
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH or size > 2 * VALUES:
            raise InputError(
                f"{source} is nested more than {DEPTH} deep, or has more than {VALUES:,} values: simplify it"
            )
    _values(yaml.compose(text, Loader=loader), source, {}, ())


def unshared(value: Any) -> Any:
    """What `check_yaml` passed, each alias a copy, so that a change in one place is none in another."""
    if isinstance(value, dict):
        return {key: unshared(part) for key, part in value.items()}
    return [unshared(part) for part in value] if isinstance(value, list) else value


def _check_keys(node: yaml.MappingNode, source: str) -> None:
    """Refuse a mapping that sets a key twice, of which YAML takes the last one without a word."""
    seen: set[str] = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
            if key.value in seen:
                line = key.start_mark.line + 1
                raise InputError(f"{source}, line {line} sets {printable(key.value, 80)} again: leave one of the two")
            seen.add(key.value)


def _values(node: yaml.Node | None, source: str, known: dict[int, int], above: tuple[int, ...]) -> int:
    """How many values a node becomes when each alias is a copy."""
    if node is None:
        return 0
    if id(node) in above:
        raise InputError(f"{source} has an anchor that contains itself, so it has no end: remove the alias in it")
    if id(node) not in known:
        total = 1
        if isinstance(node, yaml.MappingNode):
            below = [part for pair in node.value for part in pair]
            _check_keys(node, source)
        else:
            below = node.value if isinstance(node, yaml.SequenceNode) else []
        for part in below:
            total += _values(part, source, known, (*above, id(node)))
        if total > VALUES:
            raise InputError(f"{source} becomes more than {VALUES:,} values by its aliases: write it without them")
        if (
            isinstance(node, yaml.ScalarNode)
            and len(node.value) > _LONGEST
            and node.value.strip("+-_.0123456789") == ""
        ):
            raise InputError(f"{source} has a number of {len(node.value):,} digits: give a smaller one")
        known[id(node)] = total
    return known[id(node)]
