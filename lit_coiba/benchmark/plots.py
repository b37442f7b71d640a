"""A benchmark as pictures: means with intervals, agreement of metrics, critical differences, profiles, curves."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from lit_coiba.benchmark.ranking import average_ranks_of, critical_difference
from lit_coiba.benchmark.references import ORACLE
from lit_coiba.core.printable import printable
from lit_coiba.files.atomic import atomically
from lit_coiba.files.png import our_mark
from lit_coiba.pictures.page import FADED, INK, drawable, pil_of, pixels_of

if TYPE_CHECKING:
    from lit_coiba.benchmark.leaderboard import Leaderboard

PICTURES = ("leaderboard.png", "agreement.png", "critical_difference.png", "radar.png", "curves.png")

LEAD, REST, TRIVIAL = "#0b6e4f", "#5b6b9a", "#b0b0b8"
_LINES = 8  # methods of a radar
_NAME = 28  # characters


def draw(board: Leaderboard, folder: Path) -> list[Path]:
    """All pictures of a table that can be drawn; the files.

    Args:
        board: The table.
        folder: Folder of the pictures.
    """
    makers: tuple[Callable[[Leaderboard], Figure | None], ...] = (
        *(intervals, tau_matrix, critical_differences, radar, curves),
    )
    files = []
    for name, make in zip(PICTURES, makers):
        if (figure := make(board)) is not None:
            with atomically(folder / name) as out:
                pil_of(pixels_of(figure)).save(out, "PNG", pnginfo=our_mark())
            files.append(folder / name)
    return files


def intervals(board: Leaderboard) -> Figure | None:
    """A panel per metric: every method's mean with its interval, best first; those that lead are green."""
    metrics = board.metrics
    if not metrics:
        return None
    columns = min(4, len(metrics))
    rows = -(-len(metrics) // columns)
    figure = Figure(figsize=(3.6 * columns, 0.6 + rows * (0.7 + 0.19 * len(board.scores))), layout="constrained")
    cells = board.cells()
    for number, metric in enumerate(metrics):
        axes = figure.add_subplot(rows, columns, number + 1)
        found = [(name, cells[name, metric]) for name in board.scores if (name, metric) in cells]
        found = [(name, cell) for name, cell in found if not math.isnan(cell.mean)]
        found.sort(key=lambda pair: pair[1].mean, reverse=board.higher.get(metric) is False)
        for place, (name, cell) in enumerate(found):
            color = LEAD if cell.leads else TRIVIAL if name in board.left_out else REST
            axes.plot([cell.low, cell.high], [place, place], color=color, linewidth=2)
            axes.plot([cell.mean], [place], "o", color=color, markersize=4)
        axes.set_yticks(range(len(found)), [_plain(name) for name, _ in found], fontsize=7)
        direction = {True: "higher is better", False: "lower is better", None: ""}[board.higher.get(metric)]
        axes.set_title(_plain(metric.replace("_", " ")), fontsize=9, loc="left", color=INK)
        axes.set_xlabel(direction, fontsize=7, color=FADED)
        _plain_axes(axes)
    return figure


def tau_matrix(board: Leaderboard) -> Figure | None:
    """Kendall's tau between all pairs of metrics."""
    found = board.agreement
    size = len(found.metrics)
    if size < 2:
        return None
    figure = Figure(figsize=(1.8 + 0.52 * size, 1.6 + 0.46 * size), layout="constrained")
    axes = figure.add_subplot()
    values = np.array(found.tau)
    image = axes.imshow(values, vmin=-1, vmax=1, cmap="RdBu")
    names = [_plain(name.replace("_", " ")) for name in found.metrics]
    axes.set_xticks(range(size), names, rotation=45, ha="right", rotation_mode="anchor", fontsize=8)
    axes.set_yticks(range(size), names, fontsize=8)
    for row in range(size):
        for column in range(size):
            value = values[row, column]
            if not math.isnan(value):
                dark = abs(value) > 0.6
                color = "w" if dark else INK
                axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=6.5, color=color)
    axes.set_title(f"Do metrics rank {len(found.methods)} methods alike? Kendall's tau", fontsize=10, loc="left")
    figure.colorbar(image, ax=axes, shrink=0.7)
    return figure


