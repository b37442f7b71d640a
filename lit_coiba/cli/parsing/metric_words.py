"""Words about the metrics of ``lit-coiba benchmark``, which are a mapping with keys that the user chooses."""

from __future__ import annotations

from lit_coiba.cli import terminal
from lit_coiba.cli.pages.page import Page, parameters
from lit_coiba.core.errors import InputError
from lit_coiba.core.near_names import did_you_mean

_ALL = " (lit-coiba metrics lists them)"
_PREFIX, _HELP = "--model.metrics.", ".help"


def metrics_last(args: list[str]) -> list[str]:
    """The words with those about single metrics at the end: a config file behind them would replace all metrics."""
    moved: list[str] = []
    kept: list[str] = []
    words = iter(args)
    for word in words:
        if not word.startswith(_PREFIX):
            kept.append(word)
        elif "=" in word:
            moved.append(word)
        else:
            moved += [word, *[value for value in [next(words, None)] if value is not None]]
    return [*kept, *moved]


def show_metric(args: list[str]) -> None:
    """Show the arguments of a metric and stop, where ``--model.metrics.NAME.help CLASS`` asks for them.

    Raises:
        InputError: There is no such metric.
        SystemExit: It was shown.
    """
    for word, following in zip(args, [*args[1:], ""]):
        key, given, value = word.partition("=")
        if not key.startswith(_PREFIX) or not key.endswith(_HELP):
            continue
        from lit_coiba import metrics  # here, as listing them imports all

        name = (value if given else following).rpartition(".")[2]
        scoring = [known for known in metrics.__all__ if issubclass(getattr(metrics, known), metrics.Metric)]
        if name not in scoring:
            raise InputError(f"{key[2:]}: metric {name!r} does not exist{did_you_mean(name, scoring, _ALL)}")
        kind = getattr(metrics, name)
        column = key.removeprefix("--").removesuffix(_HELP)
        page = Page(f"benchmark --{column} {name} [--KEY VALUE ...]", (kind.__doc__ or name).split("\n\n")[0])
        page.keys("keys", parameters(kind, column))
        terminal.page(str(page))
        raise SystemExit(0)
