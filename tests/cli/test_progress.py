from __future__ import annotations

import io
from contextlib import redirect_stderr

import pytest

from nas.cli.progress import search_bar
from nas.evaluation import Totals
from nas.study import Progress

WORST = Progress(9_999, 10_000, 0.98765, 6e5, 123.4, 5_999.0, Totals(10, 1.0, 100.0, 63.0, 12.0), 128)


def shown(progress: Progress, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines of a bar in 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    text = io.StringIO()
    with redirect_stderr(text), search_bar("searching") as update:
        update(progress)
    return [line for line in text.getvalue().splitlines() if line.strip()]


def test_everything_fits_into_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = shown(WORST, monkeypatch)
    assert max(len(first), len(second)) <= 80
    assert first.rstrip().endswith("9999 of 10000, best 0.98765, 123.4/s, 99:59 left")
    assert second.strip() == "128 workers; saved 63% of the work by sharing, 12% by racing"


@pytest.mark.parametrize(
    ("totals", "workers", "expected"),
    [
        (Totals(10, 1.0, 100.0, 40.0, 0.0), 1, ["1 worker; saved 40% of the work by sharing"]),
        (Totals(10, 1.0), 2, ["2 workers"]),
        (Totals(), 2, []),
        (None, None, []),
    ],
)
def test_the_second_line_says_what_there_is_to_say(
    totals: Totals | None, workers: int | None, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    progress = Progress(1, 10, None, 1.0, 1.0, 9.0, totals, workers)
    assert [line.strip() for line in shown(progress, monkeypatch)[1:]] == expected