def critical_differences(board: Leaderboard) -> Figure | None:
    """A line per metric: mean rank of each method over the samples; methods under one bar do not differ (Nemenyi)."""
    chosen = [m for m in board.metrics if board.higher.get(m) is not None][:6]
    ranked = []
    for metric in chosen:
        methods = [n for n, f in board.scores.items() if metric in f and not f[metric].isnan().all() and n != ORACLE]
        ranks, samples = average_ranks_of(board.scores, metric, bool(board.higher[metric]), methods)
        if len(ranks) > 2:
            ranked.append((metric, ranks, samples))
    if not ranked:
        return None
    most = max(len(ranks) for _, ranks, _ in ranked)
    height = 0.9 + 0.15 * ((most + 1) // 2)
    figure = Figure(figsize=(9.5, height * len(ranked)), layout="constrained")
    for number, (metric, ranks, samples) in enumerate(ranked):
        axes = figure.add_subplot(len(ranked), 1, number + 1)
        _critical_difference(axes, ranks, critical_difference(len(ranks), samples))
        title = f"{_plain(metric.replace('_', ' '))}: mean rank over {samples} samples, 1 = best"
        axes.set_title(title, fontsize=9, loc="left", color=INK)
    return figure


def radar(board: Leaderboard) -> Figure | None:
    """The first methods by their share of methods that they beat, one axis per metric."""
    metrics = [m for m in board.metrics if board.higher.get(m) is not None]
    methods = [name for name in board.scores if name not in board.left_out][:_LINES]
    if len(metrics) < 3 or not methods:
        return None
    figure = Figure(figsize=(7.5, 5.2), layout="constrained")
    axes: Any = figure.add_subplot(projection="polar")
    angles = np.linspace(0, 2 * math.pi, len(metrics), endpoint=False)
    cells = board.cells()
    for method in methods:
        shares = []
        for metric in metrics:
            cell = cells.get((method, metric))
            others = sum((name, metric) in cells and name != ORACLE for name in board.scores)
            rank = others if cell is None or not cell.rank else cell.rank
            shares.append(1 - (rank - 1) / max(1, others - 1))
        closed = [*shares, shares[0]]
        axes.plot([*angles, angles[0]], closed, linewidth=1.6, label=_plain(method))
        axes.fill([*angles, angles[0]], closed, alpha=0.05)
    axes.set_xticks(angles, [_plain(metric.replace("_", " ")) for metric in metrics], fontsize=7.5)
    axes.set_yticks([0.5, 1], ["", ""])
    axes.set_ylim(0, 1)
    axes.set_title("Share of the other methods that are not better", fontsize=10, loc="left")
    figure.legend(fontsize=7, loc="outside right upper", frameon=False)
    return figure


def curves(board: Leaderboard) -> Figure | None:
    """Mean curves with their 95% band, a panel per curve metric."""
    if not board.curves:
        return None
    names = list(board.curves)
    figure = Figure(figsize=(4.6 * len(names) + 1.8, 4.0), layout="constrained")
    for number, metric in enumerate(names):
        axes = figure.add_subplot(1, len(names), number + 1)
        shown = [name for name in board.scores if name in board.curves[metric]]
        for place, method in enumerate(shown):
            mean, error = (part.numpy() for part in board.curves[metric][method])
            share = np.linspace(0, 100, len(mean))
            dashed = "--" if method in board.left_out else "-"
            color = colormaps["tab20"](place % 20)
            axes.plot(share, mean, dashed, linewidth=1.4, label=_plain(method), color=color)
            axes.fill_between(share, mean - 1.96 * error, mean + 1.96 * error, color=color, alpha=0.15)
        axes.set_title(_plain(metric.replace("_", " ")), fontsize=9, loc="left")
        axes.set_xlabel("exchanged, % of the steps", fontsize=8)
        _plain_axes(axes)
        if number == len(names) - 1:
            axes.legend(fontsize=6.5, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _critical_difference(axes: Any, ranks: Mapping[str, float], difference: float) -> None:
    """One line of mean ranks: names in two columns, bars over groups that do not differ."""
    ordered = sorted(ranks.items(), key=lambda pair: pair[1])
    low, high = ordered[0][1], ordered[-1][1]
    room = max(high - low, difference) * 0.35
    half = (len(ordered) + 1) // 2
    for place, (name, rank) in enumerate(ordered):
        left = place < half
        level = -(place + 1) if left else -(len(ordered) - place)
        end = low - room if left else high + room
        axes.plot([rank, rank, end], [0, level, level], color=FADED, linewidth=0.7)
        text = f"{_plain(name)}  {rank:.1f}"
        axes.text(end, level, text, fontsize=7, ha="right" if left else "left", va="center", color=INK)
    axes.plot([low, high], [0, 0], color=INK, linewidth=1.2)
    for level, (start, end) in enumerate(_groups([rank for _, rank in ordered], difference)):
        axes.plot([start, end], [0.5 + 0.4 * level] * 2, color=LEAD, linewidth=2.5, solid_capstyle="round")
    axes.set_xlim(low - 3 * room, high + 3 * room)
    axes.set_axis_off()


def _groups(ranks: Sequence[float], difference: float) -> list[tuple[float, float]]:
    """First and last rank of each largest run within the critical difference.

    Example:
        >>> _groups([1.0, 1.5, 2.2, 4.0], 1.0)
        [(1.0, 1.5), (1.5, 2.2)]
    """
    found: list[tuple[float, float]] = []
    for start in ranks:
        end = max(rank for rank in ranks if rank - start <= difference)
        if end > start and (not found or end > found[-1][1]):
            found.append((start, end))
    return found


def _plain(name: str) -> str:
    """A name as matplotlib shows it: no mathematics, and in legends too, which leave out what begins with _."""
    shown = drawable(printable(name, _NAME)).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def _plain_axes(axes: Any) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=7)
