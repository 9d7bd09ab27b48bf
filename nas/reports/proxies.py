"""What proxies are worth: a table and a picture, with parameters and multiply-adds always in them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nas.files import replacing

if TYPE_CHECKING:
    from rich.table import Table

    from nas.proxies import Agreement

Values = NDArray[np.float64]
COLUMNS = 4  # pictures side by side


def agreement_table(found: Mapping[str, Agreement], seconds: Mapping[str, float], networks: int) -> Table:
    """One row a proxy, best rank correlation first; at most 80 columns."""
    from rich import box
    from rich.table import Table

    table = Table(
        title=f"{networks} networks; partial: given their parameters; top: within the best tenth",
        title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1), show_edge=False,
    )  # fmt: skip
    table.add_column("proxy", no_wrap=True)
    for name in ("Spearman", "Kendall", "partial", "top", "best/100 %", "s/net", "failed"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in sorted(found, key=lambda name: -(found[name].spearman or -2.0)):
        row = found[name]
        table.add_row(
            name, *map(_rounded, (row.spearman, row.kendall, row.partial_spearman, row.top_spearman)),
            "-" if row.best_of_100 is None else f"{100 * row.best_of_100:.2f}", f"{seconds[name]:.3f}",
            str(row.not_finite or ""),
        )  # fmt: skip
    return table


def scores_table(scores: Mapping[str, Values], params: Values, seconds: Mapping[str, float]) -> Table:
    """Without measured accuracies: the range of each score, and how far it only counts parameters (Spearman)."""
    from rich import box
    from rich.table import Table

    from nas.proxies.agreement import spearman
    from nas.proxies.ranks import ordered

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1), show_edge=False)
    table.add_column("proxy", no_wrap=True)
    for name in ("least", "median", "most", "to params", "s/net", "failed"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, column in scores.items():
        known = column[np.isfinite(column)]
        numbers = [f"{v:.3g}" for v in np.percentile(known, [0, 50, 100])] if len(known) else ["-"] * 3
        to_params = _rounded(spearman(ordered(column), params))
        table.add_row(name, *numbers, to_params, f"{seconds[name]:.3f}", str(len(column) - len(known) or ""))
    return table


def draw_scatter(scores: Mapping[str, Values], accuracy: Values, found: Mapping[str, Agreement], path: Path) -> None:
    """Every proxy against accuracy, by rank of the score, in a file that appears complete or not at all.

    Args:
        scores: [n] by proxy; what is not finite has no point.
        accuracy: [n], fractions.
        found: What is written above each.
        path: A .png file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from nas.proxies.ranks import ranks

    names = sorted(scores, key=lambda name: -(found[name].spearman or -2.0))
    lines = math.ceil(len(names) / COLUMNS)
    figure = Figure(figsize=(10.0, 2.4 * lines + 0.6), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(lines, COLUMNS, squeeze=False, sharey=True)
    for i, axes in enumerate(np.ravel(grid)):
        if i >= len(names):
            axes.set_visible(False)
            continue
        name = names[i]
        known = np.isfinite(scores[name])
        axes.scatter(ranks(scores[name])[known], 100 * accuracy[known], s=5, linewidths=0, alpha=0.6)
        failed = f" ({found[name].not_finite} failed)" if found[name].not_finite else ""
        axes.set_title(f"{name}: {_rounded(found[name].spearman)}{failed}", fontsize=9)
        axes.set_xticks([])
        axes.grid(True, color="0.92", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("networks by score, best at the right; above: Spearman's correlation", fontsize=9)
    figure.supylabel("accuracy (%)", fontsize=9)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _rounded(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
