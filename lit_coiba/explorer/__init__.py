"""A site of what is known of a model: classes, concepts, prototypes, explanations and failures, read from disk."""

from typing import TYPE_CHECKING

from lit_coiba.core.lazy import lazily

if TYPE_CHECKING:  # for type checkers and editors; what runs is found by `lazily`
    from lit_coiba.explorer.building import Built as Built
    from lit_coiba.explorer.building import build as build
    from lit_coiba.explorer.serving import serve as serve
    from lit_coiba.explorer.single import single_page as single_page

__getattr__, __dir__ = lazily(
    __name__,
    {
        "Built": "lit_coiba.explorer.building",
        "build": "lit_coiba.explorer.building",
        "serve": "lit_coiba.explorer.serving",
        "single_page": "lit_coiba.explorer.single",
    },
)
