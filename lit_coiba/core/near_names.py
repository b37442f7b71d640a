"""The name that was meant where a name does not exist."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches


def near_names(name: str, known: Iterable[str], most: int = 2) -> list[str]:
    """Known names like `name`, the likeliest first; capitals, ``-`` and ``_`` make no difference.

    Example:
        >>> near_names("gradcam", ["GradCAM", "ScoreCAM", "IBA"]), near_names("grad_cam", ["GradCAM", "IBA"])
        (['GradCAM'], ['GradCAM'])
    """
    plain = {_plain(other): other for other in known if other != name}
    if _plain(name) in plain:
        return [plain[_plain(name)]]
    return [plain[found] for found in get_close_matches(_plain(name), plain, n=most)]


def did_you_mean(name: str, known: Sequence[str], otherwise: str = "") -> str:
    """The end of a sentence about an unknown name; of a dotted one, the last part is compared."""
    parent, _, last = name.rpartition(".")
    peers = [other.rpartition(".")[2] for other in known if other.rpartition(".")[0] == parent]
    near = [f"{parent}.{other}".lstrip(".") for other in near_names(last, peers)]
    near = near or ([] if peers else near_names(name, known, 1))
    return f": did you mean {' or '.join(near)}?" if near else otherwise


def _plain(name: str) -> str:
    return re.sub(r"[-_ ]", "", name).casefold()
