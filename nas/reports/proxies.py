"""What proxies are worth: a table and a picture, with parameters and multiply-adds always in them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nas.objectives import Metric, metric_of
from nas.reports.figures import check_suffix, save

if TYPE_CHECKING:
    from rich.table import Table

    from nas.proxies import Agreement

Values = NDArray[np.float64]
COLUMNS = 4  # pictures side by side


def agreement_table(
    agreements: Mapping[str, Agreement], seconds: Mapping[str, float], networks: int, *,
    metrics: Mapping[str, Metric], truth: Metric,
) -> Table:  # fmt: skip
    """One row a proxy, best rank correlation first; at most 80 columns.

    Args:
        agreements: How well each orders the networks.
        seconds: What a network takes each.
        networks: How many were compared.
        metrics: What proxies are called; others by their names.
        truth: What they are compared with.
    """
    from rich import box
    from rich.table import Table

    table = Table(
        title=f"{networks} networks; partial: given their parameters; top: within the best tenth",
        title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1), show_edge=False,
    )  # fmt: skip
    table.add_column("proxy", no_wrap=True)
    for name in ("Spearman", "Kendall", "partial", "top", f"best/100 {truth.unit}", "s/net", "failed"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in _best_first(agreements):
        row = agreements[name]
        correlations = (row.spearman, row.kendall, row.partial_spearman, row.top_spearman)
        table.add_row(
            metric_of(name, metrics).column, *map(_rounded, correlations),
            "-" if row.best_of_100 is None else truth.text(row.best_of_100), f"{seconds[name]:.3f}",
            str(row.not_finite or ""),
        )  # fmt: skip
    return table


def scores_table(
    scores: Mapping[str, Values], params: Values, seconds: Mapping[str, float], *, metrics: Mapping[str, Metric]
) -> Table:
    """Without measured accuracies: the range of each score, and how far it only counts parameters (Spearman).

    Args:
        scores: [n] by proxy.
        params: [n], parameters of each network.
        seconds: What a network takes each.
        metrics: What proxies are called; others by their names.
    """
    from rich import box
    from rich.table import Table

    from nas.proxies.correlation import spearman
    from nas.proxies.ranking import ordered

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1), show_edge=False)
    table.add_column("proxy", no_wrap=True)
    for name in ("least", "median", "most", "to params", "s/net", "failed"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, column in scores.items():
        known = column[np.isfinite(column)]
        numbers = [f"{v:.3g}" for v in np.percentile(known, [0, 50, 100])] if len(known) else ["-"] * 3
        to_params = _rounded(spearman(ordered(column), params))
        failed = str(len(column) - len(known) or "")
        table.add_row(metric_of(name, metrics).column, *numbers, to_params, f"{seconds[name]:.3f}", failed)
    return table


def draw_scatter(
    scores: Mapping[str, Values], measured: Values, agreements: Mapping[str, Agreement], path: Path, *,
    metrics: Mapping[str, Metric], truth: Metric,
) -> None:  # fmt: skip
    """Every proxy against what was measured, by rank of the score, in a file that appears complete or not at all.

    Args:
        scores: [n] by proxy; what is not finite has no point.
        measured: [n], as recorded.
        agreements: What is written above each.
        path: A .png or .svg file.
        metrics: What proxies are called; others by their names.
        truth: What was measured.

    Raises:
        UsageError: Another suffix.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from nas.proxies.ranking import ranks

    check_suffix(path)
    names = _best_first(agreements)
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
        axes.scatter(ranks(scores[name])[known], truth.factor * measured[known], s=5, linewidths=0, alpha=0.6)
        failed = f" ({agreements[name].not_finite} failed)" if agreements[name].not_finite else ""
        title = f"{metric_of(name, metrics).column}: {_rounded(agreements[name].spearman)}{failed}"
        axes.set_title(title, fontsize=9)
        axes.set_xticks([])
        axes.grid(True, color="0.92", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("networks by score, best at the right; above: Spearman's correlation", fontsize=9)
    figure.supylabel(truth.axis, fontsize=9)
    save(figure, path)


def _best_first(agreements: Mapping[str, Agreement]) -> list[str]:
    return sorted(agreements, key=lambda name: -(agreements[name].spearman or -2.0))


def _rounded(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
